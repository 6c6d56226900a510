"""What the library may see of a checkpoint's folder: configurations that were read, files that were looked at.

transformers opens whatever it finds beside a model: adapters that name another model, templates, more configurations,
pipes that nobody writes to, paths in ``tokenizer_config.json``. It gets a private folder that has none of these.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrieval.encoders.hub.family import Checkpoint
from retrieval.encoders.safetensors_header import Shapes, check_memory, numbers, read_shapes
from retrieval.encoders.tokenizer_files import FILE_BYTES, check_tokenizer
from retrieval.errors import ModelError
from retrieval.json_files import parse_object, read_regular

CONFIG_BYTES = 4 * 2**20
_LISTS = ("vocab.json", "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
_SMALL = ("special_tokens_map.json", "added_tokens.json")
_LARGEST = 2**31
_MOST = {
    "num_hidden_layers": 256,
    "num_attention_heads": 256,
    "num_key_value_heads": 256,
    "hidden_size": 2**14,
    "intermediate_size": 2**17,
    "projection_dim": 2**14,
    "project_dim": 2**14,
    "projection_size": 2**14,
    "vocab_size": 2**22,
    "type_vocab_size": 2**10,
    "max_position_embeddings": 2**16,
    "image_size": 2**12,
    "patch_size": 2**10,
    "num_patches": 2**14,
    "num_channels": 2**6,
    "hidden_dim": 2**14,
    "depth_coefficient": 16,
    "width_coefficient": 16,
    "depth_divisor": 2**10,
    "num_block_repeats": 2**6,
    "expand_ratios": 2**6,
    "in_channels": 2**14,
    "out_channels": 2**14,
    "kernel_sizes": 2**6,
    "strides": 2**6,
    "squeeze_expansion_ratio": 1,
}
"""Of what sizes a model: more than any published one has, and no more than a machine builds in seconds."""


def check_config(file: Path, config: Mapping[str, Any]) -> None:
    """Refuse a configuration that asks for code, another loader, or sizes beyond all measure.

    Raises:
        ModelError: it does.
    """
    waiting: list[tuple[str, Any]] = list(config.items())
    while waiting:
        name, value = waiting.pop()
        if name in ("auto_map", "quantization_config", "base_model_name_or_path") and value:
            raise ModelError(
                f"{file} asks for Python code or a loader that comes with the model ({name}); vlsearch never runs "
                "such code, so choose another model"
            )
        if name.removeprefix("_") == "attn_implementation" and "/" in str(value):
            raise ModelError(f"{file} asks for code from a hub ({name} {value!r:.80}); choose another model")
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            if len(value) > _LARGEST.bit_length() and name in _MOST:
                raise ModelError(f"{file}: {name} has {len(value):,} parts; download the model again")
            waiting += [(name, part) for part in value]
        elif isinstance(value, (int, float)) and not abs(value) <= _MOST.get(name, _LARGEST):
            raise ModelError(f"{file}: {name} is {value!r:.40}; no model has so much, so download it again")


@contextmanager
def library_folder(checkpoint: Checkpoint, weights: list[Path]) -> Iterator[Path]:
    """A private folder for transformers, for as long as the block lasts: a model's or a tokenizer's files.

    Args:
        checkpoint: its configurations are written anew, so that the library reads what was checked.
        weights: safetensors files, whose headers are checked; none for a tokenizer alone.

    Raises:
        ModelError: a file cannot be read, or is refused.
    """
    with tempfile.TemporaryDirectory(prefix="vlsearch-model-") as name:
        private = Path(name)
        kept = {
            key: value
            for key, value in checkpoint.tokenizer_config.items()
            if not key.endswith(("_file", "_files")) and key not in ("chat_template", "auto_map")
        }
        _write(private / "config.json", checkpoint.config)
        _write(private / "tokenizer_config.json", kept)
        for file in weights:
            _link(file, private / file.name)
        if not weights:
            _take_tokenizer(checkpoint.folder, private)
        elif len(weights) > 1:
            _write_index(private, weights)
        yield private


def check_weights(checkpoint: Checkpoint, files: list[Path]) -> int:
    """Check the headers of weights; how many numbers they hold.

    Raises:
        ModelError: one lies, or the machine has no room for them.
    """
    shapes: Shapes = {}
    for file in files:
        shapes |= read_shapes(file)
    held = numbers(shapes)
    check_memory(checkpoint.folder, held)
    return held


def _take_tokenizer(folder: Path, private: Path) -> None:
    for name in (*_LISTS, *_SMALL):
        if (folder / name).is_file():
            limit = CONFIG_BYTES if name in _SMALL else FILE_BYTES
            data = _read(folder / name, limit)
            if name.endswith(".json"):
                _parse(folder / name, data)
            (private / name).write_bytes(data)
    if (folder / "tokenizer.json").exists():
        (private / "tokenizer.json").write_bytes(check_tokenizer(folder / "tokenizer.json"))


def _read(file: Path, limit: int) -> bytes:
    try:
        return read_regular(file, limit)
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror}); download the model again") from error
    except ValueError as error:
        raise ModelError(f"{file} {error}; download the model again") from error


def _parse(file: Path, data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data)
    except ValueError as error:
        raise ModelError(f"{file} {error}; download the model again") from error


def _write(file: Path, facts: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(dict(facts)), encoding="utf-8")


def _write_index(private: Path, weights: list[Path]) -> None:
    places = {name: file.name for file in weights for name in read_shapes(file)}
    _write(private / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})


def _link(file: Path, target: Path) -> None:
    """Put a file under another name, without its bytes where the system can."""
    try:
        target.symlink_to(file.resolve(strict=True))
    except OSError:  # Windows, without the right to make links
        try:
            os.link(file, target)
        except OSError:
            shutil.copyfile(file, target)
