"""Which format a corpus is in: by what it is, its name's end, then its first bytes, first line or JSON keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format, format_titles
from retrieval.errors import CorpusFormatError
from retrieval.suffixes import is_image_name


@dataclass(frozen=True, slots=True)
class Recognised:
    """The format of a corpus and the file or folder to open, with what only its surroundings tell.

    Attributes:
        images: the folder of the images, where the corpus is the data set of a folder.
        note: a sentence for the user, where they might have expected something else.
    """

    format: Format
    at: CorpusPath
    images: Path | None = None
    note: str | None = None


def recognise(path: Path, formats: Sequence[Format]) -> Recognised:
    """Recognise what a path holds.

    A folder with a folder ``images`` in it and, beside that, a file by which a format describes such folders is the
    data set that this file describes; the first format that finds one wins. Every other folder is one of images.

    Raises:
        CorpusFormatError: it is not there, cannot be read, or is in none of the formats.
    """
    if path.is_dir():
        return _recognise_folder(path, formats)
    at = CorpusPath(path)
    if not path.exists():
        return Recognised(_format_of_pattern(at, formats), at)
    if not path.is_file():
        raise CorpusFormatError(str(path), "is neither a regular file nor a folder", "Name one of these")
    if at.compression:
        fault = f"is compressed ({at.compression}), and corpora are read as they are"
        raise CorpusFormatError(str(path), fault, "Decompress it first")
    named = [one for one in formats if at.suffix in one.suffixes]
    if len(named) == 1:
        return Recognised(named[0], at)
    for format in named or formats:
        if format.is_content(at):
            return Recognised(format, at)
    raise _not_recognised(at, named, formats)


def _recognise_folder(folder: Path, formats: Sequence[Format]) -> Recognised:
    of_images = next(one for one in formats if one.reads == "folder")
    if not (folder / "images").is_dir():
        return Recognised(of_images, CorpusPath(folder))
    for format in formats:
        if found := format.annotations_in(folder):
            note = (
                f"reading what {found.file} lists; --format {of_images.name} takes every picture of the folder, "
                "without captions"
            )
            return Recognised(format, CorpusPath(found.file), found.images, note)
    return Recognised(of_images, CorpusPath(folder))


def _format_of_pattern(at: CorpusPath, formats: Sequence[Format]) -> Format:
    if "{" in str(at.path):
        for format in formats:
            if format.reads == "files" and at.suffix in format.suffixes:
                return format
    raise CorpusFormatError(str(at.path), "there is no such file or folder", "Check the path")


def _not_recognised(at: CorpusPath, named: Sequence[Format], formats: Sequence[Format]) -> CorpusFormatError:
    path = str(at.path)
    if is_image_name(at.path.name):
        return CorpusFormatError(path, "is one picture, and not a corpus", "Name the folder that it is in")
    fault = "is in no format that is recognised"
    if named:
        keys = f" (its keys: {', '.join(sorted(at.document)[:10]) or 'none'})" if at.suffix == ".json" else ""
        fault = f"is neither {' nor '.join(one.title for one in named)}{keys}"
    remedy = f"Pass --format if it is one of what can be read: {format_titles(formats)}"
    return CorpusFormatError(path, fault, remedy)
