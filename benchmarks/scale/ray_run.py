"""A run on Ray with one of two workers killed, against the plain run: counts, bits, and what it costs.

python -m benchmarks.scale.ray_run --pictures 20000

CPU seconds are those of all processes that the run began, read from /proc every half second: of one that ended, what
it had used when it was last seen.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import indexer
from benchmarks.provenance import markdown_table, provenance, write_table
from benchmarks.scale.pictures import make_corpus
from indexer import Report
from retrieval.collection import Collection

TABLE = Path(__file__).with_name("ray_run.md")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """CPU seconds of this process's descendants, and the first worker of Ray that has worked long enough, killed.

    Attributes:
        kill_after: CPU seconds of a worker of Ray after which it is killed; None for no kill.
        used: CPU seconds by process.
        killed: the process that was killed.
    """

    kill_after: float | None = None
    used: dict[int, float] = field(default_factory=dict)
    killed: int | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(0.5):
            for process, name, seconds in descendants():
                self.used[process] = max(seconds, self.used.get(process, 0.0))
                is_due = self.kill_after is not None and seconds > self.kill_after
                if self.killed is None and is_due and name.startswith("ray::index_shard"):
                    os.kill(process, signal.SIGKILL)
                    self.killed = process


def descendants() -> Iterator[tuple[int, str, float]]:
    """Give id, command line and CPU seconds of every process that this one, or one of its children, began."""
    parents: dict[int, int] = {}
    facts: dict[int, tuple[str, float]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "stat").read_text().rpartition(")")[2].split()
            name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        parents[int(entry.name)] = int(words[1])
        facts[int(entry.name)] = (name, (int(words[11]) + int(words[12])) / _TICKS)
    for process, (name, seconds) in facts.items():
        above = process
        while above in parents:
            above = parents[above]
            if above == os.getpid():
                yield process, name, seconds
                break


def digest(collection: Path) -> str:
    """Hash items in the order of their ids with their vectors, links and failures."""
    found = hashlib.sha256()
    with closing(sqlite3.connect(f"file:{collection}/catalogue.sqlite?mode=ro", uri=True)) as catalogue:
        for statement in (
            "SELECT items.id, uri, hex(sha256), attributes, stamp, extent FROM items"
            " JOIN contents ON contents.id = content_id ORDER BY items.id",
            "SELECT image_item, text_item, rank FROM links ORDER BY 1, 2",
            "SELECT uri, reason, stamp FROM failures ORDER BY id",
        ):
            for row in catalogue.execute(statement):
                found.update(repr(row).encode())
    with Collection.open(collection) as opened, opened.reading() as view:
        for kind in ("image", "text"):
            for page in view.pages(kind):
                vectors = view.vectors(kind, [item.encoding for item in page])  # type: ignore[misc]
                found.update(vectors.tobytes())
    return found.hexdigest()


def measured(run: Callable[[], Report], watch: Watch) -> tuple[Report, float, float]:
    """Give the report, the wall time and the CPU time of a run."""
    began, own = time.monotonic(), time.process_time()
    with watch:
        report = run()
    return report, time.monotonic() - began, time.process_time() - own + sum(watch.used.values())


def main() -> None:
    """Compare the two runs, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--kill-after", type=float, default=4.0, help="CPU seconds of a worker")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        corpus = make_corpus(Path(place) / "pictures", arguments.pictures)
        plain, ray, watch = Path(place) / "plain", Path(place) / "ray", Watch(arguments.kill_after)
        runs = {
            "plain": measured(lambda: indexer.build(corpus, plain, workers=2), Watch()),
            "Ray, one of 2 workers killed": measured(
                lambda: indexer.build_on_ray(corpus, ray, address="local", shards=8), watch
            ),
        }
        for name, (report, wall, cpu) in runs.items():
            counts = (f"{report.images:,}", f"{report.captions:,}", f"{report.failed:,}")
            rows.append((name, *counts, f"{wall:.0f}", f"{cpu:.0f}", f"{cpu / runs['plain'][2]:.2f}"))
        same_counts = replace(runs["plain"][0], seconds=0) == replace(
            runs["Ray, one of 2 workers killed"][0], seconds=0
        )
        is_equal = digest(plain) == digest(ray)
    notes = f"a worker was killed: {watch.killed is not None}; counts equal: {same_counts}; bits equal: {is_equal}"
    head = ("run", "images", "captions", "failed", "wall s", "CPU s", "times")
    lines = [
        "# On Ray, with a worker killed",
        "",
        *provenance(
            f"python -m benchmarks.scale.ray_run --pictures {arguments.pictures}",
            packages=("ray", "numpy", "openvino"),
            note=f"model mini, 8 shards; {notes}",
        ),
        "",
        *markdown_table(head, rows),
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
