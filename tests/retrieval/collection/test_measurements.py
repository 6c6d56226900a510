"""What was measured of an index is kept as JSON, which may come from a stranger; a client tells both kinds apart."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.client.values import info_of
from retrieval.collection import CollectionInfo
from retrieval.collection.accelerators.measurement import (
    AcceleratorMeasurement,
    IndexMeasurement,
    Measurement,
    parse_measurement,
)
from retrieval.collection.accelerators.planning import EXACT_SHARE, IndexCost, is_too_deep, scaled

KINDS = (AcceleratorMeasurement, IndexMeasurement)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(1, 2**31 - 1),
    "float": st.floats(0, allow_infinity=False),
    "str": st.text(),
}


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    kind: Any = draw(st.sampled_from(KINDS))
    measured: Measurement = kind(**{one.name: draw(VALUES[str(one.type)]) for one in fields(kind)})
    return measured


@given(measurements())
def test_what_is_written_is_read_and_a_client_is_told_the_same(measured: Measurement) -> None:
    assert parse_measurement(type(measured), measured.to_json()) == measured

    accelerator = {"rows": 1, "bytes": 2, "measurement": json.loads(json.dumps(asdict(measured)))}
    totals = dict.fromkeys(one.name for one in fields(CollectionInfo) if one.default is MISSING)
    told = info_of({**totals, "accelerators": {"image": accelerator}})
    assert told.accelerators["image"].measurement == measured


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["recall", "queries"])
@pytest.mark.parametrize("value", [None, True, -1, -0.5, float("nan"), float("inf"), [], 10**400, "1"])
def test_a_stranger_s_value_of_another_type_or_range_is_refused(
    kind: type[Measurement], name: str, value: object
) -> None:
    sound = {one.name: 1 if one.type != "str" else "stored texts" for one in fields(kind)}
    assert parse_measurement(kind, json.dumps(sound))

    for changed in ({**sound, name: value}, {key: one for key, one in sound.items() if key != name}):
        with pytest.raises(ValueError, match="measurement"):
            parse_measurement(kind, json.dumps(changed))


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 100_000))
def test_larger_searches_look_at_more_and_never_at_less_than_was_tuned(
    visited: int, candidates: int, k: int
) -> None:
    more = scaled(visited, candidates, k)

    assert more >= (visited, candidates)
    if k <= 10:
        assert more == (visited, candidates)
    assert candidates * k <= more[1] * 10
    assert is_too_deep(more[1], 100_000) == (more[1] > EXACT_SHARE * 100_000)


def test_an_index_saves_what_a_scan_takes_more_than_asking_it_and_its_candidates() -> None:
    assert IndexCost(250, 2).saved(1000, 100) == 550
    assert IndexCost(20_000).saved(19_999, 40) < 0 <= IndexCost(20_000).saved(20_000, 40)
