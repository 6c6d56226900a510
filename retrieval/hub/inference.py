"""Run a model of transformers, with its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.errors import ModelError
from retrieval.hub.forward_errors import forward_errors_as_model_errors
from retrieval.hub.library_model import quiet


@contextmanager
def inference(name: str) -> Iterator[None]:
    """Run a model in this block, without gradients, and translate the library's errors.

    Args:
        name: of the checkpoint, for the errors.

    Raises:
        ModelError: in place of the library's error; running out of memory is raised as it is.
    """
    import torch

    with torch.inference_mode(), quiet(), forward_errors_as_model_errors(name):
        try:
            yield
        except (AttributeError, KeyError, AssertionError) as error:  # of odd configurations
            raise ModelError(f"{name} cannot be used ({error!r:.200}); use another model") from error
