"""The plan in docs/scale.md is what its scripts make of the unit costs, and those are fitted rightly."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale import real_run, search_costs
from benchmarks.scale.checking import check_search
from benchmarks.scale.simulate import CORES, SIZES, makespan, plan, table
from benchmarks.scale.unit_costs import costs

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_in_the_document_is_what_the_script_makes_of_the_unit_costs() -> None:
    made = "\n".join(table([plan(costs(), size, *machines) for size, machines in SIZES.items()]))

    document = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")

    assert f"<!-- scale -->\n{made}\n" in document


@given(st.integers(1, 64), st.integers(1, 200), st.floats(0, 1e5), st.floats(1, 1e6))
def test_no_plan_is_faster_than_machines_that_are_never_lost(
    cores: int, shards: int, main_s: float, work_s: float
) -> None:
    even = dict(costs()) | {"speed_spread": 0.0}

    planned = makespan(even, cores, shards, main_s, work_s)

    assert planned >= max(main_s, shards * work_s / cores) * (1 - 1e-9)
    assert planned >= makespan(even | {"machine_lost_every_h": 1e12}, cores, shards, main_s, work_s) * (
        1 - 1e-9
    )


def test_more_shards_list_the_corpus_more_often() -> None:
    few, many = (plan(costs(), 10**9, 64, shards) for shards in (64, 64 * CORES))

    assert many.core_h > few.core_h
    assert many.list_h == few.list_h


def _leave_figures(folder: Path, cost: dict[str, float], rows: int) -> None:
    """Leave what ``benchmarks.search.scale`` would of a size, had it taken what the costs say."""
    build = {
        "cpu": search_costs.build_core_s(cost, rows),
        "peak": search_costs.build_peak_bytes(cost, rows) / 2**20,
    }
    search = {
        "images": rows,
        "measurement": {"cells": search_costs.cells_visited(cost, rows)},
        "times": {"accelerator": {"cpu": 1000 * search_costs.query_core_s(cost, rows)}},
        "memory": {"opened": {"own": 1.0}, "after": {"own": 1.0 + cost["accelerator_bytes"] * rows / 2**20}},
    }
    for stage, figures in (("build", build), ("search", search)):
        (folder / f"{rows}.{stage}.json").write_text(json.dumps(figures), encoding="utf-8")


@given(
    st.floats(1e-6, 1e-3), st.floats(0.1, 100), st.floats(10, 500), st.floats(-0.5, 1), st.floats(1e-4, 1e-2)
)
def test_costs_of_an_accelerator_are_found_again_in_what_they_predict(
    tmp_path_factory: pytest.TempPathFactory,
    row_s: float,
    start_s: float,
    cells: float,
    power: float,
    query_s: float,
) -> None:
    true = dict(costs()) | {
        "accelerator_row_s": row_s,
        "accelerator_start_s": start_s,
        "cells_of_1024": cells,
        "cells_power": power,
        "query_start_s": query_s,
    }
    folder = tmp_path_factory.mktemp("figures")
    for rows in (100_000, 200_000, 400_000, 10_000_000):
        _leave_figures(folder, true, rows)

    measured = true["accelerator_distance_s"], true["query_cell_s"]
    fitted = search_costs.fit(true, folder, (100_000, 200_000, 400_000), measured)

    for name, value in fitted.items():
        assert value == pytest.approx(true[name], rel=1e-6), name
    checked = "\n".join(check_search(dict(true) | fitted, folder))
    assert checked.count("| 1.00 |") == 4 * 5


@given(st.integers(10_000_000, 10**9))
def test_building_takes_more_than_four_times_as_long_for_four_times_as_many_vectors(rows: int) -> None:
    assert search_costs.build_core_s(costs(), 4 * rows) > 4 * search_costs.build_core_s(costs(), rows)


def test_a_real_run_goes_on_with_the_step_that_was_interrupted(tmp_path: Path) -> None:
    taken = [real_run.do_step(tmp_path, step, 24) for step in real_run.STEPS]
    (tmp_path / "24" / "merge" / "catalogue.sqlite").unlink()

    again = real_run.do_step(tmp_path, "merge", 24)

    assert again["catalogue_bytes"] == taken[-1]["catalogue_bytes"]
    assert again["vector_bytes"] == taken[-1]["vector_bytes"] >= 24 * 2048
    assert sum(one.get("vector_bytes", 0) for one in taken[:-1]) >= 24 * 2048
    assert math.isfinite(again["cpu_s"])
