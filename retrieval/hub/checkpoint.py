"""A checkpoint's folder: its JSON files, read and checked, and its safetensors; anything else is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from retrieval.errors import ModelError
from retrieval.hub.config_limits import CONFIG_BYTES, check_config, whole_number
from retrieval.json_files import read_object

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
VOCABULARIES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""Files that a tokenizer may be read from."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The folder of a model and the contents of its JSON files.

    Attributes:
        folder: absolute.
        config: ``config.json``.
        image_config: ``preprocessor_config.json``, or ``image_processor`` in ``processor_config.json``.
        tokenizer_config: ``tokenizer_config.json``; empty where there is none.
    """

    folder: Path
    config: Mapping[str, Any]
    image_config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]

    def count(self, tower: Literal["text_config", "vision_config"] | None, key: str, default: int) -> int:
        """Return a whole number >= 0 of a tower's configuration, or of the model's own (None).

        Raises:
            ModelError: the file has something else there.
        """
        value = (self.config if tower is None else self._tower(tower)).get(key)
        return default if value is None else whole_number(value, key, str(self.folder / CONFIG))

    def _tower(self, tower: str) -> Mapping[str, Any]:
        value = self.config.get(tower) or {}
        if not isinstance(value, Mapping):
            raise ModelError(f"{self.folder / CONFIG}: {tower} is not an object; download the model again")
        return value


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        ModelError: there is no such file, or it holds something else.
    """
    try:
        return read_object(file, CONFIG_BYTES)
    except OSError as exc:
        best = file.parent / "best"  # where a training run's folder was given, and not the model in it
        hint = f"; the model of this run is {best}" if (best / file.name).is_file() else ""
        raise ModelError(f"{file} cannot be read ({exc.strerror}); a model folder needs it{hint}") from exc
    except ValueError as exc:
        raise ModelError(f"{file} {exc}; download the model again") from exc


def model_type(folder: Path) -> str:
    """Return the ``model_type`` that a folder's ``config.json`` states, or an empty string.

    Raises:
        ModelError: there is no readable ``config.json``.
    """
    return str(read_json(folder / CONFIG).get("model_type", ""))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a folder's configuration files, which may be of any model type.

    Raises:
        ModelError: a file is missing, asks for sizes that no model has, or wants code of its own to run.
    """
    config = read_json(folder / CONFIG)
    tokenizer_config = _optional(folder / TOKENIZER_CONFIG)
    for name, content in ((CONFIG, config), (TOKENIZER_CONFIG, tokenizer_config)):
        if content.get("auto_map"):
            raise ModelError(
                f"{folder / name} asks for Python code that comes with the model (auto_map); "
                "vlsearch never runs such code, so choose another model"
            )
    check_config(folder / CONFIG, config)
    return Checkpoint(folder, config, _image_config(folder), tokenizer_config)


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a checkpoint.

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


def has_vocabulary(folder: Path) -> bool:
    """Whether a folder has a file that a tokenizer can be read from."""
    return any((folder / name).is_file() for name in VOCABULARIES)


def vocabulary_digest(folder: Path) -> str:
    """Compute a sha256 (hex) over the tokenizer's files, their names included."""
    digest = hashlib.sha256()
    for name in VOCABULARIES:
        if (file := folder / name).is_file():
            digest.update(f"{name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _optional(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _image_config(folder: Path) -> Mapping[str, Any]:
    """Read the nested configuration first, as ``ImageProcessingMixin.get_image_processor_dict`` does."""
    nested = _optional(folder / "processor_config.json").get("image_processor")
    return nested if isinstance(nested, dict) else read_json(folder / "preprocessor_config.json")
