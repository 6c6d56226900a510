"""``vlsearch info``: show what a collection holds, and which items failed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.cli.accelerators import described
from retrieval.cli.fields import show_fields
from retrieval.cli.options import collection_option, json_option
from retrieval.cli.printing import (
    bytes_size,
    counted,
    counted_kinds,
    json_line,
    one_line,
    printable,
    short_name,
)
from retrieval.errors import UsageError
from retrieval.shell import shell_command

if TYPE_CHECKING:
    from retrieval.collection import CollectionInfo


@click.command()
@click.option("--failures", is_flag=True, help="List the items that failed to index, and why.")
@click.option("--hidden", is_flag=True, help="List the hidden items.")
@click.option(
    "--attributes", is_flag=True, help="List the fields that query --where can name, and their values."
)
@json_option("Print one JSON object; with --failures, --hidden or --attributes, one a line of the list.")
@collection_option
def info(failures: bool, hidden: bool, attributes: bool, as_json: bool, collection: Path) -> None:
    """Show what a collection holds, and what failed to index."""
    from retrieval.collection import Collection  # sqlalchemy, faiss: not for --help

    if failures + hidden + attributes > 1:
        raise UsageError("--failures, --hidden and --attributes are lists of their own; ask for one of them")
    with Collection.open(collection) as opened:
        if failures:
            for failure in opened.failures():
                if as_json:
                    click.echo(json_line(asdict(failure)).encode())
                else:
                    click.echo(f"{short_name(failure.uri)}: {one_line(failure.reason)}")
        elif hidden:
            for item in opened.hidden():
                if as_json:
                    click.echo(json_line(asdict(item)).encode())
                else:
                    click.echo(short_name(item.uri) + ("" if item.kind else " (not in the collection now)"))
        elif attributes:
            show_fields(opened.fields(), as_json)
        elif as_json:
            click.echo(json_line(asdict(opened.info())).encode())
        else:
            _show(opened.info())


def _show(facts: CollectionInfo) -> None:
    model = "none yet" if facts.model is None else f"{printable(facts.model)}, dimension {facts.dimension}"
    rows = f"{facts.rows:,} in {counted(facts.segments, 'segment')}"
    held = (
        counted(facts.images, "image"),
        counted(facts.texts, "text"),
        counted(facts.links, "link"),
    )
    lines = {
        "collection": printable(facts.path),
        "model": model,
        **(
            {"computed": f"in {printable(facts.precision)}, by {printable(str(facts.runtime))}"}
            if facts.precision
            else {}
        ),
        "items": ", ".join(held),
        "contents": f"{facts.contents:,} (equal bytes count once)",
        "vectors": rows + (f", {facts.dead:,} of them deleted" if facts.dead else ""),
        "corpora": f"{facts.sources:,}",
        "failures": f"{facts.failures:,}" + (_see("--failures", facts) if facts.failures else ""),
        "on disk": f"{bytes_size(facts.vector_bytes)} vectors, {bytes_size(facts.catalogue_bytes)} catalogue",
        "generation": f"{facts.generation:,}, schema {facts.schema_version}",
    }
    for kind, accelerator in facts.accelerators.items():
        covered = f"; covers {accelerator.rows:,} vectors"
        lines[f"{kind} search"] = described(accelerator.measurement) + covered
    if facts.left_out:
        lines["left out"] = counted_kinds(facts.left_out)
    if facts.hidden:
        lines["hidden"] = f"{counted(facts.hidden, 'item')}{_see('--hidden', facts)}"
    if facts.unencoded:
        lines["unencoded"] = f"{facts.unencoded:,} items; index their corpus again"
    width = max(len(name) for name in lines)
    for name, value in lines.items():
        click.echo(f"{name:<{width}}  {value}")


def _see(option: str, facts: CollectionInfo) -> str:
    return f" (see: {shell_command('info', option, '--collection', facts.path)})"
