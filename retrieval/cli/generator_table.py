"""The table of ``vlsearch models --task caption``, ``ask`` and ``rerank``."""

from __future__ import annotations

import shutil
from dataclasses import asdict

import click

from retrieval.answers import json_line
from retrieval.generators.base import Task
from retrieval.generators.recommended import RECOMMENDED, RecommendedGenerator
from retrieval.generators.registry import is_cached, resolve

NARROWEST = 30  # columns: narrower terminals fold the lines themselves
LEFT = 3  # columns of words; the others are figures
_HEADINGS: dict[Task, tuple[str, ...]] = {
    "caption": ("model", "here", "languages", "MB", "CIDEr-D"),
    "ask": ("model", "here", "languages", "MB", "VQAv2"),
    "rerank": ("model", "here", "languages", "MB"),
}
_LEGENDS: dict[Task, str] = {
    "caption": "CIDEr-D: published, times 100, COCO Karpathy test; sources with --json",
    "ask": "VQAv2: published accuracy in per cent, test-dev; sources with --json",
    "rerank": "used by: vlsearch query --rerank MODEL",
}


def print_generators(task: Task, as_json: bool) -> None:
    """Print the recommended generators for a task, two lines each, or one JSON object each."""
    found = [row for row in RECOMMENDED if task in row.tasks]
    if as_json:
        for row in found:
            click.echo(json_line(asdict(row) | {"cached": is_cached(resolve(row.alias))}).encode())
        return
    table = [_HEADINGS[task], *(_cells(row, task) for row in found)]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    width = max(NARROWEST, shutil.get_terminal_size().columns)
    for about, line in zip(["", *map(_about, found)], table, strict=True):
        pairs = enumerate(zip(line, widths, strict=True))
        cells = (cell.ljust(size) if n < LEFT else cell.rjust(size) for n, (cell, size) in pairs)
        click.echo("  ".join(cells).rstrip())
        if about:
            click.echo(click.wrap_text(about, width, initial_indent="    ", subsequent_indent="    "))
    click.echo(click.wrap_text(_LEGENDS[task], width))


def _about(row: RecommendedGenerator) -> str:
    return f"{row.good_for} ({row.licence})"


def _cells(row: RecommendedGenerator, task: Task) -> tuple[str, ...]:
    figure = {"caption": (row.cider,), "ask": (row.vqa,), "rerank": ()}[task]
    return (
        row.alias,
        "yes" if is_cached(resolve(row.alias)) else "",
        " ".join(row.languages),
        f"{row.megabytes:,}",
        *("" if value is None else f"{value:.1f}" for value in figure),
    )
