"""``vlsearch index``: index a corpus into a collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.answers import json_line
from retrieval.cli.cluster_options import OnCluster, cluster_options
from retrieval.cli.completing import complete_models, complete_paths
from retrieval.cli.corpus_options import CorpusCommand, corpus_options
from retrieval.cli.model_note import say_model
from retrieval.cli.options import json_option, place_option, quiet_option, runtime_options, wait_option
from retrieval.cli.printing import counted, counted_kinds, one_line, printable, short_name
from retrieval.cli.progress import duration, progress_display
from retrieval.cli.run_options import RunChoice, run_options
from retrieval.errors import UsageError
from retrieval.extras import is_installed, require
from retrieval.file_kinds import missing_extra
from retrieval.places import CollectionPlace
from retrieval.postgres_address import require_folder
from retrieval.shell import command_on

if TYPE_CHECKING:
    from indexer import Corpus, CorpusOptions, Report, TextsRead
    from indexer.pipeline.report import FailureGroup, RegionsMade
    from retrieval.collection import KnownCorpus
    from retrieval.types import Limits

REASONS_SHOWN = 5
INTERRUPTED = 130


@click.command(cls=CorpusCommand)
@click.argument("corpus", required=False, shell_complete=complete_paths)
@place_option
@click.option(
    "--model",
    default="auto",
    shell_complete=complete_models,
    show_default=True,
    help="Model for a new collection, by alias, hub name or folder; a collection keeps its model.",
)
@corpus_options
@run_options
@cluster_options
@click.option("--strict", is_flag=True, help="Exit with 1 if any item failed.")
@runtime_options
@json_option("Print one JSON object of counts at the end.")
@quiet_option
@wait_option
def index(
    corpus: str | None,
    wait: float,
    collection: CollectionPlace,
    model: str,
    options: CorpusOptions,
    limits: Limits,
    workers: int | None,
    choice: RunChoice,
    on_cluster: OnCluster | None,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    r"""Index a corpus of pictures and texts into a collection.

    CORPUS is a folder of pictures, or a file in one of the formats below; "train-{000..005}.tar" is six
    files, and s3://bucket/photos a folder in an S3 store. Run it again at any time: only what is new or changed is
    encoded. Ctrl-C keeps what is done. Without CORPUS, all corpora of the collection are indexed again, as they were
    before.

    \b
        vlsearch index ~/Pictures
        vlsearch index --prune                      what changed in all of the collection's corpora
        vlsearch index --regions                    find small things too, at twice the work
        vlsearch index s3://bucket/photos           as the AWS settings say who asks, and where
        vlsearch index captions.csv --image-column file --caption-column title:en
        vlsearch index /media/usb/Pictures --collection /media/usb/photos.collection --relative
        vlsearch index dataset_flickr8k.json --images Images/ --split test
        vlsearch index /data/pictures --shard 2/8 --collection /scratch/shard-2
        vlsearch index s3://bucket/photos --shard 2/8 --collection /scratch/shard-2 --send-to s3://bucket/run-1
        vlsearch index /data/pictures --ray head:6379
    """
    import indexer  # numpy, sqlalchemy: not for --help
    from indexer.building import open_for

    if choice.ocr:
        require("ocr", "index --ocr")
    if choice.send_to is not None:
        _check_place(choice.send_to, choice.shard, corpus)
    from retrieval.freed_memory import retain_freed_memory

    retain_freed_memory()  # else every batch of the image tower maps its memory anew
    settings: dict[str, Any] = {
        "model": model, "limits": limits, "prune": choice.prune, "retry_failed": choice.retry_failed,
        "reread": choice.reread, "relative": choice.relative, "regions": choice.regions, "workers": workers,
        "timeout": wait,
    }  # fmt: skip
    if choice.shard is not None:
        options = replace(options, shard=indexer.parse_shard(choice.shard))
    if on_cluster is not None:
        settings = _on_cluster(on_cluster, settings, corpus, choice.shard)
    if corpus is None:
        if options != indexer.CorpusOptions():
            raise UsageError("options of how a corpus is read need a CORPUS; name it, or leave them out")
        outcomes = _update(collection, settings, as_json, quiet)
    else:
        opened = open_for(collection, corpus, options, choice.reread or choice.retry_failed)
        outcomes = [_build(opened, collection, settings, as_json, quiet)]
    interrupted = any(report is not None and report.interrupted for report in outcomes)
    texts = None
    if _is_to_read_texts(choice.ocr, collection, wait) and not interrupted:
        texts = _read_texts(collection, limits, workers, wait, as_json, quiet, bool(choice.ocr))
    if interrupted or (texts is not None and texts.interrupted):
        click.echo("Interrupted; what is done is kept. Run the same command again to go on.", err=True)
        raise SystemExit(INTERRUPTED)
    if choice.send_to is not None:
        _send(require_folder(collection, "index --send-to"), choice.send_to, as_json, quiet)
    failed = strict and texts is not None and texts.failed
    if failed or any(report is None or is_failure(report, strict) for report in outcomes):
        raise SystemExit(1)


def _on_cluster(
    on_cluster: OnCluster, settings: dict[str, Any], corpus: str | None, shard: str | None
) -> dict[str, Any]:
    """Give the settings of a run on a cluster, which makes a new collection of one corpus."""
    here = ("prune", "retry_failed", "reread", "relative", "regions")
    others = [f"--{name.replace('_', '-')}" for name in here if settings[name]]
    others += ["--shard"] if shard is not None else []
    if corpus is None or others:
        remedy = "name it" if corpus is None else f"leave {others[0]} out"
        raise UsageError(f"--ray makes a new collection of a whole CORPUS; {remedy}")
    kept = {name: settings[name] for name in ("model", "limits", "timeout")}
    return kept | asdict(on_cluster) | {"workers": settings["workers"] or 1}


def _check_place(address: str, shard: str | None, corpus: str | None) -> None:
    """Refuse, before hours of work, a place that nothing can be sent to."""
    from indexer.stored_shards import StoredShards  # late, as above

    if shard is None or corpus is None:
        raise UsageError("--send-to sends a shard; pass --shard i/n and CORPUS, or leave it out")
    StoredShards(address).check()


def _send(collection: Path, address: str, as_json: bool, quiet: bool) -> None:
    import indexer

    with progress_display(quiet) as show:
        manifest = indexer.send_shard(collection, address, on_progress=show)
    if as_json:
        click.echo(json_line({"sent": manifest}).encode())
    elif not quiet:
        click.echo(f"sent to {printable(manifest)}")


def is_failure(report: Report, strict: bool) -> bool:
    """Whether a run ends with exit code 1: nothing could be taken, or, if that is strict, not everything."""
    nothing_taken = not report.images and not report.captions
    without_regions = report.regions is not None and report.regions.failed > 0
    return (bool(report.failed) and (strict or nothing_taken)) or (strict and without_regions)


def _build(
    corpus: Corpus, collection: CollectionPlace, settings: dict[str, Any], as_json: bool, quiet: bool
) -> Report:
    import indexer

    if not quiet:
        if corpus.note:
            click.echo(f"note: {printable(corpus.note)}", err=True)
        say_model(collection, settings["model"])
    with progress_display(quiet) as show:
        if "address" in settings:
            folder = require_folder(collection, "index --ray")
            report = indexer.build_on_ray(corpus, folder, on_progress=show, **settings)
        else:
            report = indexer.build(corpus, collection, on_progress=show, **settings)
    if as_json:
        click.echo(json_line(report_facts(report)).encode())
    elif not quiet:
        show_report(report, collection)
    return report


def _update(
    collection: CollectionPlace, settings: dict[str, Any], as_json: bool, quiet: bool
) -> list[Report | None]:
    """Index all known corpora again; None stands for one that could not be read."""
    import indexer

    def announce(corpus: KnownCorpus) -> None:
        if not quiet and not as_json:
            click.echo(f"{short_name(corpus.uri)} ({corpus.format})")

    reports: list[Report | None] = []
    with progress_display(quiet) as show:
        for updated in indexer.update(collection, on_corpus=announce, on_progress=show, **settings):
            reports.append(updated.report)
            if updated.error is not None:
                click.echo(f"Error: {printable(updated.error.in_shell())}", err=True)
            if as_json:
                error = None if updated.error is None else str(updated.error)
                facts = {"corpus": updated.corpus.uri, "error": error}
                click.echo(
                    json_line(facts | (report_facts(updated.report) if updated.report else {})).encode()
                )
            elif updated.report is not None and not quiet:
                show_report(updated.report, collection)
    return reports


def _is_to_read_texts(ocr: bool | None, collection: CollectionPlace, wait: float) -> bool:
    """Whether it is asked for, or was before and has not been ended; note in the collection what is asked for."""
    import indexer
    from indexer.store.writers import is_made

    if ocr is not None:
        if is_made(collection):  # an empty corpus makes none
            indexer.set_reads_text(collection, ocr, timeout=wait)
        return ocr
    if not is_made(collection) or not indexer.reads_text(collection):
        return False
    if not is_installed("ocr"):
        need = "needs vlsearch[ocr]; install it with: pip install 'vlsearch[ocr]'"
        click.echo(
            f"note: reading the text in new pictures, which this collection asks for, {need}", err=True
        )
        return False
    return True


def _read_texts(
    collection: CollectionPlace,
    limits: Limits,
    workers: int | None,
    wait: float,
    as_json: bool,
    quiet: bool,
    is_asked_for: bool,
) -> TextsRead:
    import indexer

    with progress_display(quiet) as show:
        read = indexer.read_texts(collection, limits=limits, workers=workers, timeout=wait, on_progress=show)
    if as_json:
        click.echo(json_line({"ocr": asdict(read)}).encode())
    elif not quiet and (is_asked_for or read.with_text or read.without_text or read.failed):
        found = f"{counted(read.with_text, 'picture')} with text, {read.without_text:,} without, {read.failed:,} failed"
        click.echo(f"text read: {found}, {duration(read.seconds)} ({printable(read.maker)})")
        if read.failed:
            click.echo("failed:")
            _show_reasons(read.reasons)
    return read


def report_facts(report: Report) -> dict[str, object]:
    """Give the counts of a run as ``--json`` prints them."""
    return asdict(report) | {"seen": report.seen}


def show_report(report: Report, collection: CollectionPlace, did: str = "encoded") -> None:
    """Print the counts of a run; ``did`` is what was done to contents that have a vector now and had none."""
    held = (
        counted(report.images, "image"),
        counted(report.captions, "caption"),
        counted(report.links, "link"),
    )
    click.echo(f"{', '.join(held)} in {printable(str(collection))}")
    work = [f"{report.encoded:,} {did}"]
    work += [f"{report.known:,} known by content"] if report.known else []
    work += [f"{report.unchanged:,} unchanged", f"{report.failed:,} failed"]
    work += [f"{sum(report.left_out.values()):,} left out"] if report.left_out else []
    work += [f"{report.removed:,} removed"] if report.removed else []
    click.echo(f"{', '.join(work)}, {duration(report.seconds)}")
    if report.left_out:
        click.echo(f"left out: {counted_kinds(report.left_out)}")
        for sentence in _missing_extras(report.left_out):
            click.echo(sentence)
    if report.failed:
        click.echo("failed:")
        _show_failures(report, collection)
    if report.regions is not None:
        _show_regions(report.regions)
    if report.vanished:
        gone, them = ("item is", "it") if report.vanished == 1 else ("items are", "them")
        click.echo(
            f"{report.vanished:,} {gone} no longer in the corpus and can still be found; drop {them} with this "
            "command and --prune, or by name with vlsearch delete"
        )


def _show_regions(made: RegionsMade) -> None:
    done = f"{counted(made.images, 'picture')} encoded, {made.failed:,} failed, {duration(made.seconds)}"
    click.echo(f"regions: {done}")
    if made.failed:
        _show_reasons(made.reasons)


def _missing_extras(left_out: Mapping[str, int]) -> Iterator[str]:
    """Say of each kind of file that was left out for want of an extra how it is taken."""
    for noun, number in sorted(left_out.items()):
        extra = missing_extra(noun)
        if extra is not None:
            need = "needs" if number == 1 else "need"
            yield (
                f"{counted(number, noun)} {need} vlsearch[{extra}]; index again after: pip install 'vlsearch[{extra}]'"
            )


def _show_failures(report: Report, collection: CollectionPlace) -> None:
    left = _show_reasons(report.reasons)
    if report.failed > len(report.reasons) or left > 0:
        click.echo(f"  See all with: {command_on(collection, 'info', '--failures')}")


def _show_reasons(reasons: Sequence[FailureGroup]) -> int:
    """Print why items failed, the most frequent reasons first; give how many reasons are left."""
    width = len(f"{reasons[0].count:,}") if reasons else 0
    for group in reasons[:REASONS_SHOWN]:
        more = f" and {group.count - 1:,} more" if group.count > 1 else ""
        click.echo(f"  {group.count:>{width},}  {short_name(group.example)}{more}: {one_line(group.reason)}")
    left = len(reasons) - REASONS_SHOWN
    if left > 0:
        click.echo(f"  and {counted(left, 'other reason')}")
    return left
