"""A private folder for transformers: the files of a checkpoint that were checked, and no others.

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

from retrieval.errors import ModelError
from retrieval.hub.checkpoint import CONFIG, INDEX, TOKENIZER_CONFIG, Checkpoint
from retrieval.hub.config_limits import CONFIG_BYTES
from retrieval.hub.safetensors_header import Shapes, check_memory, numbers, read_shapes
from retrieval.hub.tokenizer_files import FILE_BYTES, check_tokenizer
from retrieval.json_files import parse_object, read_regular

_LISTS = ("vocab.json", "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
SMALL = ("special_tokens_map.json", "added_tokens.json")


@contextmanager
def library_folder(checkpoint: Checkpoint, weights: list[Path]) -> Iterator[Path]:
    """Yield a temporary folder with a model's or a tokenizer's files, which the block may give to transformers.

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
        write_json(private / CONFIG, checkpoint.config)
        write_json(private / TOKENIZER_CONFIG, kept)
        for file in weights:
            _link(file, private / file.name)
        if not weights:
            take_tokenizer(checkpoint.folder, private)
        elif len(weights) > 1:
            _write_index(private, weights)
        yield private


def check_weights(checkpoint: Checkpoint, files: list[Path]) -> int:
    """Check the headers of weights, and return how many numbers they hold.

    Raises:
        ModelError: one lies, or the machine has no room for them.
    """
    shapes: Shapes = {}
    for file in files:
        shapes |= read_shapes(file)
    held = numbers(shapes)
    check_memory(checkpoint.folder, held)
    return held


def take_tokenizer(folder: Path, private: Path) -> None:
    """Copy the files of a tokenizer, checked, into a private folder.

    Raises:
        ModelError: one cannot be read, or is refused.
    """
    for name in (*_LISTS, *SMALL):
        if (folder / name).is_file():
            limit = CONFIG_BYTES if name in SMALL else FILE_BYTES
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


def write_json(file: Path, facts: Mapping[str, Any]) -> None:
    """Write a configuration anew."""
    file.write_text(json.dumps(dict(facts)), encoding="utf-8")


def _write_index(private: Path, weights: list[Path]) -> None:
    places = {name: file.name for file in weights for name in read_shapes(file)}
    write_json(private / INDEX, {"metadata": {}, "weight_map": places})


def _link(file: Path, target: Path) -> None:
    """Put a file under another name, without its bytes where the system can."""
    try:
        target.symlink_to(file.resolve(strict=True))
    except OSError:  # Windows, without the right to make links
        try:
            os.link(file, target)
        except OSError:
            shutil.copyfile(file, target)
