"""What goes wrong in the forward pass of a hub checkpoint, as an error that names the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.errors import ModelError


@contextmanager
def forward_faults_named(name: str) -> Iterator[None]:
    """A forward pass; what the library raises in it is the model's fault, as its inputs are those it asks for.

    A checkpoint whose preprocessing, configuration and weights disagree is found out nowhere else.

    Raises:
        ModelError: in place of the library's error; what ran out of memory is raised as it is.
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
