"""Measures what one entry costs in shards and merges, and writes it beside what other tables say: unit_costs.json.

python -m benchmarks.scale.unit_costs --pictures 2000

CPU seconds of this process alone, with an encoder that costs nothing, so that what is left is listing, looking up,
committing and merging; what encoding and decoding cost, their own tables say.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import indexer
from benchmarks.scale.pictures import make_corpus
from indexer import CorpusOptions, Report, Shard, open_corpus
from retrieval.testing import HashEncoder

COSTS = Path(__file__).with_name("unit_costs.json")
SHARDS = 4


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU seconds an item (a picture or its caption), and bytes an item."""

    list_s: float
    index_s: float
    merge_s: float
    catalogue_bytes: float


def measure(pictures: int) -> Measured:
    """Index a corpus of so many pictures in shards, one after the other, and merge them."""
    with tempfile.TemporaryDirectory() as place:
        corpus = make_corpus(Path(place) / "pictures", pictures)
        items = 2 * pictures
        shards = [Path(place) / f"shard-{number}" for number in range(1, SHARDS + 1)]

        def index(number: int) -> Report:
            opened = open_corpus(str(corpus), CorpusOptions(shard=Shard(number, SHARDS)))
            return indexer.build(opened, shards[number - 1], model=HashEncoder(dimension=512), workers=1)

        def list_all() -> None:
            for _ in open_corpus(str(corpus), CorpusOptions(shard=Shard(1, 10_000))).entries():
                pass

        indexing = sum(cpu_of(lambda n=n: index(n)) for n in range(1, SHARDS + 1))  # type: ignore[misc]
        listing = cpu_of(list_all)
        merged = Path(place) / "merged"
        merging = cpu_of(lambda: indexer.merge(shards, merged))
        with closing(sqlite3.connect(merged / "catalogue.sqlite")) as catalogue:
            pages, size = (
                catalogue.execute(f"PRAGMA page_{name}").fetchone()[0] for name in ("count", "size")
            )
        return Measured(
            listing / items, (indexing - SHARDS * listing) / items, merging / items, pages * size / items
        )


def cpu_of(work: Callable[[], object]) -> float:
    """Give the CPU seconds of this process that some work takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Measure, and put the figures into the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    pictures = parser.parse_args().pictures
    costs = json.loads(COSTS.read_text(encoding="utf-8"))
    found = measure(pictures)
    source = f"benchmarks.scale.unit_costs --pictures {pictures}, {time.strftime('%Y-%m-%d', time.gmtime())}"
    for name in ("list_s", "index_s", "merge_s", "catalogue_bytes"):
        costs[name] = {"value": float(f"{getattr(found, name):.3g}"), "source": source}
    COSTS.write_text(json.dumps(costs, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(costs, indent=2))


if __name__ == "__main__":
    main()
