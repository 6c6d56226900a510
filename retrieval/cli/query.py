"""``vlsearch query``: search by words, images and weighted sums of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from retrieval.answers import answer_facts, hit_facts, json_line
from retrieval.cli.certainty import sentence
from retrieval.cli.completing import complete_models, complete_paths
from retrieval.cli.crop_option import CropType, crop_picture
from retrieval.cli.explained import checked_folder, write_explanations
from retrieval.cli.filter_options import filter_options
from retrieval.cli.hit_output import list_options, shape_of, show
from retrieval.cli.limit_options import limit_options
from retrieval.cli.opening import open_hits, open_option
from retrieval.cli.options import collection_option, json_option, runtime_options, use_one_blas_thread
from retrieval.cli.previews import preview_option, previews
from retrieval.cli.printing import name_bytes, name_line, printable
from retrieval.cli.progress import waiting
from retrieval.cli.sheet import Drawn, checked_sheet, write_sheet
from retrieval.errors import UsageError
from retrieval.query.parse import looks_like_picture, parse_line, parse_query
from retrieval.query.parts import Crop, Query, TextPart
from retrieval.query.without import read_query
from retrieval.shell import shell_command, shell_word
from retrieval.types import MODES, SORTS, VERDICTS, Hits, Kind, Limits, Mode, Request, Sort, Verdict
from retrieval.uris import hide_passwords

if TYPE_CHECKING:
    from retrieval.expressions import Expression
    from retrieval.query.engine import SearchEngine
    from retrieval.query.explanation import Explanation

BATCH_QUERIES = 32  # one pass over the collection for so many; few enough that answers flow


class _QueryCommand(click.Command):
    """A command whose error for an unknown option such as ``-people`` tells how to subtract words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name.startswith("--"):
                raise
            said = f"{error.message} To subtract words, put -- before the first such argument."
            raise click.NoSuchOption(error.option_name, said, ctx=ctx) from error


@click.command(cls=_QueryCommand)
@click.argument("parts", nargs=-1, metavar="[PART]...", shell_complete=complete_paths)
@click.option("--add", multiple=True, metavar="PART", help="Add a part; repeatable. The same as an argument.")
@click.option("--subtract", multiple=True, metavar="PART", help="Subtract a part; repeatable. Needs no --.")
@click.option(
    "--from",
    "source",
    type=click.File("rb"),
    metavar="FILE",
    help="Answer many queries, one a line, its parts separated by tabs; - is standard input.",
)
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits a query.")
@click.option(
    "--find",
    type=click.Choice(["image", "text"]),
    help="The kind of item wanted. [default: captions for pictures, else pictures]",
)
@click.option(
    "--words",
    metavar="WORDS",
    help="Find only what holds all these words, in its captions, title, keywords or name; alone, ranked by them.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="vector",
    show_default=True,
    help="Rank by meaning, by words (all of them, exactly), or by both.",
)
@click.option(
    "--crop",
    type=CropType(),
    metavar="X,Y,W,H",
    help="Ask with a part of the query's picture: left, top, width, height; shares up to 1, or pixels.",
)
@filter_options
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="score",
    show_default=True,
    help="Order of the hits: best first, newest first, or by name.",
)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Pass over so many of the best hits.")
@click.option(
    "--min-score", type=click.FloatRange(-1, 1), metavar="S", help="Leave out hits with a lower score."
)
@click.option(
    "--only",
    type=click.Choice(VERDICTS[:-1]),
    help="Leave out hits that are less likely right than that: sure, likely or doubtful.",
)
@click.option("--distinct", is_flag=True, help="Show equal pictures, equal texts, and each video once.")
@click.option("--exact", is_flag=True, help="Look at all vectors, even where an accelerator is there.")
@click.option("--whole", is_flag=True, help="Compare whole pictures, even where they have regions.")
@click.option(
    "--literal",
    is_flag=True,
    help="Take words as they are: do not subtract what follows 'without', 'no', 没有, ...",
)
@click.option(
    "--model",
    metavar="MODEL",
    shell_complete=complete_models,
    help="Where the collection's model is now, if it was moved.",
)
@limit_options
@list_options
@preview_option
@open_option
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the hits with small pictures to an HTML file.",
)
@click.option(
    "--explain",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write why each hit is one to a folder: its picture with what counts drawn in, and JSON.",
)
@runtime_options
@json_option("Print one JSON object a hit; with --from, one a query.")
@collection_option
def query(
    parts: tuple[str, ...],
    add: tuple[str, ...],
    subtract: tuple[str, ...],
    source: BinaryIO | None,
    k: int,
    find: Kind | None,
    words: str | None,
    mode: Mode,
    crop: Crop | None,
    where: Expression | None,
    sort: Sort,
    offset: int,
    min_score: float | None,
    only: Verdict | None,
    distinct: bool,
    exact: bool,
    whole: bool,
    literal: bool,
    model: str | None,
    limits: Limits,
    as_list: bool | None,
    null: bool,
    preview: bool | None,
    open_them: bool,
    sheet: Path | None,
    explain: Path | None,
    as_json: bool,
    collection: Path,
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

    A PART that the collection already holds (a picture, a text or an item's key) is searched by its stored vector
    and needs no model.

    --explain FOLDER writes, for each hit, the share of every word and the places of the picture that made the score.

    At a terminal, hits come with rank, score and captions; into a pipe, as plain paths (or words), one a
    line; with --from, each after its query's line number and a tab.
    """
    if source is None:
        use_one_blas_thread()
    from retrieval.query.engine import open_engine  # numpy: not for --help

    if source is not None and (parts or add or subtract):
        raise UsageError("give the query as arguments or as lines of --from, not both")
    if source is not None and crop is not None:
        raise UsageError("--crop is of the picture of one query; leave out --crop or --from")
    if source is not None and sheet is not None:
        raise UsageError("a sheet shows the hits of one query; leave out --sheet or --from")
    if source is not None and open_them:
        raise UsageError("the hits of one query are opened; leave out --open or --from")
    if explain is not None and (source is not None or mode == "words"):
        raise UsageError(
            "explanations are of hits of one query by meaning; leave out --explain, --from or --mode words"
        )
    sheet, explain = checked_sheet(sheet), checked_folder(explain)
    if words is not None and source is None and not (parts or add or subtract):
        if explain is not None:
            raise UsageError(
                "hits by words alone are not explained; give a query beside --words, or leave out --explain"
            )
        mode, add = "words", (f"text:{words}",)
    elif words is not None:
        from retrieval.expressions import Contains  # late: few queries have a condition

        holds = Contains("words", words)
        where = holds if where is None else where & holds
    literal = literal or mode == "words"
    request = Request(k, find, distinct, offset, exact, where, sort, min_score, mode, only, not whole)
    shape = shape_of(as_json, as_list, null)
    single = None if source is not None else parse_query([*parts, *add], subtract, _is_picture)
    if single is not None:
        single = crop_picture(single, crop)
        _note_namesakes(single)
        if not literal:
            single = _read(single)
    with open_engine(collection, encoder=model, limits=limits) as engine:
        if single is None:
            assert source is not None
            line = 0
            for line, text, hits in _answer_lines(engine, source, request, literal):
                _show_answer(line, hide_passwords(text), hits, shape, null)
            if not line:
                click.echo(f"{printable(source.name)} holds no query; put one on each line", err=True)
        else:
            with waiting("Loading the model"):
                (hits,) = engine.answer([single], request)
            if where is not None and not hits and hits.probability is None:
                click.echo("Note: nothing that could be found meets the condition", err=True)
            if (said := sentence(hits)) is not None:
                click.echo(said, err=True)
            why = None if explain is None else write_explanations(explain, engine, single, hits)
            if sheet is not None:
                write_sheet(sheet, " + ".join([*parts, *add]), hits, limits, _drawn(engine, why))
            elif not open_them:
                with previews(engine.collection, preview, shape == "list", limits) as shown:
                    show(hits, shape, null, shown)
            if open_them:
                open_hits(engine.collection, hits, limits)


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
            **({} if hits.probability is None else answer_facts(hits)),
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


def _read(query: Query) -> Query:
    """Subtract what the words of a query exclude, and tell how they were read."""
    read, readings = read_query(query)
    for reading in readings:
        click.echo(
            f"Note: read as {printable(str(reading))}; --literal takes the words as they are", err=True
        )
    return read


def _is_picture(content: str) -> bool:
    """Whether content without a mark is an image: it is spelt like one, or names a file that holds one."""
    if looks_like_picture(content):
        return True
    from retrieval.signatures import is_image_file  # late: most queries are words that name no file

    if not (_exists(content) and is_image_file(content)):
        return False
    words = shell_word(f"text:{content}")
    click.echo(f"Note: {printable(content)} is a picture here; for the words write {words}", err=True)
    return True


def _note_namesakes(query: Query) -> None:
    """Tell on stderr when a text of the query is also the name of a file or folder, which is not read."""
    for part in query.parts:
        if not isinstance(part, TextPart) or not _exists(part.text):
            continue
        name, path = printable(part.text), Path(part.text)
        if path.is_dir():
            advice = f"the folder of that name is indexed with: {shell_command('index', path)}"
        else:
            advice = f"for the picture of that name write {shell_word(f'./{part.text}')}"
        click.echo(f"Note: {name} was read as words; {advice}", err=True)


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False
