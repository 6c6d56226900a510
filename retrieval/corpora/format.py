"""The record by which a format is recognised, opened and explained; one stands in each file of ``formats/``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retrieval.corpora.corpus import Corpus
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.options import CorpusOptions


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """A file that describes a folder of images, and the folder that its image names count from, if that is known."""

    file: Path
    images: Path | None = None


def _never(_: CorpusPath) -> bool:
    return False


def _none(_: Path) -> AnnotationFile | None:
    return None


@dataclass(frozen=True, slots=True)
class Format:
    """Description of one corpus format, used by recognition, help texts, documents and error messages.

    Attributes:
        name: what ``--format`` takes. It is stored in collections, and so never changes.
        title: what a corpus of this format is called in a message, such as ``COCO captions``.
        help: one sentence on what is read and how, for help texts and documents.
        uri: how the uri of an item ends, for documents, such as ``#row=12``.
        open: checks a corpus and opens it. It reads no more than it needs for that, and raises a
            :class:`~retrieval.errors.UsageError` where it cannot be read as this format.
        suffixes: of file names, in lower case with their dot. A suffix that no other format has is decisive.
        is_content: whether a file has this content; asked where several formats have the file's suffix, or none.
        annotations_in: finds the file of this format that describes a folder with a folder ``images`` in it.
        options: fields of :class:`CorpusOptions` that mean something here, beside ``format`` and ``lang``.
        reads: a folder, one file, or ``files``: one, or several that a pattern with braces stands for.
        shown_names: how names of such corpora look, for people; by default the suffixes.
    """

    name: str
    title: str
    help: str
    uri: str
    open: Callable[[CorpusPath, CorpusOptions], Corpus]
    suffixes: tuple[str, ...] = ()
    is_content: Callable[[CorpusPath], bool] = _never
    annotations_in: Callable[[Path], AnnotationFile | None] = _none
    options: frozenset[str] = frozenset()
    reads: Literal["folder", "file", "files"] = "file"
    shown_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """How names of such corpora look, for people."""
        return self.shown_names or self.suffixes


def format_titles(formats: Iterable[Format]) -> str:
    """Titles of formats, each with the names that its corpora have, for an error message."""
    return ", ".join(f"{one.title} ({' or '.join(one.names)})" if one.names else one.title for one in formats)


def format_names(formats: Iterable[Format]) -> str:
    """Names of formats, separated by commas."""
    return ", ".join(one.name for one in formats)
