"""Captions that some program wrote, from a file, matched with the pictures of an evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from retrieval.corpora.formats.delimited import read_csv_rows, read_tsv_rows
from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.evaluation.protocols.reading import read_json, read_json_lines, read_lines
from retrieval.texts import normalise_text
from retrieval.types import CorpusImage
from retrieval.uris import display, split_file_uri

PICTURE_FIELDS = ("image_id", "image", "uri", "file_name", "key")
_COCO_NUMBER = re.compile(r"(?:.*_)?0*([0-9]{1,18})")
_HINT = 'Give a caption for each picture, as in COCO\'s results: [{"image_id": 42, "caption": "..."}]'


def read_predictions(path: Path) -> list[tuple[str, str, str]]:
    """Read (place, picture, caption) from a file of captions.

    It is COCO's results (a JSON list of objects), JSON lines of such objects, or a table (``.csv``, ``.tsv``) with a
    heading. A picture is named by ``image_id``, ``image``, ``uri``, ``file_name`` or ``key``, its words by ``caption``.

    Raises:
        CorpusFormatError: it is something else, or a record lacks one of the two.
    """
    records = _rows(path) if path.suffix.lower() in (".csv", ".tsv") else _objects(path)
    return [_parsed(place, record) for place, record in records]


def match_predictions(
    images: Sequence[CorpusImage], predictions: Iterable[tuple[str, str, str]]
) -> tuple[str, ...]:
    """Give the caption of each picture, in their order.

    Raises:
        EvaluationError: a picture has no caption, or two; a caption belongs to no picture, or to several.
    """
    rows = _rows_by_name(images)
    found: dict[int, str] = {}
    for place, name, caption in predictions:
        wanted = rows.get(name) or rows.get(str(PurePosixPath(name)), set())  # as in ./photos/1.jpg
        if len(wanted) != 1:
            fault = f"{len(wanted)} pictures have that name" if wanted else "no picture has that name"
            raise EvaluationError(
                f"{place}: {name!r:.200}: {fault}; name a picture by its path or its COCO number"
            )
        row = next(iter(wanted))
        if row in found:
            raise EvaluationError(f"{place}: {name!r:.200} has a caption already; give one for each picture")
        found[row] = caption
    missing = [row for row in range(len(images)) if row not in found]
    if missing:
        raise EvaluationError(
            f"{len(missing):,} of the {len(images):,} pictures have no caption (the first is "
            f"{display(images[missing[0]].uri)}); figures over fewer pictures would be other figures"
        )
    return tuple(found[row] for row in range(len(images)))


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    first = next((line.lstrip()[:1] for _, line in read_lines(path)), "")
    if first == "{":
        yield from ((f"{path}:{number}", record) for number, record in read_json_lines(path))
        return
    records = read_json(path)
    if not isinstance(records, list):
        raise CorpusFormatError(str(path), "this is not a list of captions", _HINT)
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise CorpusFormatError(f"{path}, caption {number}", "this is not an object", _HINT)
        yield f"{path}, caption {number}", record


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read a table by the rules of corpora: fields of CSV may be quoted and span lines, in TSV nothing is quoted."""
    rows = read_tsv_rows(path) if path.suffix.lower() == ".tsv" else read_csv_rows(path)
    names: list[str] | None = None
    for line, fields, fault in rows:
        place = f"{path}:{line}"
        if fault is None and names is not None and len(fields) != len(names):
            fault = f"has {len(fields)} fields, and the heading {len(names)}"
        if fault is not None:
            raise CorpusFormatError(place, f"the row that ends here {fault}", _HINT)
        if names is None:
            names = [name.strip() for name in fields]
        else:
            yield place, dict(zip(names, fields, strict=True))


def _parsed(place: str, record: dict[str, Any]) -> tuple[str, str, str]:
    name = next((record[field] for field in PICTURE_FIELDS if record.get(field) is not None), None)
    caption = record.get("caption")
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise CorpusFormatError(place, f"no picture is named ({', '.join(PICTURE_FIELDS)})", _HINT)
    if not isinstance(caption, str):
        raise CorpusFormatError(place, "there is no caption", _HINT)
    return place, str(name), normalise_text(caption)


def _rows_by_name(images: Sequence[CorpusImage]) -> dict[str, set[int]]:
    rows: dict[str, set[int]] = {}
    for row, image in enumerate(images):
        for name in _names(image):
            rows.setdefault(name, set()).add(row)
    return rows


def _names(image: CorpusImage) -> set[str]:
    """Give all that a picture goes by: key, uri, path and its ends, file name without its suffix, COCO number."""
    split = split_file_uri(image.uri)
    inside = image.uri if split is None else split[1] or split[0].as_posix()
    file = PurePosixPath(inside)
    number = _COCO_NUMBER.fullmatch(file.stem)
    ends = {"/".join(file.parts[start:]) for start in range(len(file.parts))}
    names = {image.uri, display(image.uri), inside, file.stem} | ends
    return names | ({image.key} if image.key else set()) | ({number[1]} if number else set())
