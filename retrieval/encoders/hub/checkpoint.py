"""Opening a checkpoint's folder: what is read, what is refused, and the model with all its weights.

Only ``*.safetensors`` is ever opened as weights, only classes of transformers itself are built, and a weight
that the checkpoint does not have is an error; transformers alone would start it at random with a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.encoders.hub.families import FAMILIES
from retrieval.encoders.hub.family import Checkpoint, Family
from retrieval.encoders.hub.vetted import CONFIG_BYTES, check_config, check_weights, library_folder
from retrieval.errors import ModelError
from retrieval.json_files import read_object

if TYPE_CHECKING:
    from torch.nn import Module

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SLACK = 2**24  # numbers, 64 MiB: what a checkpoint with some weights missing may cost before it is refused
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: there is no such file, or it holds something else.
    """
    try:
        return read_object(file, CONFIG_BYTES)
    except OSError as exc:
        best = file.parent / "best"  # the folder of a training run, in place of the model in it
        hint = f"; the model of this run is {best}" if (best / file.name).is_file() else ""
        raise ModelError(f"{file} cannot be read ({exc.strerror}); a model folder needs it{hint}") from exc
    except ValueError as exc:
        raise ModelError(f"{file} {exc}; download the model again") from exc


def model_type(folder: Path) -> str:
    """The ``model_type`` that a folder's ``config.json`` states, or an empty string.

    Raises:
        ModelError: there is no readable ``config.json``.
    """
    return str(read_json(folder / CONFIG).get("model_type", ""))


def open_checkpoint(folder: Path) -> tuple[Checkpoint, Family]:
    """A folder's configuration and its family.

    Raises:
        ModelError: a file is missing, the family is unknown, or the checkpoint wants code of its own to run.
    """
    config = read_json(folder / CONFIG)
    tokenizer_config = _optional(folder / "tokenizer_config.json")
    for name, content in ((CONFIG, config), ("tokenizer_config.json", tokenizer_config)):
        if content.get("auto_map"):
            raise ModelError(
                f"{folder / name} asks for Python code that comes with the model (auto_map); "
                "vlsearch never runs such code, so choose another model"
            )
    check_config(folder / CONFIG, config)
    kind = str(config.get("model_type", ""))
    if kind not in FAMILIES:
        raise ModelError(
            f"{folder}: model type {kind or 'none'} is not one that vlsearch can use "
            f"(vlsearch-two-tower, {', '.join(FAMILIES)})"
        )
    return Checkpoint(folder, config, _image_config(folder), tokenizer_config), FAMILIES[kind]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint.

    Raises:
        ModelError: there are none, or a part is missing.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        parts = read_json(folder / INDEX).get("weight_map")
        names = sorted({str(part) for part in parts.values()}) if isinstance(parts, dict) else []
        if not names or any(Path(name).name != name for name in names):
            raise ModelError(f"{folder / INDEX} names no files beside it; download the model again")
        for name in names:
            if not (folder / name).is_file():
                raise ModelError(f"{folder / name} is missing; download the model again")
        return [folder / name for name in names]
    if any(True for pattern in _PICKLES for _ in folder.glob(pattern)):
        raise ModelError(
            f"{folder} has its weights only as pickles or in other formats that vlsearch does not open, "
            f"because they can run code; use a revision with {WEIGHTS}, or convert them with safetensors"
        )
    raise ModelError(f"{folder} has no weights; a model folder needs {WEIGHTS}")


def load_model(checkpoint: Checkpoint, family: Family, device: str) -> Module:
    """The model in float32, in evaluation mode, on a device, every weight from the checkpoint.

    Raises:
        ModelError: weights are missing, damaged or of other shapes, or the device cannot be had.
    """
    import torch
    import transformers

    files = weight_files(checkpoint.folder)
    held = check_weights(checkpoint, files)
    architecture = getattr(transformers, family.architecture)
    try:
        with _quiet(), library_folder(checkpoint, files) as private:
            _check_size(checkpoint.folder, architecture, private, held)
            model, report = architecture.from_pretrained(
                str(private),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except ModelError:
        raise
    except (
        Exception
    ) as exc:  # what the files say reaches every corner of transformers, which raises anything at all
        reason = (str(exc).strip() or type(exc).__name__).split("\n")[0]
        raise ModelError(f"{checkpoint.folder} cannot be loaded as {family.name} ({reason})") from exc
    _check_complete(checkpoint.folder, report)
    try:
        return _frozen(model, device)
    except (RuntimeError, AssertionError, ValueError) as exc:  # AssertionError: torch without CUDA
        reason = str(exc).strip().split("\n")[0]
        raise ModelError(f"the model cannot be put on device {device} ({reason}); try --device cpu") from exc


def save_model(model: Module, folder: Path) -> None:
    """Write a model's ``config.json`` and safetensors into a folder, without the library's own bar."""
    saver: Any = model
    with _quiet():
        saver.save_pretrained(folder)


def _check_size(folder: Path, architecture: Any, private: Path, held: int) -> None:
    """Refuse a configuration that calls for far more numbers than the weights hold, before room is made for them.

    What is missing within :data:`SLACK` the library finds, and names.

    Raises:
        ModelError: it does.
    """
    import torch

    config = architecture.config_class.from_pretrained(str(private), local_files_only=True)
    with torch.device("meta"):  # shapes alone
        needed = sum(weight.numel() for weight in architecture(config).parameters())
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


def _optional(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _image_config(folder: Path) -> Mapping[str, Any]:
    """The nested configuration first, as ``ImageProcessingMixin.get_image_processor_dict`` has it."""
    nested = _optional(folder / "processor_config.json").get("image_processor")
    return nested if isinstance(nested, dict) else read_json(folder / "preprocessor_config.json")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own bar and load report off the terminal: what matters in them, we raise."""
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
