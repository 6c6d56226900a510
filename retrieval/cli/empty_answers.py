"""Say on standard error why nothing was found or listed: of nothing on standard output, nobody knows what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from retrieval.cli.printing import counted

if TYPE_CHECKING:
    from retrieval.types import Hits, Kind, Request

_PICTURES_OR_TEXTS: dict[Kind, str] = {"image": "picture", "text": "text"}


def note_no_hits(hits: Hits, request: Request) -> None:
    """Tell why a search has no hits; nothing where it has some, or where ``--only`` has left them out."""
    if hits or hits.probability is not None:
        return
    if request.offset:
        why = f"there are at most {counted(request.offset, 'hit')}, and --offset passes over so many"
    elif request.min_score is not None:
        which = "no hit" if request.where is None else "no hit that meets the condition"
        why = f"{which} has a score of {request.min_score:g} or more"
    elif request.mode == "words":
        which = "nothing" if request.where is None else "nothing that meets the condition"
        why = f"{which} holds all of the words"
    elif request.where is not None:
        why = "nothing that could be found meets the condition"
    else:
        why = "there is nothing else to be found, or it is hidden"
    click.echo(f"Note: {why}", err=True)


def note_no_items(kind: Kind, is_narrowed: bool, offset: int) -> None:
    """Tell why a list has no items of a kind, of those that meet a condition where it is narrowed down to them."""
    noun = _PICTURES_OR_TEXTS[kind]
    if offset:
        why = f"there are at most {counted(offset, noun)} to list, and --offset passes over so many"
    elif is_narrowed:
        why = f"no {noun} meets the condition"
    else:
        why = f"the collection has no {noun}s, or hides them"
    click.echo(f"Note: {why}", err=True)
