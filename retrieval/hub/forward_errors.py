"""Errors of a forward pass, raised as errors that name the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.errors import ModelError


@contextmanager
def named_forward_errors(name: str) -> Iterator[None]:
    """Run a forward pass whose inputs are those that the model's files ask for, so that its errors are the model's.

    Only here does it show that a checkpoint's preprocessing, configuration and weights disagree.

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
