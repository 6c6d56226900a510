"""Print the fields that conditions can name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.printing import one_line

if TYPE_CHECKING:
    from retrieval.collection.filters.listing import FieldFacts

EXAMPLE_CHARACTERS = 40


def show_fields(fields: Sequence[FieldFacts], as_json: bool) -> None:
    """Print a field a line: name, type, and what it means or which values it has."""
    if as_json:
        for field in fields:
            click.echo(json_line(asdict(field)).encode())
        return
    names = [one_line(field.name) for field in fields]
    width = max(map(len, names))
    for name, field in zip(names, fields, strict=True):
        click.echo(f"{name:<{width}}  {field.type:<7}  {field.meaning or _values(field)}")


def _values(field: FieldFacts) -> str:
    count = f"{field.values:,} values" if field.values != 1 else "1 value"
    examples = ", ".join(_short(example) for example in field.examples)
    if field.type in ("number", "date"):
        return f"{count}, {field.least} to {field.greatest}"
    return f"{count}: {examples}" + (", ..." if (field.values or 0) > len(field.examples) else "")


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= EXAMPLE_CHARACTERS else f"{line[: EXAMPLE_CHARACTERS - 1]}…"
