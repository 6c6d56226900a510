"""``vlsearch query``: search by words, images and weighted sums of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from retrieval.answers import answer_facts, hit_facts, json_line
from retrieval.cli.certainty import sentence
from retrieval.cli.explained import checked_folder, write_explanations
from retrieval.cli.hit_output import list_options, shape_of
from retrieval.cli.limit_options import limit_options
from retrieval.cli.opening import open_hits, open_option
from retrieval.cli.options import (
    json_option,
    moved_model_option,
    place_option,
    runtime_options,
    use_one_blas_thread,
)
from retrieval.cli.previews import preview_option
from retrieval.cli.printing import name_bytes, name_line, printable
from retrieval.cli.progress import waiting
from retrieval.cli.request_options import OF_QUERY, request_options
from retrieval.cli.rerank_options import SecondLookOptions, answer_twice, check_second_look, rerank_options
from retrieval.cli.sheets import Drawn, checked_sheet, write_sheet
from retrieval.cli.showing import show_or_open
from retrieval.cli.typed_query import (
    QueryCommand,
    TypedQuery,
    parse_typed,
    read_aloud,
    typed_query,
    with_words,
)
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.query.parse import parse_line
from retrieval.query.parts import Query
from retrieval.query.without import read_query
from retrieval.types import Hits, Limits, Request
from retrieval.uris import hide_passwords

if TYPE_CHECKING:
    from retrieval.query.engine import SearchEngine
    from retrieval.query.explanation import Explanation

BATCH_QUERIES = 32  # one pass over the collection for so many; few enough that answers flow


@click.command(cls=QueryCommand)
@typed_query
@click.option(
    "--from",
    "source",
    type=click.File("rb"),
    metavar="FILE",
    help="Answer many queries, one a line, its parts separated by tabs; - is standard input.",
)
@request_options(OF_QUERY)
@rerank_options
@moved_model_option
@limit_options
@list_options
@preview_option
@open_option
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the hits with small pictures to an HTML or PNG file.",
)
@click.option(
    "--explain",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write why each hit is one to a folder: its picture with what counts drawn in, and JSON.",
)
@runtime_options
@json_option("Print one JSON object a hit; with --from, one a query.")
@place_option
def query(
    typed: TypedQuery,
    source: BinaryIO | None,
    request: Request,
    second: SecondLookOptions | None,
    model: str | None,
    limits: Limits,
    as_list: bool | None,
    null: bool,
    preview: bool | None,
    open_them: bool,
    sheet: Path | None,
    explain: Path | None,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    r"""Find pictures and texts by words, pictures or sums of both.

    Words find pictures; a picture finds captions, or pictures where the collection has no captions.
    Several PARTs are summed. A PART is a picture if it is a URL, begins like a path (./ ../ / ~/), ends
    like a picture's name (.jpg, .png, ...), names a tar's member (ARCHIVE.tar#MEMBER) or is the name of a
    file that holds a picture (not with --from); else it is words.
    In front may stand:

    \b
        -          subtract it (put -- before the first such argument)
        2: or .5:  weigh it: a number below 100, its colon followed by no blank and no digit
        text:      take all that follows as words
        image:     take all that follows as the path or URL of a picture
        key:       take all that follows as the key of an item of the collection

    \b
        vlsearch query "a dog in the snow"
        vlsearch query ./photo.jpg
        vlsearch query ./photo.jpg --crop 0.5,0,0.5,1
        vlsearch query "beach" -- "-people" "2:./sunset.jpg"
        vlsearch query "3:30 pm"                    words: a digit follows the colon
        vlsearch query --from queries.txt --json

    Conditions narrow down what is found:

    \b
        vlsearch query "a dog" --in ~/Pictures/2021 --after 2021-05 --camera canon
        vlsearch query "a dog" --where "width >= 4000 and not keywords contains screenshot"
        vlsearch query "a dog" --near 48.14,11.58,10km --sort taken
        vlsearch query "a dog" --words frisbee      what holds this very word
        vlsearch query --words "雪" --in ~/Pictures

    Words that exclude something are read so: "a dog without a ball" finds dogs, and balls count against a
    picture; 没有汽车的街道 likewise. What was read is told on stderr.

    How likely the first hit is right is told on stderr where that is known (words that find pictures, by mini):
    sure, likely, doubtful or probably nothing. --only likely leaves out what is less likely.

    --rerank MODEL looks at the first hits once more, with a model that sees picture and words together, and sorts
    them anew; it takes seconds a picture. docs/search.md.

    A PART that the collection already holds (a picture, a text or an item's key) is searched by its stored vector
    and needs no model.

    --explain FOLDER writes, for each hit, the share of every word and the places of the picture that made the score.

    At a terminal, hits come with rank, score and captions; into a pipe, as plain paths (or words), one a
    line; with --from, each after its query's line number and a tab.
    """
    if source is None:
        use_one_blas_thread()
    from retrieval.query.engine import open_engine  # numpy: not for --help

    _check_uses(typed, request, source, sheet, explain, open_them)
    check_second_look(second, request, source is not None)
    sheet, explain = checked_sheet(sheet, request.k), checked_folder(explain)
    typed, request = with_words(typed, request, alone=source is None)
    if explain is not None and request.mode == "words":
        raise UsageError(
            "hits by words alone are not explained; give a query beside --words, or leave out --explain"
        )
    shape = shape_of(as_json, as_list, null)
    asked = single = None
    if source is None:
        asked = single = parse_typed(typed)
        if not typed.literal:
            single = read_aloud(single)
    with open_engine(collection, encoder=model, limits=limits) as engine:
        if request.mode is None and isinstance(collection, ServerAddress):
            click.echo(
                "Note: on a server hits rank by vectors alone; --mode vector says that you know", err=True
            )
        if single is None or asked is None:
            assert source is not None
            line = 0
            for line, text, hits in _answer_lines(engine, source, request, typed.literal):
                _show_answer(line, hide_passwords(text), hits, shape, null)
            if not line:
                click.echo(f"{printable(source.name)} holds no query; put one on each line", err=True)
        else:
            hits = _answer(engine, asked, single, request, second)
            if request.where is not None and not hits and hits.probability is None:
                click.echo("Note: nothing that could be found meets the condition", err=True)
            if (said := sentence(hits)) is not None:
                click.echo(said, err=True)
            why = None if explain is None else write_explanations(explain, engine, single, hits)
            if sheet is not None:
                write_sheet(sheet, " + ".join(typed.parts), hits, limits, _drawn(engine, why))
                if open_them:
                    open_hits(engine.collection, hits, limits)
            else:
                show_or_open(engine, hits, shape, null, preview, open_them)


def _answer(
    engine: SearchEngine, asked: Query, read: Query, request: Request, second: SecondLookOptions | None
) -> Hits:
    if second is not None:
        return answer_twice(engine, asked, read, request, second)
    with waiting("Loading the model"):
        (hits,) = engine.answer([read], request)
    return hits


def _check_uses(
    typed: TypedQuery,
    request: Request,
    source: BinaryIO | None,
    sheet: Path | None,
    explain: Path | None,
    open_them: bool,
) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: it says which.
    """
    if source is not None and not typed.is_empty:
        raise UsageError("give the query as arguments or as lines of --from, not both")
    if source is not None and typed.crop is not None:
        raise UsageError("--crop is of the picture of one query; leave out --crop or --from")
    if source is not None and sheet is not None:
        raise UsageError("a sheet shows the hits of one query; leave out --sheet or --from")
    if source is not None and open_them:
        raise UsageError("the hits of one query are opened; leave out --open or --from")
    if explain is not None and (source is not None or request.mode == "words"):
        raise UsageError(
            "explanations are of hits of one query by meaning; leave out --explain, --from or --mode words"
        )


def _drawn(engine: SearchEngine, why: Mapping[int, Explanation] | None) -> Drawn | None:
    """Give what a sheet shows of explanations."""
    if why is None:
        return None
    return Drawn(why, lambda explanation: engine.overlay(explanation, "JPEG"))


def _answer_lines(
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


def _show_answer(line: int, text: str, hits: Hits, shape: str, null: bool) -> None:
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
