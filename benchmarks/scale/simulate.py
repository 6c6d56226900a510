"""A plan for many pictures by simulation: hours, machines, bytes and dollars from the unit costs in unit_costs.json.

python -m benchmarks.scale.simulate                    # the table of docs/scale.md
python -m benchmarks.scale.simulate --check 500        # against a real run of so many pictures, in CPU seconds

Shards are run on machines whose speeds differ and that are lost now and then; a shard goes on from its last commit,
lists the corpus again, and waits for no other. Then one machine merges. Nothing here knows what was not measured: the
time that an accelerator takes to build, and answers at these sizes, are not in the table.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.provenance import markdown_table
from benchmarks.scale.unit_costs import COSTS, SHARDS, measure

CORES = 16  # of a machine
SIZES = {10_000_000: (4, 16), 100_000_000: (16, 32), 1_000_000_000: (64, 64)}
"""Machines and shards for each number of pictures."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a corpus takes: hours of wall time, core hours, bytes, dollars."""

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
    scan_s: float
    encode_usd: float
    disk_usd_month: float


def costs() -> Mapping[str, float]:
    """Read the unit costs."""
    return {name: one["value"] for name, one in json.loads(Path(COSTS).read_text(encoding="utf-8")).items()}


def plan(cost: Mapping[str, float], pictures: int, machines: int, shards: int, captions: int = 0) -> Plan:
    """Plan a corpus of pictures, each with so many captions."""
    items = pictures * (1 + captions)
    list_s = items * cost["list_s"]
    main_s = list_s + items * cost["index_s"] / shards
    work_s = pictures * (cost["encode_s"] + cost["decode_s"]) / shards
    encode_s = makespan(cost, machines * CORES, shards, main_s, work_s)
    merge_s = items * (cost["list_s"] + cost["merge_s"])
    core_h = (shards * (main_s + work_s) + merge_s) / 3600
    vectors = pictures * (1 + captions) * cost["vector_bytes"]
    disk = vectors + items * cost["catalogue_bytes"]
    return Plan(
        pictures,
        machines,
        shards,
        encode_s / 3600,
        list_s / 3600,
        merge_s / 3600,
        core_h,
        vectors / 1e9,
        items * cost["catalogue_bytes"] / 1e9,
        pictures * cost["accelerator_bytes"] / 1e9,
        vectors / cost["scan_bytes_a_second"],
        machines * CORES * encode_s / 3600 * cost["core_hour_usd"],
        2 * disk / 1e9 * cost["ssd_gb_month_usd"],
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
        "codes of an accelerator, GB": lambda p: f"{p.codes_gb:,.1f}",
        "dollars a month for two copies on SSD": lambda p: f"{p.disk_usd_month:,.0f}",
        "seconds of an exact scan, in memory": lambda p: f"{p.scan_s:,.1f}",
    }
    rows = [(name, *map(figure, plans)) for name, figure in figures.items()]
    yield from markdown_table(("pictures", *(f"{p.pictures:,}" for p in plans)), rows)


def check(cost: Mapping[str, float], pictures: int) -> Iterator[str]:
    """Compare what is predicted of a small corpus with what it takes."""
    real, items = measure(pictures), 2 * pictures
    rows = []
    for name, at in (
        ("listing in all shards", SHARDS * items),
        ("indexing but for decoding and encoding", items),
        ("merging", items),
    ):
        unit = {"listing in all shards": "list_s", "merging": "merge_s"}.get(name, "index_s")
        predicted, taken = cost[unit] * at, getattr(real, unit) * at
        rows.append((name, f"{predicted:.2f}", f"{taken:.2f}", f"{predicted / taken:.2f}"))
    yield from markdown_table((f"{pictures:,} pictures", "predicted, CPU s", "taken", "times"), rows)


def main() -> None:
    """Print the plan, or the check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", type=int, metavar="PICTURES")
    pictures = parser.parse_args().check
    cost = costs()
    if pictures is not None:
        lines = check(cost, pictures)
    else:
        lines = table([plan(cost, size, *machines) for size, machines in SIZES.items()])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
