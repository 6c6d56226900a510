"""Which files describe an image by their names, and what Takeout's JSON says, whatever it holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retrieval.metadata.attributes import RULES, tidied
from retrieval.metadata.read import Sidecar, read_metadata
from retrieval.metadata.sidecars import by_folded_name, folded, sidecar_key, sidecars_of
from retrieval.metadata.takeout import read_takeout

STEMS = st.text("abAB-_ é(1)", min_size=1, max_size=10).map(str.strip).filter(bool)
SUFFIXES = st.sampled_from([".jpg", ".JPG", ".heic", ".png"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["photoTakenTime", "geoData", "geoDataExif", "description", "people", "favorited", "title"]
)
INNER = st.dictionaries(
    st.sampled_from(["timestamp", "latitude", "longitude", "altitude", "name"]), JSON, max_size=4
)
TAKEOUT = st.dictionaries(FIELDS, JSON | INNER | st.lists(INNER, max_size=3), max_size=6)


@given(STEMS, SUFFIXES)
def test_sidecars_with_the_whole_name_or_the_stem_describe_an_image_in_that_order(
    stem: str, suffix: str
) -> None:
    image = f"{stem}{suffix}"
    names = [f"{image}.xmp", f"{stem}.xmp", f"{image}.supplemental-metadata.json", f"{image}.json"]

    found = sidecars_of(image, by_folded_name(names))

    assert found[:2] == names[:2]
    assert set(found) >= set(names[:2])


@given(STEMS, SUFFIXES, st.sampled_from([str.upper, str.lower, str.title]))
def test_case_makes_no_difference(stem: str, suffix: str, case: Any) -> None:
    name = f"{case(stem)}.XMP"

    if folded(case(stem)) == folded(stem):
        assert sidecars_of(f"{stem}{suffix}", by_folded_name([name])) == [name]


@given(STEMS, STEMS, SUFFIXES)
def test_another_images_sidecar_does_not_describe_this_one(stem: str, other: str, suffix: str) -> None:
    if folded(other) != folded(stem) and folded(other) != folded(f"{stem}{suffix}"):
        assert sidecars_of(f"{stem}{suffix}", by_folded_name([f"{other}.xmp"])) == []


@given(STEMS, SUFFIXES, st.integers(1, 99))
def test_a_copy_has_its_number_behind_takeouts_suffix_or_its_own(stem: str, suffix: str, number: int) -> None:
    stem = stem.replace("(", "").replace(")", "").strip() or "a"
    name = f"{stem}{suffix}({number}).json"

    assert sidecars_of(f"{stem}({number}){suffix}", by_folded_name([name])) == [name]


@given(STEMS, STEMS, SUFFIXES, st.sampled_from(["", "(1)", "-edited", "-edited(2)", ".x"]), st.data())
def test_an_image_and_its_sidecars_have_one_key(
    stem: str, other: str, suffix: str, mark: str, data: st.DataObject
) -> None:
    image = f"{(stem + other) * data.draw(st.integers(1, 9))}{mark}{suffix}"
    whole, stem = image, image.rpartition(".")[0]
    cut = [
        f"{name[:46]}{number}.json"
        for name in (whole, f"{whole}.supplemental-metadata")
        for number in ("", "(1)")
    ]
    there = [f"{whole}.xmp", f"{stem}.xmp", f"{other}.xmp", *cut, f"{stem}.json"]

    for sidecar in sidecars_of(image, by_folded_name(there)):
        assert sidecar_key(sidecar) == sidecar_key(image)


@given(TAKEOUT | JSON)
def test_any_json_of_takeout_gives_usable_attributes_or_a_reason(value: object) -> None:
    try:
        found = read_takeout(json.dumps(value).encode())
    except ValueError:
        assert not isinstance(value, dict)
        return

    assert set(tidied(found)) <= set(RULES)
    if not isinstance(value, dict) or not {"photoTakenTime", "geoData"} & set(value):
        assert found == {}


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)).map(
        lambda time: time.replace(microsecond=0, tzinfo=UTC)
    ),
    st.floats(-89, 89).filter(lambda x: abs(x) > 0.01),
    st.floats(-179, 179).filter(lambda x: abs(x) > 0.01),
)
def test_time_and_place_of_takeout_are_those_of_the_attributes(
    time: datetime, lat: float, lon: float
) -> None:
    written = {
        "photoTakenTime": {"timestamp": str(int(time.timestamp()))},
        "geoData": {"latitude": lat, "longitude": lon, "altitude": 0},
        "people": [{"name": "Ada"}, {"name": "Ada"}, {"name": ""}, 3],
    }

    found = read_metadata(b"not an image", sidecars=[Sidecar("a.jpg.json", json.dumps(written).encode())])

    assert found["taken"] == time.isoformat()
    assert found["lat"] == round(lat, 7)
    assert found["lon"] == round(lon, 7)
    assert found["people"] == ["Ada"]


@given(st.binary(max_size=60), st.sampled_from(["a.xmp", "a.json", "a.txt", "A.XMP"]))
def test_a_broken_sidecar_costs_its_own_attributes_and_nothing_else(data: bytes, name: str) -> None:
    good = Sidecar(
        "b.json", json.dumps({"photoTakenTime": {"timestamp": "86400"}, "description": "a dog"}).encode()
    )

    found = read_metadata(b"", sidecars=[Sidecar(name, data), good])

    assert found["description"] == "a dog"
