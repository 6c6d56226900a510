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
from retrieval.corpora.noted_objects import NotedObjects
from retrieval.corpora.options import SPELLINGS, CaptionColumn, CorpusOptions, parse_caption_column
from retrieval.corpora.recognise import Recognised, recognise
from retrieval.corpora.shard import Shard, parse_shard
from retrieval.corpora.sharded import sharded
from retrieval.corpora.spec import CorpusSpec, spec_of
from retrieval.corpora.textfile import unreadable
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.extras import require
from retrieval.uris import is_object_uri, is_url

__all__ = [
    "FORMATS",
    "CaptionColumn",
    "Corpus",
    "CorpusOptions",
    "CorpusPath",
    "CorpusSpec",
    "Format",
    "NotedObjects",
    "Shard",
    "open_corpus",
    "parse_caption_column",
    "parse_shard",
]

_DEFAULTS = CorpusOptions()


def open_corpus(
    source: str,
    options: CorpusOptions,
    formats: Sequence[Format] = FORMATS,
    noted: NotedObjects | None = None,
) -> Corpus:
    """Recognise a corpus, unless ``options.format`` says what it is, and check that it can be read.

    Args:
        source: path of a file or folder, or of several tars with braces (``train-{000..005}.tar``); or the same in
            an S3 store (``s3://bucket/photos``).
        options: how to read it.
        formats: those that it may be in, in the order in which they are asked; one of them reads folders.
        noted: what a collection noted of the objects of this corpus in a store, when it was read with these options.

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
    if is_object_uri(source):
        corpus = replace(_opened_in_store(source, options, formats, noted), spec=spec_of(source, options))
        return corpus if options.shard is None else sharded(corpus, options.shard)
    path = Path(source)
    try:
        if path.name.startswith(CATALOGUE):
            raise CorpusFormatError(
                source, "belongs to a collection, and is not a corpus", "Name pictures or captions"
            )
        corpus = replace(_opened_file(path, options, formats), spec=spec_of(source, options))
        return corpus if options.shard is None else sharded(corpus, options.shard)
    except OSError as error:  # a name that is too long, a folder that may not be searched
        raise CorpusFormatError(source, unreadable(error), "Check the path and its permissions") from error


def _opened_file(
    path: Path, options: CorpusOptions, formats: Sequence[Format], images: Path | None = None
) -> Corpus:
    """Open a file or folder of this machine; ``images`` is the folder that names in it count from, if that is known."""
    if options.format is None:
        found = recognise(path, formats)
    else:
        found = Recognised(_named(options.format, formats), CorpusPath(path))
        _check_place(found.format, path)
    return _opened(found if images is None else replace(found, images=images), options)


def _opened_in_store(
    source: str, options: CorpusOptions, formats: Sequence[Format], noted: NotedObjects | None
) -> Corpus:
    from retrieval.corpora.object_corpus import open_object_corpus  # late: few corpora lie in a store

    require("s3", "reading s3://")
    of_folders = next(one for one in formats if one.reads == "folder")
    named = None if options.format is None else _named(options.format, formats)
    return open_object_corpus(
        source,
        options,
        may_be_folder=named is None or named is of_folders,
        may_be_file=named is not of_folders,
        check_folder=lambda: _check_options(of_folders, source, options),
        open_file=lambda path: _opened_file(path, options, formats, images=path.parent),
        noted=noted,
    )


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
    _check_options(found.format, str(found.at.path), options)
    if found.images is not None and options.images is None:
        options = replace(options, images=found.images)
    corpus = found.format.open(found.at, options)
    return replace(corpus, note="; ".join(note for note in (found.note, corpus.note) if note) or None)


def _check_options(format: Format, place: str, options: CorpusOptions) -> None:
    """Refuse options that mean nothing for a format: what is ignored in silence is missed hours later."""
    for name, spelling in SPELLINGS.items():
        is_given = getattr(options, name) != getattr(_DEFAULTS, name)
        if is_given and name not in format.options:
            raise UsageError(f"{spelling} has no meaning for {place}, read as {format.name}; leave it out")
