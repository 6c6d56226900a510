"""JSON Lines: one object a line, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from retrieval.corpora.columns import choose_columns
from retrieval.corpora.corpus import Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import AnnotationFile, Format
from retrieval.corpora.options import TABLE_OPTIONS, CorpusOptions
from retrieval.corpora.records import PROBED, Table, table_of
from retrieval.corpora.textfile import estimate_lines, read_lines
from retrieval.corpora.values import parse_object
from retrieval.errors import CorpusFormatError
from retrieval.types import Failure

_KEYS_LIMIT = 10_000  # different keys among these, of which each could be a column
_KEY_LIMIT = 1000  # characters
_HEAD = 1000  # objects whose keys are the columns to choose from: JSONL has no header, and keys may come late


def open_jsonl(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a JSONL file: its items are named ``row=12`` by line, and a key may hold a list of captions.

    Raises:
        CorpusFormatError: it cannot be read, no object stands in its first thousand lines, or a column is
            missing from all of them, or ambiguous.
        UsageError: ``options.images`` is not a folder.
    """
    path = at.path
    names: dict[str, None] = {}  # in order of appearance
    faults: list[Failure] = []
    for _, found in islice(_objects(path), _HEAD):
        if isinstance(found, Failure):
            faults.append(found)
        else:
            names.update(
                dict.fromkeys(
                    islice((key for key in found if len(key) <= _KEY_LIMIT), _KEYS_LIMIT - len(names))
                )
            )
    if not names:
        fault = f"holds no JSON object: its first line {faults[0].reason}" if faults else "is empty"
        raise CorpusFormatError(str(path), fault, "Give one JSON object a line")
    first = islice((one for _, one in _objects(path) if not isinstance(one, Failure)), PROBED)
    table, note = table_of(path, choose_columns(str(path), list(names), options), options, first)
    return Corpus(table.names.whole, "jsonl", lambda _: _entries(table), estimate_lines(path), note)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object] | Failure]]:
    """Parse each line, with its number; failures have an empty uri."""
    for number, text, fault in read_lines(path):
        if fault:
            yield number, Failure("", fault)
        elif text and not text.isspace():
            yield number, parse_object(text, "")


def _entries(table: Table) -> Entries:
    for number, found in _objects(table.names.path):
        if isinstance(found, Failure):
            yield Failure(table.names.part(f"row={number}"), found.reason)
        else:
            yield from table.entries(found, f"row={number}")


def _is_jsonl(at: CorpusPath) -> bool:
    line = at.first_line
    return line is not None and line.startswith("{") and line.rstrip().endswith("}")


def _annotations_in(folder: Path) -> AnnotationFile | None:
    captions = folder / "captions.jsonl"
    return AnnotationFile(captions) if captions.is_file() else None


FORMAT = Format(
    name="jsonl",
    title="JSON Lines",
    help="One JSON object a line; other keys than picture and captions become attributes.",
    uri="#row=12",
    open=open_jsonl,
    suffixes=(".jsonl", ".ndjson"),
    is_content=_is_jsonl,
    annotations_in=_annotations_in,
    options=TABLE_OPTIONS,
)
