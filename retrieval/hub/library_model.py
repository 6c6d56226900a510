"""A model of transformers, loaded from a checkpoint with all its weights.

Only ``*.safetensors`` is ever opened as weights, only classes of transformers itself are built, and a weight
that the checkpoint does not have is an error; transformers alone would start it at random with a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelError, first_line
from retrieval.hub.checkpoint import Checkpoint, weight_files
from retrieval.hub.library_folder import check_weights, library_folder

if TYPE_CHECKING:
    from torch.nn import Module

SLACK = 2**24  # numbers, 64 MiB: what a checkpoint with some weights missing may cost before it is refused


def load_model(checkpoint: Checkpoint, architecture: str, device: str) -> Module:
    """Load a model in float32, in evaluation mode, on a device, every weight from the checkpoint.

    Args:
        checkpoint: its weights are read here.
        architecture: name of a class in transformers.
        device: as torch names it.

    Raises:
        ModelError: weights are missing, damaged or of other shapes, or the device cannot be had.
    """
    import torch
    import transformers

    files = weight_files(checkpoint.folder)
    held = check_weights(checkpoint, files)
    model_class = getattr(transformers, architecture)
    try:
        with quiet(), library_folder(checkpoint, files) as private:
            _check_size(checkpoint.folder, model_class, private, held)
            model, report = model_class.from_pretrained(
                str(private),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except ModelError:
        raise
    # What the files say reaches every corner of transformers, which raises anything at all.
    except Exception as exc:
        reason = first_line(exc)
        raise ModelError(
            f"{checkpoint.folder} cannot be loaded as {architecture} ({reason}); use another model"
        ) from exc
    _check_complete(checkpoint.folder, report)
    try:
        return _frozen(model, device)
    except (RuntimeError, AssertionError, ValueError) as exc:  # AssertionError: torch without CUDA
        reason = first_line(exc)
        raise ModelError(f"the model cannot be put on device {device} ({reason}); try --device cpu") from exc


def save_model(model: Module, folder: Path) -> None:
    """Write a model's ``config.json`` and safetensors into a folder, without the library's progress bar."""
    saver: Any = model
    with quiet():
        saver.save_pretrained(folder)


def _check_size(folder: Path, model_class: Any, private: Path, held: int) -> None:
    """Refuse a configuration that calls for far more numbers than the weights hold, before memory is taken for them.

    The library finds and names what is missing within :data:`SLACK`.

    Raises:
        ModelError: it does.
    """
    import torch

    config = model_class.config_class.from_pretrained(str(private), local_files_only=True)
    with torch.device("meta"):  # shapes alone
        needed = sum(weight.numel() for weight in model_class(config).parameters())
    if needed > held + SLACK:
        raise ModelError(
            f"{folder} lacks weights that its config.json calls for, or has them in other shapes ({needed:,} "
            f"numbers, and there are {held:,}); it would answer at random, so download the model again"
        )


def _frozen(model: Module, device: str) -> Module:
    return model.to(device).eval().requires_grad_(False)


def _check_complete(folder: Path, report: Mapping[str, Any]) -> None:
    missing = sorted(str(key) for key in report["missing_keys"])
    missing += sorted(str(key[0]) for key in report.get("mismatched_keys", ()))
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ModelError(
            f"{folder} lacks weights that its config.json calls for, or has them in other shapes ({shown}); "
            "it would answer at random, so download the model again"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bar and load report off the terminal; what matters in them is raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
