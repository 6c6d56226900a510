"""A SentencePiece unigram model (``spiece.model``) as a tokenizer, without the sentencepiece package.

Some checkpoints ship their vocabulary only in this form. The file is one protocol buffer of a few fields
(https://github.com/google/sentencepiece, ``src/sentencepiece_model.proto``); tests compare the result with
sentencepiece itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import ModelError
from retrieval.hub.tokenizer_files import FILE_BYTES, check_charsmap, check_pieces, tokenizer_faults
from retrieval.json_files import read_regular

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Field = int | bytes
"""A varint, or the bytes of a string, a message or a fixed number."""

_UNIGRAM = 1  # TrainerSpec.ModelType


@dataclass(frozen=True, slots=True)
class UnigramModel:
    """What the file says.

    Attributes:
        pieces: (piece, log probability) in the order of their ids.
        unknown: id of the piece for what no other covers.
        byte_fallback: whether unknown characters become bytes.
        charsmap: normalisation table that ``tokenizers`` takes as it is.
    """

    pieces: list[tuple[str, float]]
    unknown: int
    byte_fallback: bool
    charsmap: bytes


def read_sentencepiece(file: Path) -> Tokenizer:
    """Build the tokenizer of a unigram model; it adds no special tokens and prefixes every text with a blank.

    Raises:
        ModelError: the file is missing, damaged, or of another kind than unigram.
    """
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import Unigram

    model = parse_model(file)
    with tokenizer_faults(str(file)):
        tokenizer = Tokenizer(Unigram(model.pieces, model.unknown, model.byte_fallback))
        steps: list[normalizers.Normalizer] = (
            [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
        )
    steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def parse_model(file: Path) -> UnigramModel:
    """The parts of a model that tokenizing needs.

    Raises:
        ModelError: the file is missing, damaged, or of another kind than unigram.
    """
    try:
        data = read_regular(file, FILE_BYTES)
        model = _parse(data)
        if model.charsmap:
            check_charsmap(model.charsmap)
        check_pieces(piece for piece, _ in model.pieces)
    except OSError as exc:
        raise ModelError(
            f"{file} cannot be read ({exc.strerror}); the model needs it or tokenizer.json"
        ) from exc
    except (IndexError, ValueError, TypeError, struct.error) as exc:
        raise ModelError(
            f"{file} is not a SentencePiece unigram model ({exc}); download the model again"
        ) from exc
    if not 0 <= model.unknown < len(model.pieces):
        raise ModelError(
            f"{file} is not a SentencePiece unigram model (it has no pieces); download the model again"
        )
    return model


def _parse(data: bytes) -> UnigramModel:
    pieces: list[tuple[str, float]] = []
    unknown, byte_fallback, kind, charsmap = 0, False, _UNIGRAM, b""
    for number, value in _fields(data):
        if number == 1:  # repeated SentencePiece pieces
            piece, score = "", 0.0
            for part, content in _fields(_message(value)):
                if part == 1:
                    piece = _message(content).decode()
                elif part == 2:
                    score = float(struct.unpack("<f", _message(content))[0])
            pieces.append((piece, score))
        elif number == 2:  # TrainerSpec
            spec = dict(_fields(_message(value)))
            kind, unknown = int(spec.get(3, _UNIGRAM)), int(spec.get(40, 0))
            byte_fallback = bool(spec.get(35, 0))
        elif number == 3:  # NormalizerSpec
            charsmap = _message(dict(_fields(_message(value))).get(2, b""))
    if kind != _UNIGRAM:
        raise ValueError(f"model type {kind}")
    return UnigramModel(pieces, unknown, byte_fallback, charsmap)


def _message(value: Field) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where a message belongs")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Field]]:
    """(field number, value) of a message, in the order of the file."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            number, place = _varint(data, place)
            yield key >> 3, number
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if place + size > len(data):
            raise ValueError("cut short")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a varint without end")
