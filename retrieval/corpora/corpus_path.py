"""A path that is named as a corpus, and what its format is recognised by: first bytes, first line, JSON keys."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from retrieval.corpora.document import Document, load_document
from retrieval.corpora.textfile import check_encoding, unreadable
from retrieval.errors import CorpusFormatError
from retrieval.suffixes import suffix_of

_HEAD_LIMIT = 4096  # bytes
_TEXT_SUFFIXES = ("", ".txt", ".token", ".text", ".lst", ".list", ".urls")
"""Suffixes that promise a text and do not say of what kind; a file with another one is never taken for a text."""

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class CorpusPath:
    """A file or folder that may be a corpus. What is looked at is read once, when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.suffix = suffix_of(path.name)

    @cached_property
    def head(self) -> bytes:
        """The first 4,096 bytes.

        Raises:
            CorpusFormatError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return file.read(_HEAD_LIMIT)
        except OSError as error:
            raise CorpusFormatError(
                str(self.path), unreadable(error), "Check the file and its permissions"
            ) from error

    @property
    def compression(self) -> str | None:
        """The compression that the first bytes tell, or None."""
        return next((name for mark, name in _COMPRESSIONS.items() if self.head.startswith(mark)), None)

    @cached_property
    def first_line(self) -> str | None:
        """The first line that is not blank; None where neither suffix nor first bytes are those of a text.

        Raises:
            CorpusFormatError: the file cannot be read, or is UTF-16 or UTF-32.
        """
        if self.suffix not in _TEXT_SUFFIXES:
            return None
        check_encoding(self.head, self.path)
        if b"\0" in self.head or not self.head.strip():
            return None
        text = self.head.decode("utf-8-sig", errors="replace").lstrip()
        return text.splitlines()[0] if text else ""

    @cached_property
    def document(self) -> Document:
        """The JSON object that the whole file is.

        Raises:
            CorpusFormatError: it cannot be read, is larger than 1 GiB, or is not a JSON object.
        """
        return load_document(self.path)
