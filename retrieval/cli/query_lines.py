"""The queries of ``vlsearch query --from``, one a line, and their answers as they come."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import click

from retrieval.answers import answer_facts, hit_facts, json_line
from retrieval.cli.certainty import sentence
from retrieval.cli.hit_output import Shape
from retrieval.cli.printing import name_bytes, name_line, printable
from retrieval.cli.progress import waiting
from retrieval.errors import UsageError
from retrieval.query.parse import parse_line
from retrieval.query.parts import Query
from retrieval.query.without import read_query
from retrieval.types import Hits, Request
from retrieval.uris import hide_passwords

if TYPE_CHECKING:
    from retrieval.query.engine import SearchEngine

BATCH_QUERIES = 32  # one pass over the collection for so many; few enough that answers flow


def answer_lines(
    engine: SearchEngine, source: BinaryIO, request: Request, literal: bool, shape: Shape, null: bool
) -> None:
    """Answer each line of a file that is not blank, and print the hits, each after its line's number.

    Args:
        engine: of the collection.
        source: of the lines.
        request: for all.
        literal: take texts as they are, without reading what they exclude.
        shape: of what is printed.
        null: end each path with a NUL.

    Raises:
        UsageError: a line is not a query; those of the batches before were answered.
    """
    line = 0
    for line, text, hits in _answers(engine, source, request, literal):
        _show_answer(line, hide_passwords(text), hits, shape, null)
    if not line:
        click.echo(f"{printable(source.name)} holds no query; put one on each line", err=True)


def _answers(
    engine: SearchEngine, source: BinaryIO, request: Request, literal: bool
) -> Iterator[tuple[int, str, Hits]]:
    queries = _read_queries(source)
    while batch := list(islice(queries, BATCH_QUERIES)):
        with waiting("Loading the model"):
            answers = engine.answer(
                [query if literal else read_query(query)[0] for _, _, query in batch], request
            )
        for (line, text, _), hits in zip(batch, answers, strict=True):
            yield line, text, hits


def _read_queries(source: BinaryIO) -> Iterator[tuple[int, str, Query]]:
    """Yield line number, line and query of each line that is not blank."""
    name = getattr(source, "name", "-")
    for number, raw in enumerate(source, start=1):
        place = f"{'standard input' if name in ('-', '<stdin>') else name}:{number}"
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UsageError(f"{place}: the line is not UTF-8 ({error.reason}); convert the file") from error
        if text.strip():
            yield number, text, parse_line(text, place)


def _show_answer(line: int, text: str, hits: Hits, shape: Shape, null: bool) -> None:
    if shape == "json":
        answer = {
            "line": line,
            "query": text,
            **answer_facts(hits),
            "hits": [hit_facts(hit) for hit in hits],
        }
        click.echo(json_line(answer).encode())
    elif shape == "paths":
        for hit in hits:
            name = name_bytes(hit) + b"\0" if null else name_line(hit) + b"\n"
            click.echo(b"%d\t%s" % (line, name), nl=False)
    else:
        from retrieval.cli.hits import show_hits  # rich: only for people

        said = sentence(hits)
        show_hits(hits, title=text if said is None else f"{text}  ({said})")
