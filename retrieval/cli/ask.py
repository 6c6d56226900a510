"""``vlsearch ask``: answer a question about a picture."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.answers import json_line
from retrieval.cli.completing import complete_paths
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import json_option
from retrieval.cli.printing import printable
from retrieval.errors import ImageError
from retrieval.types import Limits

MOST_CERTAIN = 0.99
"""Probability that is printed at most: of a picture, nothing is certain."""


def _choices(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value.replace("，", ",").split(","))


@click.command()
@click.argument("picture", shell_complete=complete_paths)
@click.argument("question")
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
@json_option("Print one JSON object.")
def ask(
    picture: str,
    question: str,
    choices: tuple[str, ...] | None,
    model: str | None,
    limits: Limits,
    as_json: bool,
) -> None:
    r"""Answer a question about a picture.

    mini, which comes with vlsearch, answers in English and Chinese, and only whether something is there and which of
    some things it is; how often it is right: docs/captions.md. Other questions need a model that was trained for them.

    \b
        vlsearch ask photo.jpg "is there a dog?"
        vlsearch ask photo.jpg "有狗吗？"
        vlsearch ask photo.jpg "what is it?" --choices cat,dog,horse
        vlsearch models get blip-vqa
        vlsearch ask photo.jpg "what is he holding?"
    """
    from retrieval.query import asking  # late: numpy

    try:
        answer = asking.ask(Path(picture), question, choices, model=model, limits=limits)
    except ImageError as error:
        raise ImageError(f"{picture}: {error}") from error
    if as_json:
        click.echo(json_line({"answer": answer.text, "probabilities": answer.probabilities}).encode())
        return
    likely = "" if answer.probabilities is None else f" ({min(max(answer.probabilities), MOST_CERTAIN):.0%})"
    click.echo(f"{printable(answer.text)}{likely}")
