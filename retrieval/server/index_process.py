"""What a process of its own does for ``POST /v1/index``: index corpora, and tell how far it is. Knows no HTTP.

A process, because its memory ends with it, and because it commits what it has done when it is told to end.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import VlsearchError
from retrieval.places import CollectionPlace
from retrieval.types import Progress

if TYPE_CHECKING:
    from indexer import Report

TELL_S = 0.2  # between two messages about progress


@dataclass(frozen=True, slots=True)
class IndexTask:
    """What to index.

    Attributes:
        collection: its folder, or its address on a server.
        corpora: uris of corpora that it knows; None for all of them.
        folder: a folder to index before them; it need not be known yet.
        prune: drop items that have vanished.
        retry_failed: try again what failed before.
    """

    collection: CollectionPlace
    corpora: tuple[str, ...] | None
    folder: Path | None = None
    prune: bool = False
    retry_failed: bool = False


def run_index(told: Connection, task: IndexTask) -> None:
    """Index, and send JSON objects: ``corpus`` (a uri), ``progress``, ``report``, ``error``; the last is ``end``."""
    last = 0.0

    def tell(**facts: object) -> None:
        told.send_bytes(json.dumps(facts).encode())

    def progress(now: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_S:
            last = time.monotonic()
            tell(progress={"done": now.done, "total": now.total, "failed": now.failed})

    import indexer  # late: the process that serves starts without it

    try:
        stopped = False
        if task.folder is not None:
            tell(corpus=task.folder.absolute().as_uri())
            report = indexer.build(
                str(task.folder), task.collection, retry_failed=task.retry_failed, on_progress=progress
            )
            tell(report=_counts(report))
            stopped = report.interrupted
        if not stopped and (task.corpora is None or task.corpora):
            for done in indexer.update(
                task.collection,
                prune=task.prune,
                retry_failed=task.retry_failed,
                is_wanted=lambda corpus: task.corpora is None or corpus.uri in task.corpora,
                on_corpus=lambda corpus: tell(corpus=corpus.uri),
                on_progress=progress,
            ):
                tell(
                    report=None if done.report is None else _counts(done.report),
                    error=None if done.error is None else str(done.error),
                )
                stopped = done.report is not None and done.report.interrupted
        tell(end="stopped" if stopped else "done")
    except VlsearchError as error:
        tell(end="failed", error=str(error))


def _counts(report: Report) -> dict[str, object]:
    kept = (
        "images", "captions", "encoded", "known", "unchanged", "failed", "removed", "vanished", "seconds", "interrupted"
    )  # fmt: skip
    facts = asdict(report)
    return {name: facts[name] for name in kept}
