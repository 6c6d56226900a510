"""Which format a source is in: by what it is, its name's end, its first bytes and its keys, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retrieval.corpora.columns import has_usual_columns
from retrieval.corpora.formats.flickr import is_flickr_line
from retrieval.corpora.formats.webdataset import compression_of
from retrieval.corpora.locate import is_url
from retrieval.corpora.textfile import check_encoding, unreadable
from retrieval.errors import CorpusFormatError
from retrieval.suffixes import is_picture_name

RECOGNISED = (
    "a folder of pictures, CSV (.csv), TSV (.tsv), JSON Lines (.jsonl), Parquet (.parquet), COCO captions or "
    "Karpathy splits (.json), WebDataset (.tar, or train-{000..005}.tar), a text file with one caption or "
    "one URL a line (.txt), Flickr captions (.token.txt)"
)
"""What can be recognised, for error messages."""

_BY_SUFFIX = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".pq": "parquet", ".json": "json", ".tar": "webdataset",
}  # fmt: skip
_LINES_SUFFIXES = ("", ".txt", ".token", ".text", ".lst", ".list", ".urls")
_HEAD = 4096  # bytes looked at


@dataclass(frozen=True, slots=True)
class Recognised:
    """The file or folder to read and its format (``json``: its keys decide), with a note for the user."""

    path: Path
    format: str
    note: str | None = None


def recognise(source: Path) -> Recognised:
    """What a source is.

    A folder with a folder ``images`` in it, and beside that either ``captions.jsonl`` or exactly one
    ``annotations/captions_*.json`` (the first wins), is the data set that this file describes. Every other
    folder is one of pictures, and ``--format folder`` makes it one.

    Raises:
        CorpusFormatError: it is not there, cannot be read, or is nothing that can be recognised.
    """
    if source.is_dir():
        return _recognise_folder(source)
    if not source.exists():
        if source.suffix.lower() == ".tar" and "{" in str(source):
            return Recognised(source, "webdataset")
        raise CorpusFormatError(str(source), "there is no such file or folder", "Check the path")
    if not source.is_file():
        raise CorpusFormatError(str(source), "is neither a regular file nor a folder", "Name one of these")
    head = _head(source)
    if compression := compression_of(head):
        fault = f"is compressed ({compression}), and corpora are read as they are"
        raise CorpusFormatError(str(source), fault, "Decompress it first")
    format = _BY_SUFFIX.get(source.suffix.lower()) or _by_bytes(head) or _by_first_line(source, head)
    if format is None and is_picture_name(source.name):
        raise CorpusFormatError(str(source), "is one picture, and no corpus", "Name the folder that it is in")
    if format is None:
        remedy = f"Pass --format if it is one of what can be read: {RECOGNISED}"
        raise CorpusFormatError(str(source), "is in no format that is recognised", remedy)
    return Recognised(source, format)


def _recognise_folder(folder: Path) -> Recognised:
    if not (folder / "images").is_dir():
        return Recognised(folder, "folder")
    captions = folder / "captions.jsonl"
    annotations = sorted((folder / "annotations").glob("captions_*.json"))
    if captions.is_file():
        return Recognised(captions, "jsonl", _note(captions))
    if len(annotations) > 1:
        names = ", ".join(path.name for path in annotations)
        remedy = "Name one of them, or pass --format folder to take the pictures without captions"
        raise CorpusFormatError(str(folder), f"holds several caption files ({names})", remedy)
    if annotations:
        return Recognised(annotations[0], "coco", _note(annotations[0]))
    return Recognised(folder, "folder")


def _note(file: Path) -> str:
    return f"reading what {file} lists; --format folder takes every picture of the folder, without captions"


def _head(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise CorpusFormatError(
            str(source), unreadable(error), "Check the file and its permissions"
        ) from error


def _by_bytes(head: bytes) -> str | None:
    if head.startswith(b"PAR1"):
        return "parquet"
    return "webdataset" if head[257:262] == b"ustar" else None


def _by_first_line(source: Path, head: bytes) -> str | None:
    """A text file's format; a header such as ``image,caption`` makes a .txt a table (Kaggle's Flickr8k)."""
    if source.suffix.lower() not in _LINES_SUFFIXES:
        return None
    check_encoding(head, source)
    if b"\0" in head or not head.strip():
        return None
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    first = text.splitlines()[0] if text else ""
    if is_url(first):
        return "urls"
    if first.startswith("{") and first.rstrip().endswith("}"):
        return "jsonl"
    if is_flickr_line(first):
        return "flickr"
    if has_usual_columns(first.split("\t")):
        return "tsv"
    return "csv" if has_usual_columns(first.split(",")) else "lines"
