"""Corpora: folders, tables, data sets and archives as streams of items; nothing is decoded or downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from retrieval.catalogue_name import CATALOGUE
from retrieval.corpora.corpus import Corpus
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format, format_names
from retrieval.corpora.known_formats import FORMATS
from retrieval.corpora.options import SPELLINGS, CaptionColumn, CorpusOptions, parse_caption_column
from retrieval.corpora.recognise import Recognised, recognise
from retrieval.corpora.shard import Shard, parse_shard
from retrieval.corpora.sharded import sharded
from retrieval.corpora.spec import CorpusSpec, spec_of
from retrieval.corpora.textfile import unreadable
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.uris import is_url

__all__ = [
    "FORMATS",
    "CaptionColumn",
    "Corpus",
    "CorpusOptions",
    "CorpusPath",
    "CorpusSpec",
    "Format",
    "Shard",
    "open_corpus",
    "parse_caption_column",
    "parse_shard",
]

_DEFAULTS = CorpusOptions()


def open_corpus(source: str, options: CorpusOptions, formats: Sequence[Format] = FORMATS) -> Corpus:
    """Recognise a corpus, unless ``options.format`` says what it is, and check that it can be read.

    Args:
        source: path of a file or folder, or of several tars with braces (``train-{000..005}.tar``).
        options: how to read it.
        formats: those that it may be in, in the order in which they are asked; one of them reads folders.

    Raises:
        CorpusFormatError: it is missing, unreadable, or in none of the formats.
        UsageError: an option has no meaning for its format, or the format's name is unknown.
    """
    if not source or "\0" in source:
        raise UsageError(f"{source!a} is not a path; name a file or a folder")
    if is_url(source):
        raise UsageError(
            f"{source} is a URL, and corpora are read from disk; download it, or list it in a .txt file"
        )
    path = Path(source)
    try:
        if path.name.startswith(CATALOGUE):
            raise CorpusFormatError(
                source, "belongs to a collection, and is not a corpus", "Name pictures or captions"
            )
        if options.format is None:
            found = recognise(path, formats)
        else:
            found = Recognised(_named(options.format, formats), CorpusPath(path))
            _check_place(found.format, path)
        corpus = replace(_opened(found, options), spec=spec_of(source, options))
        return corpus if options.shard is None else sharded(corpus, options.shard)
    except OSError as error:  # a name that is too long, a folder that may not be searched
        raise CorpusFormatError(source, unreadable(error), "Check the path and its permissions") from error


def _named(name: str, formats: Sequence[Format]) -> Format:
    for format in formats:
        if format.name == name:
            return format
    raise UsageError(f"there is no format {name!r}; the formats are {format_names(formats)}")


def _check_place(format: Format, path: Path) -> None:
    """Refuse a path that is not what a format reads: a folder, or a regular file."""
    if format.reads == "files":
        return  # its names may be a pattern, and it checks each
    if not path.exists():
        raise CorpusFormatError(str(path), "there is no such file or folder", "Check the path")
    if path.is_dir() != (format.reads == "folder"):
        fault = f"is a {'folder' if path.is_dir() else 'file'}, which cannot be read as {format.name}"
        raise CorpusFormatError(str(path), fault, "Check the path and --format")
    if not (path.is_dir() or path.is_file()):
        raise CorpusFormatError(str(path), "is neither a regular file nor a folder", "Name one of these")


def _opened(found: Recognised, options: CorpusOptions) -> Corpus:
    _check_options(found, options)
    if found.images is not None and options.images is None:
        options = replace(options, images=found.images)
    corpus = found.format.open(found.at, options)
    return replace(corpus, note="; ".join(note for note in (found.note, corpus.note) if note) or None)


def _check_options(found: Recognised, options: CorpusOptions) -> None:
    """Refuse options that mean nothing for a format: what is ignored in silence is missed hours later."""
    for name, spelling in SPELLINGS.items():
        is_given = getattr(options, name) != getattr(_DEFAULTS, name)
        if is_given and name not in found.format.options:
            raise UsageError(
                f"{spelling} has no meaning for {found.at.path}, read as {found.format.name}; leave it out"
            )
