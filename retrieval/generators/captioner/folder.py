"""The folder of a captioner: ``config.json``, ``model.safetensors`` and ``vocabulary.json``; nothing else is read.

Weights are stored as float32 or float16, or as int8 with a quantisation scale a row; they are float32 once they are
read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.errors import ModelError
from retrieval.generators.captioner.config import MODEL_TYPE, CaptionerConfig
from retrieval.hub.safetensors_header import check_memory, numbers, read_shapes
from retrieval.json_files import read_object, read_regular

CONFIG, WEIGHTS, VOCABULARY = "config.json", "model.safetensors", "vocabulary.json"
_VOCABULARY_BYTES, _LONGEST_WORD = 2**24, 100
_MOST_BYTES = 2**31  # of weights
_WORD = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True, eq=False)
class CaptionerFolder:
    """A folder whose files were read and fit together.

    Attributes:
        path: of the folder.
        config: ``config.json``.
        vocabulary: words, by token.
        weights: float32, by name.
        digest: sha256 (hex) of the weights and the vocabulary.
    """

    path: Path
    config: CaptionerConfig
    vocabulary: tuple[str, ...]
    weights: dict[str, NDArray[np.float32]]
    digest: str


def is_captioner(folder: Path) -> bool:
    """Whether a folder's ``config.json`` says that it is of this type."""
    try:
        return read_object(folder / CONFIG, _VOCABULARY_BYTES).get("model_type") == MODEL_TYPE
    except (OSError, ValueError):
        return False


def open_folder(path: Path) -> CaptionerFolder:
    """Read a folder.

    Raises:
        ModelError: a file is missing, damaged, or of another model.
    """
    config = CaptionerConfig.load(path / CONFIG)
    vocabulary, words = _read_vocabulary(path / VOCABULARY, config.vocabulary)
    weights, data = _read_weights(path, config)
    digest = hashlib.sha256(data)
    digest.update(words)
    return CaptionerFolder(path, config, vocabulary, weights, digest.hexdigest())


def _read_vocabulary(file: Path, size: int) -> tuple[tuple[str, ...], bytes]:
    try:
        facts, data = read_object(file, _VOCABULARY_BYTES), read_regular(file, _VOCABULARY_BYTES)
        words = tuple(facts["words"])
        if len(words) != size:
            raise ValueError(f"holds {len(words):,} words, and {CONFIG} says {size:,}")
        for word in words:
            if type(word) is not str or len(word) > _LONGEST_WORD or not _WORD.fullmatch(word):
                raise ValueError(f"holds {word!r:.80}, which is not a word")
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}; give a complete model folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged ({error}); copy the model folder again") from error
    return words, data


def _read_weights(folder: Path, config: CaptionerConfig) -> tuple[dict[str, NDArray[np.float32]], bytes]:
    file, shapes = folder / WEIGHTS, config.weight_shapes()
    check_memory(folder, numbers(read_shapes(file)))
    try:
        data = read_regular(file, _MOST_BYTES)
        stored = NumpyWeights(data, "")
        if unlike := sorted(set(stored) ^ set(shapes)):
            raise ValueError(f"{unlike[0]} is missing or not part of the model")
        for name, shape in shapes.items():
            if stored.shape(name) != shape:
                raise ValueError(f"{name} has the shape {stored.shape(name)}, not {shape}")
        with np.errstate(all="ignore"):
            weights = {name: stored[name] for name in shapes}
        if wrong := next((name for name, value in weights.items() if not np.isfinite(value).all()), None):
            raise ValueError(f"{wrong} holds numbers that are not finite")
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}; give a complete model folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{file} holds no weights of this model ({error}); copy the model folder again"
        ) from error
    return weights, data
