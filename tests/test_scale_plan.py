"""The plan for many pictures in docs/scale.md is what its script makes of the unit costs."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale.simulate import CORES, SIZES, costs, makespan, plan, table

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
