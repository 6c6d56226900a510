"""``vlsearch info``: show what a collection holds, and which items failed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.accelerators import described
from retrieval.cli.fields import show_fields
from retrieval.cli.options import json_option, place_option
from retrieval.cli.printing import bytes_size, counted, counted_kinds, one_line, printable, short_name
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.shell import command_on

if TYPE_CHECKING:
    from retrieval.collection import CollectionInfo, KnownCorpus


@click.command()
@click.option("--failures", is_flag=True, help="List the items that failed to index, and why.")
@click.option("--hidden", is_flag=True, help="List the hidden items.")
@click.option("--corpora", is_flag=True, help="List the corpora, with what their last runs found.")
@click.option(
    "--attributes", is_flag=True, help="List the fields that query --where can name, and their values."
)
@json_option(
    "Print one JSON object; with --failures, --hidden, --corpora or --attributes, one a line of the list."
)
@place_option
def info(
    failures: bool, hidden: bool, corpora: bool, attributes: bool, as_json: bool, collection: CollectionPlace
) -> None:
    """Show what a collection holds, and what failed to index."""
    from retrieval.collection import Collection  # sqlalchemy, faiss: not for --help

    if failures + hidden + corpora + attributes > 1:
        lists = "--failures, --hidden, --corpora and --attributes"
        raise UsageError(f"{lists} are lists of their own; ask for one of them")
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
        elif corpora:
            for corpus in opened.corpora():
                if as_json:
                    click.echo(json_line(_corpus_facts(corpus)).encode())
                else:
                    _show_corpus(corpus)
        elif attributes:
            show_fields(opened.fields(), as_json)
        elif as_json:
            click.echo(json_line(asdict(opened.info())).encode())
        else:
            _show(opened.info())


def _show(facts: CollectionInfo) -> None:
    model = "none yet" if facts.model is None else f"{printable(facts.model)}, dimension {facts.dimension}"
    rows = f"{facts.rows:,}"
    if facts.segments or not facts.rows:  # vectors on a server lie in no segments
        rows += f" in {counted(facts.segments, 'segment')}"
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
        "corpora": f"{facts.sources:,}" + (_see("--corpora", facts) if facts.sources else ""),
        "failures": f"{facts.failures:,}" + (_see("--failures", facts) if facts.failures else ""),
        "on disk": f"{bytes_size(facts.vector_bytes)} vectors, {bytes_size(facts.catalogue_bytes)} catalogue",
        "generation": f"{facts.generation:,}, schema {facts.schema_version}",
    }
    for kind, accelerator in facts.accelerators.items():
        covered = f"; covers {accelerator.rows:,} vectors"
        lines[f"{kind} search"] = described(accelerator.measurement) + covered
    for kind, why in facts.scans.items():
        lines[f"{kind} search"] = f"scans all vectors: {printable(why)}"
    if facts.regions is not None:
        of_images = f"{facts.regions.vectors:,} vectors of {counted(facts.regions.images, 'image')}"
        lines["regions"] = f"{of_images}, {bytes_size(facts.regions.bytes)}"
    if facts.image_texts:
        counts = (f"{number:,} {printable(name)}" for name, number in facts.image_texts.items())
        lines["other texts"] = ", ".join(counts)
    if facts.reads_text:
        lines["text"] = "read in new pictures by index and watch, until index --no-ocr"
    if facts.relative_to is not None:
        lines["paths"] = f"relative to {short_name(facts.relative_to)}"
    if facts.shard is not None:
        lines["shard"] = f"{facts.shard} of its corpus (all of them together: vlsearch merge)"
    if facts.left_out:
        lines["left out"] = counted_kinds(facts.left_out)
    if facts.hidden:
        lines["hidden"] = f"{counted(facts.hidden, 'item')}{_see('--hidden', facts)}"
    if facts.unencoded:
        lines["unencoded"] = f"{facts.unencoded:,} items; index their corpus again"
    width = max(len(name) for name in lines)
    for name, value in lines.items():
        click.echo(f"{name:<{width}}  {value}")


def _corpus_facts(corpus: KnownCorpus) -> dict[str, object]:
    facts = asdict(corpus)
    facts["spec"] = None if corpus.spec is None else json.loads(corpus.spec.to_json())
    return facts


def _show_corpus(corpus: KnownCorpus) -> None:
    click.echo(f"{short_name(corpus.uri)} ({corpus.format})")
    held = [counted(corpus.images, "image"), counted(corpus.texts, "text")]
    held += [f"{corpus.failures:,} failed"] if corpus.failures else []
    click.echo(f"  {', '.join(held)}")
    if corpus.left_out:
        click.echo(f"  left out: {counted_kinds(corpus.left_out)}")
    read = "index it once more by name, and it is known how" if corpus.read is None else corpus.read
    click.echo(f"  last read: {printable(read)}")


def _see(option: str, facts: CollectionInfo) -> str:
    return f" (see: {command_on(facts.path, 'info', option)})"
