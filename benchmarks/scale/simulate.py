"""A plan for many pictures by simulation: hours, machines, bytes and dollars from the unit costs in unit_costs.json.

    python -m benchmarks.scale.simulate                                    # the table of docs/scale.md
    python -m benchmarks.scale.simulate --check 1000000 --folder F         # against a real run of so many pictures
    python -m benchmarks.scale.simulate --check-search F                   # against what benchmarks.search.scale left

Shards are run on machines whose speeds differ and that are lost now and then; a shard goes on from its last commit,
lists the corpus again, and waits for no other. Then one machine merges, and builds an accelerator.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from benchmarks.provenance import markdown_table
from benchmarks.scale import search_costs
from benchmarks.scale.checking import check_pictures, check_search
from benchmarks.scale.unit_costs import costs

CORES = 16  # of a machine
SIZES = {10_000_000: (4, 16), 100_000_000: (16, 32), 1_000_000_000: (64, 64)}
"""Machines and shards for each number of pictures."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a corpus takes: hours of wall time, core hours, bytes, dollars, queries a second."""

    pictures: int
    machines: int
    shards: int
    encode_h: float
    list_h: float
    merge_h: float
    core_h: float
    vectors_gb: float
    catalogue_gb: float
    codes_gb: float
    build_core_h: float
    build_gb: float
    query_ms: float
    queries_s: float
    scan_s: float
    encode_usd: float
    disk_usd_month: float
    mirror_h: float
    mirror_gb: float


def plan(cost: Mapping[str, float], pictures: int, machines: int, shards: int) -> Plan:
    """Plan a corpus of pictures."""
    list_s = pictures * cost["list_s"]
    main_s = list_s + pictures * cost["index_s"] / shards
    work_s = pictures * (cost["encode_s"] + cost["decode_s"]) / shards
    encode_s = makespan(cost, machines * CORES, shards, main_s, work_s)
    merge_s = list_s + pictures * cost["merge_s"]
    vectors, catalogue = pictures * cost["vector_bytes"], pictures * cost["catalogue_bytes"]
    query_s = search_costs.query_core_s(cost, pictures)
    return Plan(
        pictures=pictures,
        machines=machines,
        shards=shards,
        encode_h=encode_s / 3600,
        list_h=list_s / 3600,
        merge_h=merge_s / 3600,
        core_h=(shards * (main_s + work_s) + merge_s) / 3600,
        vectors_gb=vectors / 1e9,
        catalogue_gb=catalogue / 1e9,
        codes_gb=pictures * cost["accelerator_bytes"] / 1e9,
        build_core_h=search_costs.build_core_s(cost, pictures) / 3600,
        build_gb=search_costs.build_peak_bytes(cost, pictures) / 1e9,
        query_ms=1000 * query_s,
        queries_s=CORES / query_s,
        scan_s=vectors / cost["scan_bytes_a_second"],
        encode_usd=machines * CORES * encode_s / 3600 * cost["core_hour_usd"],
        disk_usd_month=2 * (vectors + catalogue) / 1e9 * cost["ssd_gb_month_usd"],
        mirror_h=pictures * cost["mirror_s"] / 3600,
        mirror_gb=pictures * cost["mirror_bytes"] / 1e9,
    )


def makespan(cost: Mapping[str, float], cores: int, shards: int, main_s: float, work_s: float) -> float:
    """Simulate the shards on cores; give seconds until all end.

    A corpus is a stream, so that a shard's one process lists, looks up and commits (``main_s``) while its pictures are
    decoded and encoded (``work_s``) on ``cores / shards`` cores, at least one: it takes the longer of the two.
    """
    rng = random.Random(26)
    at_once = min(shards, cores)
    each = cores / at_once
    free = [(0.0, math.exp(rng.gauss(0, cost["speed_spread"]))) for _ in range(at_once)]
    heapq.heapify(free)
    for _ in range(shards):
        now, speed = heapq.heappop(free)
        left = 1.0  # of the work; what is listed again after a loss is passed over
        while True:
            takes = max(main_s, left * work_s / each) / speed
            lost = rng.expovariate(1 / (3600 * cost["machine_lost_every_h"]))
            if lost >= takes:
                break
            left *= 1 - max(0.0, lost - cost["commit_s"]) / takes
            now += lost + cost["start_s"]
            speed = math.exp(rng.gauss(0, cost["speed_spread"]))  # another machine
        heapq.heappush(free, (now + cost["start_s"] + takes, speed))
    return max(now for now, _ in free)


def table(plans: list[Plan]) -> Iterator[str]:
    """Give the plans as a table, a row a figure."""
    figures = {
        "machines of 16 cores, and shards": lambda p: f"{p.machines} and {p.shards}",
        "hours to encode": lambda p: f"{p.encode_h:.1f}",
        "hours in which a shard lists the corpus, one core": lambda p: f"{p.list_h:.1f}",
        "hours to merge, one core": lambda p: f"{p.merge_h:.1f}",
        "core hours": lambda p: f"{p.core_h:,.0f}",
        "dollars to encode": lambda p: f"{p.encode_usd:,.0f}",
        "vectors, GB": lambda p: f"{p.vectors_gb:,.0f}",
        "catalogue, GB": lambda p: f"{p.catalogue_gb:,.0f}",
        "dollars a month for two copies on SSD": lambda p: f"{p.disk_usd_month:,.0f}",
        "seconds of an exact scan, in memory": lambda p: f"{p.scan_s:,.1f}",
        "accelerator: core hours to build": lambda p: f"{p.build_core_h:,.1f}",
        "accelerator: memory while it is built, GB": lambda p: f"{p.build_gb:,.1f}",
        "accelerator: codes in memory, GB": lambda p: f"{p.codes_gb:,.1f}",
        "accelerator: ms of CPU a query": lambda p: f"{p.query_ms:,.1f}",
        "accelerator: queries a second of one machine, at most": lambda p: f"{p.queries_s:,.0f}",
        "PostgreSQL: hours until a writer is open": lambda p: f"{p.mirror_h:,.2f}",
        "PostgreSQL: GB of its temporary file": lambda p: f"{p.mirror_gb:,.0f}",
    }
    rows = [(name, *map(figure, plans)) for name, figure in figures.items()]
    yield from markdown_table(("pictures", *(f"{p.pictures:,}" for p in plans)), rows)


def main() -> None:
    """Print the plan, or a check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", type=int, metavar="PICTURES")
    parser.add_argument(
        "--folder", type=Path, help="where the run of --check stays, and goes on when interrupted"
    )
    parser.add_argument("--check-search", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    cost = costs()
    if options.check is not None:
        place = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory()
        with place as folder:
            print("\n".join(check_pictures(cost, Path(folder), options.check)))
    elif options.check_search is not None:
        print("\n".join(check_search(cost, options.check_search)))
    else:
        print("\n".join(table([plan(cost, size, *machines) for size, machines in SIZES.items()])))


if __name__ == "__main__":
    main()
