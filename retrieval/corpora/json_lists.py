"""The lists of one large JSON object, read in pieces: an element is kept as its bytes and parsed when asked for.

COCO's training captions take a fifth of what they take as Python objects, and no nesting, number or string of a
hostile file takes more than the limits here.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, overload

from retrieval.corpora.textfile import LINE_LIMIT
from retrieval.corpora.values import NESTING_LIMIT, parse_value
from retrieval.types import Failure

FILE_LIMIT = 2**30  # bytes; read at 20 to 100 MB a second
MEMORY_LIMIT = 3 * 2**27  # bytes that the elements of all lists may take
_OVERHEAD = 350  # bytes of an element beside its own, with what readers note of it
_PIECE = 2**20
_BLANK = b" \t\r\n"
_KEYS_LIMIT = 1000
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|"', re.DOTALL)  # a mark alone: a string that goes on


class NotJson(ValueError):
    """Why a file cannot be read, in a clause."""


class RawList(Sequence[object]):
    """The elements of a list, parsed at each access."""

    def __init__(self) -> None:
        self._elements: list[bytes] = []

    def append(self, raw: bytes) -> None:
        """Append an element, which must be valid JSON."""
        self._elements.append(raw)

    def __len__(self) -> int:
        return len(self._elements)

    @overload
    def __getitem__(self, at: int) -> object: ...
    @overload
    def __getitem__(self, at: slice) -> list[object]: ...
    def __getitem__(self, at: int | slice) -> object:
        if isinstance(at, slice):
            return [_parsed(raw) for raw in self._elements[at]]
        return _parsed(self._elements[at])

    def __iter__(self) -> Iterator[object]:
        return map(_parsed, self._elements)


def read_lists(path: Path, wanted: Collection[str]) -> dict[str, object]:
    """Read the object in a file: a RawList under each key that is wanted and holds a list, None under others.

    Raises:
        NotJson: it holds something else, or more than the limits allow.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return _Reader(file).document(frozenset(wanted))


def _parsed(raw: bytes) -> object:
    value = parse_value(raw)
    return None if isinstance(value, Failure) else value  # checked when it was taken in


def _deeper(depth: int, token: bytes) -> int:
    """Compute the nesting depth after a token."""
    if token in b"[{":
        if depth >= NESTING_LIMIT:
            raise NotJson(f"is JSON that is nested too deeply, in more than {NESTING_LIMIT} levels")
        return depth + 1
    return depth - 1 if token in b"]}" else depth


class _Reader:
    """A buffer over a file, of which no more than a piece and one element is held."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._room = MEMORY_LIMIT
        self._fill()
        self._at = len(codecs.BOM_UTF8) if self._buffer.startswith(codecs.BOM_UTF8) else 0

    def document(self, wanted: frozenset[str]) -> dict[str, object]:
        first = self._peek()
        if first != b"{":
            raise NotJson(self._no_object())
        self._at += 1
        found: dict[str, object] = {}
        while self._peek() != b"}":
            if found:
                self._expect(b",")
            key = self._key()
            self._expect(b":")
            if key in wanted and key in found:
                raise NotJson(f"has the key {key!r} twice")
            if key in wanted and self._peek() == b"[":
                found[key] = self._list()
            elif key in wanted:
                found[key] = self._checked(self._value())
            else:
                self._skip()
                if len(found) < _KEYS_LIMIT:
                    found[key] = None
        self._at += 1
        if self._peek():
            raise NotJson("is not JSON (something follows the object)")
        return found

    def _list(self) -> RawList:
        elements = RawList()
        self._expect(b"[")
        while self._peek() != b"]":
            if len(elements):
                self._expect(b",")
            raw = self._value()
            self._checked(raw)
            self._room -= len(raw) + _OVERHEAD
            if self._room < 0:
                raise NotJson(
                    "holds more than can be kept in memory; convert it to JSONL, one object a picture"
                )
            elements.append(raw)
        self._at += 1
        return elements

    def _checked(self, raw: bytes) -> object:
        value = parse_value(raw)
        if isinstance(value, Failure):
            raise NotJson(value.reason)
        return value

    def _key(self) -> str:
        raw = self._value()
        key = self._checked(raw)
        if not isinstance(key, str):
            raise NotJson(f"is not JSON (a key is {raw[:40]!r})")
        return key if len(key) <= 200 else f"{key[:200]}..."

    def _value(self) -> bytes:
        """Read the bytes of the next value, at most a mebibyte."""
        first = self._peek()
        if not first:
            raise NotJson("is not JSON (it ends too early)")
        return self._scalar() if first not in b'[{"' else self._nested()

    def _scalar(self) -> bytes:
        end = self._at
        while True:
            match = _SCALAR_END.search(self._buffer, end)
            if match is not None:
                break
            end = len(self._buffer)
            end -= self._more(len(self._buffer) - self._at)
            if end == len(self._buffer):
                raise NotJson("is not JSON (it ends too early)")
        raw, self._at = self._buffer[self._at : match.start()], match.start()
        if not raw:
            raise NotJson(
                f"is not JSON ({self._buffer[self._at : self._at + 20]!r} stands where a value should)"
            )
        return raw

    def _nested(self) -> bytes:
        depth, position = 0, self._at
        while True:
            for match in _TOKEN.finditer(self._buffer, position):
                token = match[0]
                if token == b'"':
                    position = match.start()
                    break
                position = match.end()
                depth = _deeper(depth, token)
                if depth <= 0:
                    raw, self._at = self._buffer[self._at : position], position
                    return raw
            else:
                position = len(self._buffer)
            before = len(self._buffer)
            position -= self._more(before - self._at)
            if position >= len(self._buffer) or (
                self._ended and self._buffer[position : position + 1] == b'"'
            ):
                raise NotJson("is not JSON (it ends within a value)")

    def _skip(self) -> None:
        """Step over a value of any length, of which only its strings must fit."""
        if self._peek() not in (b"[", b"{"):
            self._value()
            return
        depth = 0
        while True:
            position = self._at
            lone = False
            for match in _TOKEN.finditer(self._buffer, self._at):
                token = match[0]
                if token == b'"':
                    position, lone = match.start(), True
                    break
                position = match.end()
                depth = _deeper(depth, token)
                if depth <= 0:
                    self._at = position
                    return
            self._at = position if lone else len(self._buffer)
            self._more(len(self._buffer) - self._at)
            if self._ended:
                raise NotJson("is not JSON (it ends within a value)")

    def _expect(self, character: bytes) -> None:
        if self._peek() != character:
            there = self._buffer[self._at : self._at + 20]
            raise NotJson(f"is not JSON ({there!r} stands where {character.decode()} should)")
        self._at += 1

    def _peek(self) -> bytes:
        """Look at the next byte that is not blank, without taking it; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _BLANK:
                    return self._buffer[self._at : self._at + 1]
                self._at += 1
            self._more(0)
            if self._ended:
                return b""

    def _more(self, needed: int) -> int:
        """Read one more piece and drop what has been parsed; returns by how much positions move back."""
        if needed > LINE_LIMIT:
            raise NotJson(f"holds a value of more than {LINE_LIMIT:,} bytes")
        moved, self._buffer, self._at = self._at, self._buffer[self._at :], 0
        self._fill()
        return moved

    def _fill(self) -> None:
        piece = self._file.read(_PIECE)
        self._ended = not piece
        self._buffer += piece

    def _no_object(self) -> str:
        if not self._peek():
            return "is not JSON (it is empty)"
        if self._peek() == b"[":
            return "is JSON, but a list instead of an object"
        return f"is not a JSON object (it begins with {self._buffer[self._at : self._at + 20]!r})"


_SCALAR_END = re.compile(rb'[\s,\]}:"\[{]')
