"""Text queries over many image vectors: FAISS's flat index, the exact scan and the accelerator, side by side.

    python -m benchmarks.search.scale GENERATOR [--rows 1000 200000 1000000] [--folder F]

GENERATOR is ``make.py`` of the project's shared data (``data/scale``), which makes vectors with the modality gap of
models like CLIP (512 dimensions). Each collection holds so many images and 1,000 texts, from which
``indexer.accelerate`` fits and tunes; recall and times are taken on 1,000 other texts. One query at a time, from
Python, through ``Collection.search``: transaction, search and hits with their items; "ids and scores" is the search
of vectors within it, on one thread. The flat index is FAISS's IndexFlatIP over the same vectors in float32 in memory,
on one thread, and gives ids and scores too; the exact search scans mapped files on two. Times faster are ratios of
CPU medians, taken in turn, five queries in a row. The accelerator is tuned for a recall of 0.98, and once more for
0.99. Writing, building and searching each run in a process of their own.
With ``--folder`` the collections stay, and a run that was interrupted goes on. Rewrites scale.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import retrieval
from benchmarks.provenance import ROOT, commit, introduction, markdown_table, provenance, write_table
from benchmarks.search.generated_collection import (
    asked_texts,
    held,
    load_generator,
    write_collection,
)
from benchmarks.search.searches_of_many import measure_search, measure_texts

TABLE = Path(__file__).with_suffix(".md")
QUERIES = 1000
MODEL = "mini"  # under whose identity the vectors stand, so that its text tower can ask for them
STAGES = ("write", "build", "search", "texts", "exacter")
USUAL, EXACTER = 0.98, 0.99  # recall that an accelerator is tuned for
SEARCH_HEAD = (
    "images", "search", "queries", "recall@10", "CPU ms, median", "ms, median", "ms, 95th percentile", "times faster",
)  # fmt: skip
MEMORY_HEAD = (
    "images", "bytes a vector in memory", "MiB of the process", "with pages of mapped files", "cells visited",
    "scored exactly", "recall when built", "ms when built",
)  # fmt: skip
BUILD_HEAD = (
    "images", "segments", "written, images/s", "peak MiB", "accelerator built, s", "CPU s", "peak MiB", "commits",
)  # fmt: skip
TEXT_HEAD = ("images", "search", "CPU ms, median", "ms, median", "ms, 95th percentile")


def write(path: Path, generator: Path, rows: int) -> dict[str, Any]:
    """Write what the collection lacks."""
    identity = retrieval.load_encoder(MODEL).identity
    return {"rate": write_collection(path, load_generator(generator), rows, identity)}


def build(path: Path, generator: Path, rows: int) -> dict[str, Any]:
    """Build the accelerator."""
    import indexer

    started, cpu = time.monotonic(), time.process_time()
    indexer.accelerate(path, recall=USUAL)
    return {"seconds": time.monotonic() - started, "cpu": time.process_time() - cpu}


def search(path: Path, generator: Path, rows: int) -> dict[str, Any]:
    """Measure searches with texts that are not stored."""
    return measure_search(path, asked_texts(load_generator(generator), rows, QUERIES))


def ask(path: Path, generator: Path, rows: int) -> dict[str, Any]:
    """Measure whole queries of words, the text tower's work in them."""
    return measure_texts(path, MODEL)


def search_exacter(path: Path, generator: Path, rows: int) -> dict[str, Any]:
    """Measure the same searches with the accelerator tuned for a higher recall, and tune it back."""
    import indexer

    indexer.accelerate(path, recall=EXACTER)
    try:
        return search(path, generator, rows)
    finally:
        indexer.accelerate(path, recall=USUAL)


WORK: dict[str, Callable[[Path, Path, int], dict[str, Any]]] = dict(
    zip(STAGES, (write, build, search, ask, search_exacter), strict=True)
)


def run_stage(stage: str, folder: Path, generator: Path, rows: int) -> dict[str, Any]:
    """Run a stage in a process of its own, or give what an earlier run of it left in the folder."""
    noted = folder / f"{rows}.{stage}.json"
    is_kept = stage in ("write", "build") and noted.exists()
    if stage == "write" and is_kept:
        is_kept = held(folder / str(rows)) == rows
    if not is_kept:
        command = [sys.executable, "-m", "benchmarks.search.scale", str(generator), "--stage", stage]
        command += ["--rows", str(rows), "--folder", str(folder)]
        print(f"{rows:,} images: {stage}", file=sys.stderr)
        subprocess.run(command, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(noted.read_text(encoding="utf-8"))
    return found


def note_stage(stage: str, folder: Path, generator: Path, rows: int) -> None:
    """Do a stage's work and leave its figures in the folder."""
    figures = WORK[stage](folder / str(rows), generator, rows)
    figures["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["commit"] = commit()
    (folder / f"{rows}.{stage}.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")


def search_rows(found: dict[str, Any], tuned_for: str = "") -> Iterator[tuple[object, ...]]:
    """Rows of the table of searches; of the accelerator alone where it is tuned for another recall."""
    times = found["times"]
    slowest = times.get("Flat", times["exact"])
    for name, spent in times.items():
        accelerated = name.startswith("accelerator")
        if found["measurement"] is None if accelerated else tuned_for:
            continue
        recall, asked = (found["recall"], found["queries"]) if accelerated else (1.0, found["timed"])
        yield (
            f"{found['images']:,}", name + tuned_for, asked, f"{recall:.3f}", f"{spent['cpu']:.2f}",
            f"{spent['wall']:.2f}", f"{spent['wall_95']:.2f}", f"{slowest['cpu'] / spent['cpu']:.1f}",
        )  # fmt: skip


def memory_row(found: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    """Row of the table of memory, where there is an accelerator."""
    built, after = found["measurement"], found["memory"]["after"]
    if built is not None:
        yield (
            f"{found['images']:,}", built["bytes_per_vector"], f"{after['own']:.0f}", f"{after['resident']:.0f}",
            built["cells"], built["rescored"], built["recall"], built["milliseconds"],
        )  # fmt: skip


def build_row(of: dict[str, dict[str, Any]]) -> tuple[object, ...]:
    """Row of the table of building."""
    written, built, found = of["write"], of["build"], of["search"]
    has_one = found["measurement"] is not None
    accelerator = (
        (f"{built['seconds']:.0f}", f"{built['cpu']:.0f}", f"{built['peak']:.0f}") if has_one else ("",) * 3
    )
    return (
        f"{found['images']:,}", found["segments"], f"{written['rate']:,.0f}", f"{written['peak']:.0f}", *accelerator,
        ", ".join(sorted({one["commit"] for one in of.values()})),
    )  # fmt: skip


def text_rows(found: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    """Rows of the table of whole queries."""
    for name, spent in found["times"].items():
        yield (
            f"{found['images']:,}", name, f"{spent['cpu']:.2f}", f"{spent['wall']:.2f}", f"{spent['wall_95']:.2f}",
        )  # fmt: skip


def table(sizes: Sequence[dict[str, dict[str, Any]]], options: argparse.Namespace) -> list[str]:
    """Lay out what all stages found, as Markdown."""
    written = " ".join(map(str, options.rows))
    searches = [
        row
        for of in sizes
        for row in (*search_rows(of["search"]), *search_rows(of["exacter"], f", tuned for {EXACTER}"))
    ]
    folder = " --folder F" if options.folder else ""
    memories = [row for of in sizes for stage in ("search", "exacter") for row in memory_row(of[stage])]
    return [
        "# Search of many vectors",
        "",
        *provenance(
            f"python -m benchmarks.search.scale GENERATOR --rows {written}{folder}",
            packages=("numpy", "faiss-cpu"),
            note=options.note,
        ),
        "",
        introduction(__doc__),
        "",
        *markdown_table(SEARCH_HEAD, searches),
        "",
        "Memory of the process after all queries through the accelerator, and what the accelerator says of itself:",
        "",
        *markdown_table(MEMORY_HEAD, memories),
        "",
        "Writing and building; peaks count pages of mapped files, and writing those of the generator:",
        "",
        *markdown_table(BUILD_HEAD, map(build_row, sizes)),
        "",
        f"Queries of words through a search engine with the text tower of `{MODEL}`, a different text each time:",
        "",
        *markdown_table(TEXT_HEAD, (row for of in sizes for row in text_rows(of["texts"]))),
    ]


def main() -> None:
    """Rewrite the table, or do one stage's work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("generator", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 200_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the collections stay; by default they are removed")
    parser.add_argument("--note", default="", help="what else a reader must know of the machine meanwhile")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    generator = options.generator.resolve()
    if options.stage:
        note_stage(options.stage, options.folder, generator, options.rows[0])
        return
    kept = None if options.folder is None else nullcontext(str(options.folder.resolve()))
    with kept or tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = [
            {stage: run_stage(stage, folder, generator, rows) for stage in STAGES} for rows in options.rows
        ]
        lines = table(sizes, options)
    write_table(TABLE, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
