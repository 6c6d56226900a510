"""What the tests of readers share: read a corpus to its end, and write small ones."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.types import CorpusImage, CorpusText, Entry, Failure


class Read:
    """A corpus that was read to its end, its parts in the order in which they came."""

    def __init__(self, found: Iterable[Entry | Failure]) -> None:
        everything = list(found)
        self.entries = [one for one in everything if isinstance(one, Entry)]
        self.failures = [one for one in everything if isinstance(one, Failure)]

    @property
    def pictures(self) -> list[CorpusImage]:
        return [entry.image for entry in self.entries if entry.image is not None]

    @property
    def texts(self) -> list[CorpusText]:
        return [text for entry in self.entries for text in entry.texts]

    @property
    def words(self) -> list[str]:
        return [text.text for text in self.texts]

    @property
    def reasons(self) -> list[str]:
        return [failure.reason for failure in self.failures]


def read(source: Path | str, **options: Any) -> Read:
    """Read a corpus with some :class:`CorpusOptions`."""
    return Read(open_corpus(str(source), CorpusOptions(**options)).entries())


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, value: object) -> Path:
    return write(path, json.dumps(value))


def write_tar(path: Path, members: Mapping[str, bytes], format: int = tarfile.PAX_FORMAT) -> Path:
    """An uncompressed tar of regular members, in their order."""
    with tarfile.open(path, "w", format=format) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
