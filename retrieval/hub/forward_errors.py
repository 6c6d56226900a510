"""Translate errors of a forward pass into a ModelError that names the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.errors import ModelError


@contextmanager
def forward_errors_as_model_errors(name: str) -> Iterator[None]:
    """Translate errors of a forward pass on inputs that the model's own files ask for into a ModelError.

    Only a forward pass shows that a checkpoint's preprocessing, configuration and weights disagree.

    Raises:
        ModelError: in place of the library's error; running out of memory is raised as it is.
    """
    try:
        yield
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        if "memory" in said.lower():
            raise
        raise ModelError(
            f"{name} cannot encode what its own files ask for ({said}); its files do not belong together, "
            "use another model"
        ) from error
