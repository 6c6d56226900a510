"""Corpora: folders, tables, data sets and archives as streams of items; nothing is decoded or downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from retrieval.corpora.corpus import Corpus
from retrieval.corpora.document import kind_of_document, load_document
from retrieval.corpora.formats.coco import coco_corpus, open_coco
from retrieval.corpora.formats.delimited import open_csv, open_tsv
from retrieval.corpora.formats.flickr import open_flickr
from retrieval.corpora.formats.folder import COLLECTION_MARK, open_folder
from retrieval.corpora.formats.jsonl import open_jsonl
from retrieval.corpora.formats.karpathy import karpathy_corpus, open_karpathy
from retrieval.corpora.formats.lines import open_lines
from retrieval.corpora.formats.parquet import open_parquet
from retrieval.corpora.formats.urls import open_urls
from retrieval.corpora.formats.webdataset import open_webdataset
from retrieval.corpora.locate import is_url
from retrieval.corpora.options import CaptionColumn, CorpusOptions, parse_caption_column
from retrieval.corpora.recognise import RECOGNISED, Recognised, recognise
from retrieval.corpora.textfile import unreadable
from retrieval.errors import CorpusFormatError, UsageError

__all__ = ["FORMATS", "CaptionColumn", "Corpus", "CorpusOptions", "open_corpus", "parse_caption_column"]

_OPENERS: Mapping[str, Callable[[Path, CorpusOptions], Corpus]] = {
    "folder": open_folder,
    "csv": open_csv,
    "tsv": open_tsv,
    "jsonl": open_jsonl,
    "parquet": open_parquet,
    "coco": open_coco,
    "karpathy": open_karpathy,
    "flickr": open_flickr,
    "webdataset": open_webdataset,
    "lines": open_lines,
    "urls": open_urls,
}

FORMATS = tuple(_OPENERS)
"""Names that ``CorpusOptions.format`` takes."""

_DEFAULTS = CorpusOptions()
_TABLES = ("csv", "tsv", "jsonl", "parquet")
_TAKEN_BY = {  # options that mean nothing elsewhere are refused there, not ignored
    "image_column": ("--image-column", _TABLES),
    "caption_columns": ("--caption-column", (*_TABLES, "webdataset")),
    "images": ("--images", (*_TABLES, "coco", "karpathy", "flickr")),
    "split": ("--split", ("karpathy",)),
    "exclude": ("--exclude", ("folder",)),
    "default_excludes": ("--no-default-excludes", ("folder", "webdataset")),
}


def open_corpus(source: str, options: CorpusOptions) -> Corpus:
    """Recognise a source, unless ``options.format`` says what it is, and check that it can be read.

    Args:
        source: path of a file or folder, or of several tars with braces (``train-{000..005}.tar``).
        options: how to read it.

    Raises:
        CorpusFormatError: it is missing, unreadable, or in no known format.
        UsageError: an option has no meaning for its format, or the format's name is unknown.
    """
    if options.format is not None and options.format not in _OPENERS:
        raise UsageError(f"there is no format {options.format!r}; the formats are {', '.join(FORMATS)}")
    if not source or "\0" in source:
        raise UsageError(f"{source!a} is no path; name a file or a folder")
    if is_url(source):
        raise UsageError(
            f"{source} is a URL, and corpora are read from disk; download it, or list it in a .txt file"
        )
    try:
        return _open(Path(source), options)
    except OSError as error:  # a name that is too long, a folder that may not be searched
        raise CorpusFormatError(source, unreadable(error), "Check the path and its permissions") from error


def _open(path: Path, options: CorpusOptions) -> Corpus:
    if path.name.startswith(COLLECTION_MARK):
        raise CorpusFormatError(
            str(path), "belongs to a collection, and is no corpus", "Name pictures or captions"
        )
    found = recognise(path) if options.format is None else _as_told(path, options.format)
    if found.format == "json":
        return _open_document(found.path, options)
    _check_options(found, options)
    corpus = _OPENERS[found.format](found.path, _with_images(found, path, options))
    return replace(corpus, note="; ".join(note for note in (found.note, corpus.note) if note) or None)


def _as_told(path: Path, format: str) -> Recognised:
    if format != "webdataset" and not path.exists():
        raise CorpusFormatError(str(path), "there is no such file or folder", "Check the path")
    if format != "webdataset" and path.is_dir() != (format == "folder"):
        fault = f"is a {'folder' if path.is_dir() else 'file'}, which cannot be read as {format}"
        raise CorpusFormatError(str(path), fault, "Check the path and --format")
    if format != "webdataset" and not (path.is_dir() or path.is_file()):
        raise CorpusFormatError(str(path), "is neither a regular file nor a folder", "Name one of these")
    return Recognised(path, format)


def _open_document(path: Path, options: CorpusOptions) -> Corpus:
    document = load_document(path)
    kind = kind_of_document(document)
    if kind is None:
        keys = ", ".join(sorted(document)[:10]) or "none"
        remedy = f"Pass --format if it is one of what can be read: {RECOGNISED}"
        raise CorpusFormatError(
            str(path), f"is neither COCO captions nor a Karpathy JSON (its keys: {keys})", remedy
        )
    _check_options(Recognised(path, kind), options)
    return (coco_corpus if kind == "coco" else karpathy_corpus)(path, document, options)


def _check_options(found: Recognised, options: CorpusOptions) -> None:
    for name, (spelling, formats) in _TAKEN_BY.items():
        if getattr(options, name) != getattr(_DEFAULTS, name) and found.format not in formats:
            raise UsageError(
                f"{spelling} has no meaning for {found.path}, read as {found.format}; leave it out"
            )


def _with_images(found: Recognised, source: Path, options: CorpusOptions) -> CorpusOptions:
    """Options for a COCO data set given as a folder: its pictures are in ``images``, which recognised it."""
    if found.path == source or found.format != "coco" or options.images is not None:
        return options
    return replace(options, images=source / "images")
