"""``vlsearch ask``: answer a question about a picture, or about pictures of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from retrieval.answers import item_facts, json_line
from retrieval.cli.completing import complete_paths
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import json_option, place_option
from retrieval.cli.printing import counted, name_line, printable
from retrieval.errors import ImageError, UsageError
from retrieval.places import CollectionPlace
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.generators.base import Answer
    from retrieval.query.asking_hits import CollectionQuestion, PictureAnswer

MOST_CERTAIN = 0.99
"""Probability that is printed at most: of a picture, nothing is certain."""


def _choices(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value.replace("，", ",").split(","))


@click.command()
@click.argument("picture", metavar="[PICTURE]", shell_complete=complete_paths)
@click.argument("question", required=False)
@click.option(
    "--query", metavar="WORDS", help="Ask about the pictures of the collection that these words find."
)
@click.option(
    "-k",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Pictures that are found and asked about.",
)
@click.option(
    "--choices", metavar="A,B,...", callback=_choices, help="Answers to choose from, separated by commas."
)
@click.option(
    "--model",
    metavar="MODEL",
    help="Model by alias, hub name or folder (vlsearch models --task ask), or mini. [default: the best on this "
    "machine]",
)
@limit_options
@json_option("Print one JSON object; of a collection, one a picture.")
@place_option
def ask(
    picture: str,
    question: str | None,
    query: str | None,
    k: int,
    choices: tuple[str, ...] | None,
    model: str | None,
    limits: Limits,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    r"""Answer a question about a picture, or about pictures of the collection.

    mini, which comes with vlsearch, answers in English and Chinese, and only whether something is there and which of
    some things it is; how often it is right: docs/captions.md. Other questions need a model that was trained for them.
    PICTURE is a file, or a name as vlsearch list and query print it.

    \b
        vlsearch ask photo.jpg "is there a dog?"
        vlsearch ask photo.jpg "有狗吗？"
        vlsearch ask 'scan.pdf#page=2' "is there a dog?"
        vlsearch ask photo.jpg "what is it?" --choices cat,dog,horse
        vlsearch models get blip-vqa
        vlsearch ask photo.jpg "what is he holding?"

    Without a picture, the collection is searched for what the question names, or for --query, and the question is
    asked of the first -k hits. Asked which pictures show something, those that do are printed.

    \b
        vlsearch ask "which of my pictures show a receipt?"
        vlsearch ask "哪些照片里有狗？"
        vlsearch ask --query "animals in the snow" "is it a cat or a dog?"
    """
    if question is None:
        from retrieval.query.engine import open_engine  # late: numpy

        with open_engine(collection, limits=limits) as engine:
            asked, answers = engine.ask_collection(picture, query, k=k, choices=choices, model=model)
        if as_json:
            _print_answers(answers)
        else:
            _show_answers(asked, answers)
        return
    if query is not None:
        raise UsageError("ask about one picture, or about what --query finds; leave out one of them")
    from retrieval.query import asking  # late: numpy

    try:
        answer = asking.ask(picture, question, choices, model=model, limits=limits)
    except ImageError as error:
        raise ImageError(f"{picture}: {error}") from error
    if as_json:
        click.echo(json_line(_answer_facts(answer)).encode())
        return
    click.echo(_written(answer))


def _print_answers(answers: Sequence[PictureAnswer]) -> None:
    for one in answers:
        found = {"answer": None, "probabilities": None} if one.answer is None else _answer_facts(one.answer)
        click.echo(json_line({**found, "error": one.failure, **item_facts(one.item)}).encode())


def _show_answers(asked: CollectionQuestion, answers: Sequence[PictureAnswer]) -> None:
    shown = 0
    for one in answers:
        name = name_line(one.item)
        if one.answer is None:
            click.echo(
                f"{printable(name.decode(errors='replace'))}: {printable(one.failure or '')}", err=True
            )
        elif asked.wanted is None or one.answer.text == asked.wanted:
            shown += 1
            click.echo(_written(one.answer).encode() + b"  " + name)
    if asked.wanted is not None:
        click.echo(
            f"{shown} of {counted(len(answers), 'picture')} found for {printable(asked.query)}", err=True
        )


def _answer_facts(answer: Answer) -> dict[str, object]:
    return {"answer": answer.text, "probabilities": answer.probabilities}


def _written(answer: Answer) -> str:
    likely = "" if answer.probabilities is None else f" ({min(max(answer.probabilities), MOST_CERTAIN):.0%})"
    return f"{printable(answer.text)}{likely}"
