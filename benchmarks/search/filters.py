"""Filtered search: conditions that let through few, some or half of the items, beside the same search without one.

    python -m benchmarks.search.filters GENERATOR [--rows 100000] [--queries 300] [--work FOLDER [--only-make]]

GENERATOR is ``make.py`` of the project's shared data (``data/scale``), which makes vectors with the modality gap of
models like CLIP (512 dimensions). Each image has a date, a camera and three numbers as attributes; ``bucket`` is spread
evenly, so that ``bucket < n`` lets through a known share. One text query at a time, from Python, through
``View.search`` in a transaction of its own, without a condition and with each condition in turn, so that all rows of a
table are measured in the same minutes. A condition is met for the first time in each generation (``first, ms``), and
known from then on. ``recall@10`` compares with the exact filtered search. Rewrites filters.md. A collection in
``--work`` stays and is measured again; ``--only-make`` makes it alone.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import indexer
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.generated_collection import asked_texts, load_generator, parser_of, write_collection
from indexer.store.acceleration import DEFAULT_RECALL
from indexer.store.changes import Change
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.filters.parse import parse_where
from retrieval.expressions import Expression
from retrieval.types import Hit, Request

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "search", "condition", "items", "first, ms", "ms, median", "ms, 95th percentile", "times no condition's (95th)",
    "recall@10",
)  # fmt: skip
BUCKETS = 10_000
CONDITIONS = (
    "bucket < 1",
    "bucket < 100",
    "bucket < 1000",
    "bucket < 5000",
    "taken in 2021 and camera contains canon and not rating < 3",
)


def give_attributes(path: Path, rows: int) -> None:
    """Give the images attributes, as a program does: in commits of 20,000."""
    rng = np.random.default_rng(0)
    buckets = rng.permutation(rows) % BUCKETS
    with Writer(path) as writer:
        for start in range(0, rows, 20_000):
            stop = min(start + 20_000, rows)
            attributes = {
                f"generated:{number}": {
                    "bucket": int(buckets[number]),
                    "taken": f"20{number % 25:02}-{1 + number % 12:02}-{1 + number % 28:02}T10:00:00",
                    "camera": ("Canon EOS R5", "NIKON Z 6", "ILCE-7M4")[number % 3],
                    "rating": number % 6,
                    "lat": 40 + number % 1000 / 100,
                }
                for number in range(start, stop)
            }
            writer.commit_rows(Change(attributes=dict(attributes)))


def make(path: Path, model: Any, rows: int, recall: float = DEFAULT_RECALL) -> None:
    """Write the collection, with attributes and an accelerator."""
    write_collection(path, model, rows)
    started = time.process_time()
    give_attributes(path, rows)
    print(f"giving {rows:,} images five attributes each: {time.process_time() - started:.1f} s of CPU")
    indexer.optimize(path)
    indexer.accelerate(path, from_rows=1, recall=recall)


def measure(path: Path, queries: NDArray[np.float32], exact: bool) -> Iterator[tuple[object, ...]]:
    """Rows of the table for one kind of search."""
    wheres: list[Expression | None] = [None, *(parse_where(text) for text in CONDITIONS)]
    times: dict[int, list[float]] = {number: [] for number in range(len(wheres))}
    shared = dict.fromkeys(times, 0)
    wanted = dict.fromkeys(times, 0)
    with Collection.open(path) as collection:
        search(collection, queries[:1], Request(10, exact=exact))
        first = [
            search(collection, queries[:1], Request(10, exact=exact, where=where))[1] for where in wheres
        ]
        counts = []
        with collection.reading() as view:
            for where in wheres:
                counts.append(len(view.where("image", where)))
        for query in queries:
            for number, where in enumerate(wheres):
                request = Request(10, exact=exact, where=where)
                hits, seconds = search(collection, query[None], request)
                times[number].append(1000 * seconds)
                if not exact:
                    best, _ = search(collection, query[None], replace(request, exact=True))
                    shared[number] += len({hit.id for hit in hits} & {hit.id for hit in best})
                    wanted[number] += len(best)
    plain = float(np.percentile(times[0], 95))
    for number, spent in times.items():
        recall = f"{shared[number] / max(1, wanted[number]):.3f}" if not exact else "1.000"
        p95 = float(np.percentile(spent, 95))
        yield (
            "exact" if exact else "accelerator", f"`{CONDITIONS[number - 1]}`" if number else "none",
            f"{counts[number]:,}", f"{1000 * first[number]:.1f}", f"{statistics.median(spent):.2f}", f"{p95:.2f}",
            f"{p95 / plain:.2f}", recall,
        )  # fmt: skip


def search(collection: Collection, query: NDArray[np.float32], request: Request) -> tuple[list[Hit], float]:
    """Answer one query; give the seconds that it took."""
    started = time.perf_counter()
    with collection.reading() as view:
        (hits,) = view.search(query, "image", request)
    return hits, time.perf_counter() - started


def main() -> None:
    """Rewrite the table."""
    parser = parser_of(__doc__, rows=100_000, queries=300)
    parser.add_argument(
        "--only-make", action="store_true", help="make the collection, and measure another time"
    )
    options = parser.parse_args()
    model = load_generator(options.generator)
    queries = asked_texts(model, options.rows, options.queries)
    table: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = (options.work or Path(folder)) / "collection"
        if not path.exists():
            make(path, model, options.rows)
        if options.only_make:
            return
        for exact in (True, False):
            table += measure(path, queries, exact)
    lines = [
        "# Filtered search",
        "",
        *provenance(
            f"python -m benchmarks.search.filters GENERATOR --rows {options.rows} --queries {options.queries}",
            packages=("numpy", "faiss-cpu"),
            note=options.note,
        ),
        "",
        introduction(__doc__),
        "",
        *markdown_table(HEAD, table),
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
