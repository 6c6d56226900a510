"""Files beside an image: whose they are, what Takeout writes, and what counts when several say something."""

from __future__ import annotations

import json

import pytest

from retrieval.metadata.read import Sidecar, read_metadata
from retrieval.metadata.sidecars import by_folded_name, sidecars_of
from tests.retrieval.metadata.test_xmp import bag, packet

LONG = "a photograph whose name is rather long indeed.jpg"


@pytest.mark.parametrize(
    ("image", "there", "found"),
    [
        ("x.jpg", ["x.xmp", "x.jpg.xmp", "y.xmp", "x.json"], ["x.jpg.xmp", "x.xmp"]),
        ("X.JPG", ["x.XMP"], ["x.XMP"]),
        ("x.jpg", ["x.jpg.json"], ["x.jpg.json"]),
        ("x.jpg", ["x.jpg.supplemental-metadata.json"], ["x.jpg.supplemental-metadata.json"]),
        ("x(1).jpg", ["x.jpg(1).json", "x.jpg.json"], ["x.jpg(1).json"]),
        ("x(1).jpg", ["x.jpg.supplemental-metadata(1).json"], ["x.jpg.supplemental-metadata(1).json"]),
        ("x-edited.jpg", ["x.jpg.json"], ["x.jpg.json"]),
        (LONG, [f"{LONG[:46]}.json"], [f"{LONG[:46]}.json"]),
        ("IMG_20210412_153012345_HDR.jpg", ["IMG_20210412_153012345_HDR.jpg.supplemental-me.json"],
         ["IMG_20210412_153012345_HDR.jpg.supplemental-me.json"]),
        ("x.jpg", ["metadata.json", "xx.jpg.json"], []),
    ],
)  # fmt: skip
def test_a_sidecar_is_found_by_its_name(image: str, there: list[str], found: list[str]) -> None:
    assert sidecars_of(image, by_folded_name(there)) == found


TAKEOUT = {
    "title": "x.jpg",
    "description": "在海边",
    "photoTakenTime": {"timestamp": "1618241412", "formatted": "12 Apr 2021, 15:30:12 UTC"},
    "geoData": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0},
    "geoDataExif": {"latitude": 48.2, "longitude": 16.37, "altitude": 170.0},
    "people": [{"name": "Ann"}, {"no": "name"}, 3],
    "favorited": True,
}


def test_takeouts_json_gives_time_place_people_and_description() -> None:
    assert read_metadata(b"", sidecars=[Sidecar("x.jpg.json", json.dumps(TAKEOUT).encode())]) == {
        "taken": "2021-04-12T15:30:12+00:00",
        "lat": 48.2,
        "lon": 16.37,
        "altitude": 170.0,
        "description": "在海边",
        "people": ["Ann"],
        "favorite": True,
    }


@pytest.mark.parametrize(
    "written",
    [b"", b"[1]", b'{"photoTakenTime": 3}', b'{"photoTakenTime": {"timestamp": "9e99"}}', b"[" * 100_000,
     b'{"photoTakenTime": {"timestamp": "99999999999999999"}, "people": {"name": 1}, "geoData": [1]}', b'{"a": 1}'],
)  # fmt: skip
def test_json_that_says_nothing_gives_nothing(written: bytes) -> None:
    assert read_metadata(b"", sidecars=[Sidecar("x.jpg.json", written)]) == {}


def test_a_persons_words_in_xmp_count_more_than_takeouts_and_lists_are_joined() -> None:
    xmp = packet(bag("dc:description", "by the sea", kind="Alt") + bag("Iptc4xmpExt:PersonInImage", "Bob"))
    beside = [Sidecar("x.jpg.json", json.dumps(TAKEOUT).encode()), Sidecar("x.xmp", xmp)]

    found = read_metadata(b"", "IMG_20000101_000000.jpg", beside)

    assert (found["description"], found["people"]) == ("by the sea", ["Bob", "Ann"])
    assert found["taken"] == "2021-04-12T15:30:12+00:00"


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("IMG_20210412_153012.jpg", "2021-04-12T15:30:12"),
        ("PXL_20210412_153012345.jpg", "2021-04-12T15:30:12+00:00"),
        ("IMG-20210412-WA0003.jpg", "2021-04-12"),
        ("WhatsApp Image 2021-04-12 at 15.30.12.jpeg", "2021-04-12T15:30:12"),
        ("Screenshot_2021-04-12-15-30-12.png", "2021-04-12T15:30:12"),
        ("2021-04-12 15.30.12.jpg", "2021-04-12T15:30:12"),
        ("signal-2021-04-12-153012.jpg", "2021-04-12T15:30:12"),
        ("20210412_153012.jpg", "2021-04-12T15:30:12"),
        ("DSC_0042.jpg", None),
        ("20219912.jpg", None),
        ("a5f20210412aa.jpg", None),
        ("120210412.jpg", None),
        ("IMG_20210231_120000.jpg", None),
    ],
)
def test_a_name_tells_when_a_file_was_made(name: str, taken: str | None) -> None:
    assert read_metadata(b"", name).get("taken") == taken
