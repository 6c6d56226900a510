"""``--explain``: why each hit is one, as files of a folder: a picture with what counts in it drawn, and JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.printing import counted, printable, short_name
from retrieval.cli.progress import progress_display
from retrieval.errors import ImageError, UsageError
from retrieval.types import Hit, Progress

if TYPE_CHECKING:
    from retrieval.query.engine import SearchEngine
    from retrieval.query.explanation import Explanation
    from retrieval.query.parts import Query

_NAME_CHARACTERS = 60
_UNSAFE = re.compile(r"[^\w.-]+")


def checked_folder(folder: Path | None) -> Path | None:
    """Check where explanations are to be written before a search, and not after it.

    Raises:
        UsageError: it is a file, or its own folder is not there.
    """
    if folder is None:
        return None
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder; --explain takes the folder for the explanations of all hits"
        )
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {folder.absolute().parent} for the explanations; make it first")
    return folder


def write_explanations(
    folder: Path, engine: SearchEngine, query: Query, hits: Sequence[Hit]
) -> Mapping[int, Explanation]:
    """Write a JSON file for each hit, and for a picture a PNG; say how many, and what could not be drawn.

    Args:
        folder: made if it is not there; files of the same names are replaced.
        engine: that found the hits.
        query: that they were found with, taken literally.
        hits: to explain.

    Returns:
        Explanations by item id.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(exist_ok=True)
    found = {}
    with progress_display() as show:
        for number, hit in enumerate(hits, start=1):
            explanation = engine.explain(hit, query, literal=True)
            found[hit.id] = explanation
            _write(folder / _name(hit), engine, hit, explanation)
            show(Progress("explain", number, len(hits), 0))
    click.echo(f"{counted(len(hits), 'explanation')} in {printable(str(folder))}", err=True)
    return found


def _write(path: Path, engine: SearchEngine, hit: Hit, explanation: Explanation) -> None:
    facts = {"rank": hit.rank, "uri": hit.uri, **asdict(explanation)}
    path.with_name(f"{path.name}.json").write_text(json_line(facts) + "\n", encoding="utf-8")
    reason = explanation.reason
    if explanation.picture is not None:
        try:
            path.with_name(f"{path.name}.png").write_bytes(engine.overlay(explanation))
        except ImageError as error:  # it has gone since
            reason = str(error)
    if reason is not None:
        click.echo(f"Note: {printable(short_name(hit.uri))} is not drawn: {printable(reason)}", err=True)


def _name(hit: Hit) -> str:
    """Name a hit's files by its rank and its own name, of which only letters and digits are taken."""
    own = _UNSAFE.sub("_", Path(short_name(hit.uri)).stem)[:_NAME_CHARACTERS].strip("._")
    return f"{hit.rank:03}-{own}" if own else f"{hit.rank:03}"
