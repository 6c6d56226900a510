"""``vlsearch query``: search by words, images and weighted sums of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import click

from retrieval.cli.certainty import sentence
from retrieval.cli.empty_answers import note_no_hits
from retrieval.cli.explained import checked_folder, write_explanations
from retrieval.cli.hit_output import Shape, shape_of
from retrieval.cli.limit_options import limit_options
from retrieval.cli.opening import open_hits
from retrieval.cli.options import (
    json_option,
    moved_model_option,
    place_option,
    runtime_options,
    use_one_blas_thread,
)
from retrieval.cli.progress import waiting
from retrieval.cli.query_lines import answer_lines
from retrieval.cli.query_output import QueryOutput, query_output_options
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
from retrieval.places import CollectionPlace
from retrieval.query.parts import Query
from retrieval.types import Hits, Limits, Request

if TYPE_CHECKING:
    from retrieval.query.engine import SearchEngine
    from retrieval.query.explanation import Explanation


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
@query_output_options
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
    output: QueryOutput,
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

    _check_uses(typed, request, source, output)
    check_second_look(second, request, source is not None)
    typed, request = with_words(typed, request, alone=source is None)
    output = _checked_output(output, request)
    shape = shape_of(as_json, output.as_list, output.null)
    asked = parse_typed(typed) if source is None else None
    read = asked if asked is None or typed.literal else read_aloud(asked)
    with open_engine(collection, encoder=model, limits=limits) as engine:
        if source is not None:
            answer_lines(engine, source, request, typed.literal, shape, output.null)
        elif asked is not None and read is not None:
            hits = _answer(engine, asked, read, request, second)
            _say(hits, request)
            _show(engine, read, hits, shape, output, " + ".join(typed.parts), limits)


def _answer(
    engine: SearchEngine, asked: Query, read: Query, request: Request, second: SecondLookOptions | None
) -> Hits:
    if second is not None:
        return answer_twice(engine, asked, read, request, second)
    with waiting("Loading the model"):
        (hits,) = engine.answer([read], request)
    return hits


def _say(hits: Hits, request: Request) -> None:
    """Tell on standard error what is known of the hits."""
    note_no_hits(hits, request)
    if (said := sentence(hits)) is not None:
        click.echo(said, err=True)


def _show(
    engine: SearchEngine,
    read: Query,
    hits: Hits,
    shape: Shape,
    output: QueryOutput,
    title: str,
    limits: Limits,
) -> None:
    """Explain the hits, and list them, open them or write them to a sheet, as is asked."""
    why = None if output.explain is None else write_explanations(output.explain, engine, read, hits)
    if output.sheet is None:
        show_or_open(engine, hits, shape, output.null, output.preview, output.open_them)
        return
    write_sheet(output.sheet, title, hits, limits, _drawn(engine, why))
    if output.open_them:
        open_hits(engine.collection, hits, limits)


def _checked_output(output: QueryOutput, request: Request) -> QueryOutput:
    """Check where a sheet and explanations are to be written.

    Raises:
        UsageError: they cannot be, or there is nothing to explain.
    """
    sheet, folder = checked_sheet(output.sheet, request.k), checked_folder(output.explain)
    if folder is not None and request.mode == "words":
        raise UsageError(
            "hits by words alone are not explained; give a query beside --words, or leave out --explain"
        )
    return replace(output, sheet=sheet, explain=folder)


def _check_uses(
    typed: TypedQuery,
    request: Request,
    source: BinaryIO | None,
    output: QueryOutput,
) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: it says which.
    """
    if source is not None and not typed.is_empty:
        raise UsageError("give the query as arguments or as lines of --from, not both")
    if source is not None and typed.crop is not None:
        raise UsageError("--crop is of the picture of one query; leave out --crop or --from")
    if source is not None and output.sheet is not None:
        raise UsageError("a sheet shows the hits of one query; leave out --sheet or --from")
    if source is not None and output.open_them:
        raise UsageError("the hits of one query are opened; leave out --open or --from")
    if output.explain is not None and (source is not None or request.mode == "words"):
        raise UsageError(
            "explanations are of hits of one query by meaning; leave out --explain, --from or --mode words"
        )


def _drawn(engine: SearchEngine, why: Mapping[int, Explanation] | None) -> Drawn | None:
    """Give what a sheet shows of explanations."""
    if why is None:
        return None
    return Drawn(why, lambda explanation: engine.overlay(explanation, "JPEG"))
