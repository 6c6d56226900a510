"""``vlsearch demo``: index and search photographs that come with vlsearch, without a download."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.completing import complete_models
from retrieval.cli.model_note import say_model
from retrieval.cli.options import given_folder
from retrieval.cli.printing import counted
from retrieval.cli.progress import progress_display
from retrieval.shell import command_on

PHOTOGRAPHS = Path(__file__).parent / "demo_photographs"
CAPTIONS = PHOTOGRAPHS / "captions.jsonl"
WORDS = ("a rocket before its launch", "a photographer with a tripod", "一杯咖啡")
PICTURES = ("chelsea.jpg", "astronaut.jpg")
HITS = 3
CAPTIONS_SHOWN = 1


@click.command()
@click.option(
    "--collection",
    type=click.Path(),
    metavar="PATH",
    callback=given_folder,
    help="The collection's folder. [default: in your data folder, one for each install and model]",
)
@click.option(
    "--model",
    default="auto",
    show_default=True,
    shell_complete=complete_models,
    help="Model, by alias, hub name or folder.",
)
def demo(collection: Path | None, model: str) -> None:
    r"""Index a few photographs with captions and search them.

    They come with vlsearch, with captions in English and Chinese; nothing is downloaded, and your own
    collection stays as it is.

    \b
        vlsearch demo
    """
    import indexer  # numpy, sqlalchemy, faiss: not for --help
    import retrieval
    from retrieval.cli.hits import show_hits

    path = collection or _default_collection(PHOTOGRAPHS, model)
    say_model(path, model)
    columns = tuple(indexer.parse_caption_column(name) for name in ("captions:en", "captions_zh:zh"))
    options = indexer.CorpusOptions(caption_columns=columns)
    with progress_display() as show:
        report = indexer.build(CAPTIONS, path, model=model, options=options, on_progress=show)
    held = f"{counted(report.images, 'photograph')}, {counted(report.captions, 'caption')}"
    click.echo(held + (f", {report.failed:,} failed" if report.failed else ""))
    with retrieval.open(path) as engine:
        for words in WORDS:
            click.echo()
            hits = engine.search(words, HITS, "image")
            show_hits(hits, f"Words find pictures: {words}", CAPTIONS_SHOWN)
        for name in PICTURES:
            click.echo()
            hits = engine.search(PHOTOGRAPHS / name, HITS, "text")
            show_hits(hits, f"A picture finds captions: {name}")
    click.echo(f"\nNow yours:\n{command_on(path, 'query', 'a cat')}")


def _default_collection(photographs: Path, model: str) -> Path:
    """Give a collection of its own to each installation (its photographs have other paths) and to each model."""
    from hashlib import sha256

    from platformdirs import user_data_path  # late, as in retrieval.query.location

    from retrieval.encoders.registry import RECOMMENDED

    weights = next(known.revision for known in RECOMMENDED if known.hub_id is None)
    about = "\n".join((str(photographs), model, str(weights)))
    return user_data_path("vlsearch", appauthor=False) / f"demo-{sha256(about.encode()).hexdigest()[:8]}"
