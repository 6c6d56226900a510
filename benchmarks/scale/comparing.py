"""The plain run over a corpus against one by many workers, some of them killed: counts, bits, and what each costs."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import indexer
from benchmarks.provenance import markdown_table, provenance, write_table
from benchmarks.scale.pictures import make_corpus
from benchmarks.scale.watching import Watch, digest
from indexer import Report

RunByMany = Callable[[Path, Path], Report]
"""Indexes the corpus, given first, into the collection, given second."""


def compare(module: str, title: str, name: str, run: RunByMany, victims: tuple[str, ...]) -> None:
    """Parse the command line, compare the two runs, and write the table beside the module.

    Args:
        module: whose command this is.
        title: of the table.
        name: of the run, in the table.
        run: that is compared with the plain one.
        victims: of it, as :class:`~benchmarks.scale.watching.Watch` takes them.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=title)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--kill-after", type=float, default=4.0, help="CPU seconds of a worker")
    arguments = parser.parse_args()
    watch = Watch(victims, arguments.kill_after)
    with tempfile.TemporaryDirectory() as place:
        corpus = make_corpus(Path(place) / "pictures", arguments.pictures)
        plain, many = Path(place) / "plain", Path(place) / "many"
        first = _measured(lambda: indexer.build(corpus, plain, workers=2), Watch())
        second = _measured(lambda: run(corpus, many), watch)
        same_counts = replace(first[0], seconds=0) == replace(second[0], seconds=0)
        is_equal = digest(plain) == digest(many)
    rows = []
    for label, (report, wall, cpu) in (("plain", first), (name, second)):
        counts = (f"{report.images:,}", f"{report.captions:,}", f"{report.failed:,}")
        rows.append((label, *counts, f"{wall:.0f}", f"{cpu:.0f}", f"{cpu / first[2]:.2f}"))
    lines = [
        f"# {title}",
        "",
        *provenance(
            f"python -m {module} --pictures {arguments.pictures} --kill-after {arguments.kill_after:g}",
            packages=("ray", "numpy", "openvino"),
            note=f"model mini, 8 shards; workers killed: {len(watch.killed)} of {len(victims)}; "
            f"counts equal: {same_counts}; bits equal: {is_equal}",
        ),
        "",
        *markdown_table(("run", "images", "captions", "failed", "wall s", "CPU s", "times"), rows),
    ]
    write_table(Path(__file__).with_name(f"{module.rpartition('.')[2]}.md"), lines)
    print("\n".join(lines))


def _measured(run: Callable[[], Report], watch: Watch) -> tuple[Report, float, float]:
    """Give the report, the wall time and the CPU time of a run."""
    began, own = time.monotonic(), time.process_time()
    with watch:
        report = run()
    return report, time.monotonic() - began, time.process_time() - own + sum(watch.used.values())
