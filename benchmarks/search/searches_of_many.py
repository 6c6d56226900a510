"""Text queries over one collection of generated vectors, as a process of its own measures them; see ``scale.py``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import retrieval
from retrieval.collection import Collection
from retrieval.collection.accelerators.search import search_accelerated
from retrieval.collection.stores import SegmentStore
from retrieval.types import Hit

K = 10
ROUND = 5  # queries of one search in a row
FLAT_BYTES = 4 * 2**30  # of vectors that FAISS's own index may take in memory; beyond, there is none beside
TIMED_BYTES = 120 * 2**30  # that the interleaved exact scans of a collection read together, at most
MOST_TIMED, FEWEST_TIMED = 60, 5

T = TypeVar("T")
Search = Callable[[NDArray[np.float32]], object]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of a query: wall clock (median, 95th percentile) and CPU of all threads (median)."""

    wall: float
    wall_95: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of a process: its own, and all that is resident, with pages of mapped files, which the kernel may drop."""

    own: float
    resident: float


def measure_search(path: Path, queries: NDArray[np.float32]) -> dict[str, Any]:
    """Measure the accelerator of a collection beside the exact search and FAISS's IndexFlatIP, as values for JSON.

    Memory is read after all queries through the accelerator and before anything else. Recall is of the exact ten best,
    over all queries; times are taken query by query in turn, on as many of them as exact scans allow.

    Args:
        path: of the collection.
        queries: (q, d) float32 unit rows, none of which it holds.
    """
    with Collection.open(str(path)) as collection:
        info = collection.info()

        def accelerated(query: NDArray[np.float32]) -> list[Hit]:
            return collection.search(query[None], "image", K)[0]

        def exact(query: NDArray[np.float32]) -> list[Hit]:
            return collection.search(query[None], "image", K, exact=True)[0]

        start = _memory()
        accelerated(queries[0])
        first = _memory()
        times, found = _each(accelerated, queries)
        after = _memory()
        best = collection.search(queries, "image", K, exact=True)
        shared = [
            len({hit.id for hit in true} & {hit.id for hit in hits})
            for true, hits in zip(best, found, strict=True)
        ]
        searches: dict[str, Search] = {"exact": exact, "accelerator": accelerated}
        if info.accelerators:
            searches["accelerator, ids and scores"] = _accelerator_alone(collection)
        size = info.images * queries.shape[1] * 4
        if size <= FLAT_BYTES:
            searches = {"Flat": _flat_search(collection, info.images, queries.shape[1]), **searches}
        timed = int(np.clip(TIMED_BYTES // size, FEWEST_TIMED, min(MOST_TIMED, len(queries))))
        by_search = _interleaved(searches, list(queries[:timed]))
    built = info.accelerators.get("image")
    return {
        "images": info.images,
        "segments": info.segments,
        "queries": len(queries),
        "recall": sum(shared) / (K * len(queries)),
        "timed": timed,
        "times": {name: asdict(spent) for name, spent in by_search.items()},
        "all": asdict(times),
        "memory": {"opened": asdict(start), "first": asdict(first), "after": asdict(after)},
        "measurement": None if built is None else asdict(built.measurement),
    }


def measure_texts(path: Path, model: str) -> dict[str, Any]:
    """Measure whole queries of words through a search engine, and the text tower's part, as values for JSON.

    Args:
        path: of a collection that is bound to the model.
        model: its name.
    """
    words = [f"{thing} on the {day}th day" for day in range(4, 20) for thing in ("a dog", "two cats", "snow")]
    with retrieval.open(str(path), encoder=retrieval.load_encoder(model)) as engine:
        info = engine.collection.info()
        searches: dict[str, Callable[[str], object]] = {
            "text tower alone": lambda text: engine.encoder.encode_texts([text], 1),
            "exact": lambda text: engine.search(f"{text} indoors", exact=True),
        }
        if "image" in info.accelerators:
            searches["accelerator"] = lambda text: engine.search(f"{text} outdoors")
        for search in searches.values():
            search("a horse")
        times = _interleaved(searches, words)
    return {"images": info.images, "times": {name: asdict(spent) for name, spent in times.items()}}


def _accelerator_alone(collection: Collection) -> Search:
    """Give the search of vectors that a search of the collection asks: proposals and their exact scores."""
    with collection.reading() as view:
        snapshot = view._snapshot
    accelerator, store = snapshot.accelerators["image"], snapshot.stores["image"]
    assert isinstance(store, SegmentStore)
    return lambda query: search_accelerated(accelerator, store, query[None], K, snapshot.masked)


def _flat_search(collection: Collection, rows: int, dimension: int) -> Search:
    """Copy all image vectors into an IndexFlatIP, which is searched on one thread."""
    import faiss

    index = faiss.IndexFlatIP(dimension)
    with collection.reading() as view:
        vectors = view.vectors_of_kind("image").vectors
    assert len(vectors) == rows
    index.add(vectors)
    faiss.omp_set_num_threads(1)  # of this thread; the collection's own threads set theirs
    return lambda query: index.search(query[None], K)


def _each(
    search: Callable[[NDArray[np.float32]], list[Hit]], queries: NDArray[np.float32]
) -> tuple[Times, list[list[Hit]]]:
    spent, found = [], []
    for query in queries:
        taken, hits = _timed(partial(search, query))
        spent.append(taken)
        found.append(hits)
    return _summary(spent), found


def _interleaved(searches: Mapping[str, Callable[[T], object]], queries: Sequence[T]) -> dict[str, Times]:
    """Time searches in turn, each on :data:`ROUND` queries in a row, of which the first finds caches cold."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in searches}
    for start in range(0, len(queries), ROUND):
        for name, search in searches.items():
            spent[name] += [_timed(partial(search, query))[0] for query in queries[start : start + ROUND]]
    return {name: _summary(taken) for name, taken in spent.items()}


def _timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Run it; give wall and CPU milliseconds, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    given = work()
    return (1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)), given


def _summary(spent: list[tuple[float, float]]) -> Times:
    wall, cpu = zip(*spent, strict=True)
    return Times(statistics.median(wall), float(np.percentile(wall, 95)), statistics.median(cpu))


def _memory() -> Memory:
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    )
    own, resident = (int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "VmRSS"))
    return Memory(own, resident)
