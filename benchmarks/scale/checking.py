"""Predictions beside what real runs took, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.provenance import markdown_table
from benchmarks.scale import real_run, search_costs

_HEAD = ("predicted", "taken", "times")


def check_pictures(cost: Mapping[str, float], folder: Path, pictures: int) -> Iterator[str]:
    """Compare what is predicted of a corpus of so many pictures with a real run, which stays in the folder."""
    taken = real_run.run(folder, pictures)
    shards, millions = real_run.SHARDS, pictures / 1e6
    rows = (
        (name, cost[unit] * times, getattr(taken, unit) * times)
        for name, unit, times in (
            ("listing in all shards, CPU s", "list_s", shards * pictures),
            ("indexing but for listing, decoding and encoding, CPU s", "index_s", pictures),
            ("merging but for listing, CPU s", "merge_s", pictures),
            ("catalogue, MB", "catalogue_bytes", millions),
            ("vectors, MB", "vector_bytes", millions),
        )
    )
    yield from markdown_table((f"{pictures:,} pictures, {shards} shards", *_HEAD), map(_compared, rows))
    yield ""
    yield f"MiB at most: {taken.shard_peak_mib:.0f} of a shard's process, {taken.merge_peak_mib:.0f} of the merge."


def check_search(cost: Mapping[str, float], folder: Path) -> Iterator[str]:
    """Compare what is predicted of accelerators with what ``benchmarks.search.scale --folder`` has left of them."""
    sizes = sorted(int(one.name.partition(".")[0]) for one in folder.glob("*.build.json"))
    for rows in sizes:
        if (folder / f"{rows}.search.json").exists():
            yield from markdown_table(
                (f"{rows:,} vectors", *_HEAD), map(_compared, _of_size(cost, folder, rows))
            )
            yield ""


def _of_size(cost: Mapping[str, float], folder: Path, rows: int) -> Iterable[tuple[str, float, float]]:
    build, search = (search_costs.figures_of(folder, rows, stage) for stage in ("build", "search"))
    held = folder / str(rows)
    yield "building, CPU s", search_costs.build_core_s(cost, rows), build["cpu"]
    yield "memory of building, MiB", search_costs.build_peak_bytes(cost, rows) / 2**20, build["peak"]
    if search["measurement"] is not None:
        visited = search["measurement"]["cells"]
        yield "cells visited", search_costs.cells_visited(cost, rows), visited
        cpu = search["times"]["accelerator"]["cpu"]
        yield "a query, ms of CPU", 1000 * search_costs.query_core_s(cost, rows), cpu
    own = search["memory"]["after"]["own"] - search["memory"]["opened"]["own"]
    yield "memory of an accelerator, MiB", rows * cost["accelerator_bytes"] / 2**20, own
    if (held / "segments").exists():
        taken = sum(one.stat().st_size for one in (held / "segments").iterdir())
        yield (
            "files of vectors and codes, MB",
            rows * (cost["vector_bytes"] + cost["accelerator_bytes"]) / 1e6,
            taken / 1e6,
        )


def _compared(row: tuple[str, float, float]) -> tuple[str, str, str, str]:
    name, predicted, taken = row
    return name, f"{predicted:,.4g}", f"{taken:,.4g}", f"{predicted / taken:.2f}"
