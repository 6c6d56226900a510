"""EXIF as cameras, and as strangers, write it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.metadata.attributes import RULES
from retrieval.metadata.read import read_metadata
from retrieval.types import Attribute


def _jpeg(
    main: dict[int, Any], detail: dict[int, Any] | None = None, gps: dict[int, Any] | None = None
) -> bytes:
    exif = Image.Exif()
    for tag, value in main.items():
        exif[tag] = value
    if detail:
        exif._ifds[0x8769] = detail
    if gps:
        exif._ifds[0x8825] = gps
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), "green").save(buffer, "JPEG", exif=exif.tobytes())
    return buffer.getvalue()


def test_a_cameras_fields_become_attributes() -> None:
    data = _jpeg(
        {0x010F: "Canon", 0x0110: "Canon EOS 5D", 0x010E: "Abend am Fluss", 0x013B: "Ann Other"},
        {
            0x9003: "2021:04:12 15:30:12",
            0x9011: "+02:00",
            0x829A: 0.004,
            0x829D: 2.8,
            0x8827: 400,
            0x920A: 50.0,
            0xA434: "EF50mm f/1.8 STM",
        },
    )

    assert read_metadata(data) == {
        "taken": "2021-04-12T15:30:12+02:00",
        "camera": "Canon EOS 5D",
        "lens": "EF50mm f/1.8 STM",
        "focal_length": 50.0,
        "aperture": 2.8,
        "exposure": 0.004,
        "iso": 400,
        "description": "Abend am Fluss",
        "creator": "Ann Other",
    }


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("", "X100V", "X100V"),
        ("Sony\0\0junk", "", "Sony"),
    ],
)
def test_a_camera_is_named_by_make_and_model_without_repeating_the_make(
    make: str, model: str, camera: str
) -> None:
    assert read_metadata(_jpeg({0x010F: make, 0x0110: model}))["camera"] == camera


def test_a_place_has_its_sign_by_hemisphere() -> None:
    gps = {1: "S", 2: (33.0, 51.0, 36.0), 3: "W", 4: (70.0, 30.0, 0.0), 5: b"\x01", 6: 12.5}

    found = read_metadata(_jpeg({}, gps=gps))

    assert (found["lat"], found["lon"], found["altitude"]) == (-33.86, -70.5, -12.5)


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (48.0, 0.0, 0.0)},
        {1: "N", 2: (148.0, 0.0, 0.0), 3: "E", 4: (11.0, 0.0, 0.0)},
    ],
    ids=["no fix", "half a place", "beyond the pole"],
)
def test_a_place_that_cannot_be_one_is_left_out(gps: dict[int, Any]) -> None:
    assert read_metadata(_jpeg({}, gps=gps)) == {}


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "2021:13:40 99:00:00", "yesterday"]
)
def test_a_date_that_is_none_is_left_out(text: str) -> None:
    assert "taken" not in read_metadata(_jpeg({}, {0x9003: text}))


@pytest.mark.parametrize("text", ["OLYMPUS DIGITAL CAMERA", "SONY DSC", "DCIM100MEDIA"])
def test_what_cameras_write_into_every_description_is_left_out(text: str) -> None:
    assert read_metadata(_jpeg({0x010E: text})) == {}


def test_fields_of_windows_are_read() -> None:
    found = read_metadata(
        _jpeg(
            {
                0x9C9B: "海边".encode("utf-16-le") + b"\0\0",
                0x9C9E: "beach;夏天;beach".encode("utf-16-le") + b"\0\0",
                0x4746: 4,
            }
        )
    )

    assert found == {"title": "海边", "keywords": ["beach", "夏天"], "rating": 4}


@given(st.binary(max_size=400))
def test_any_bytes_for_exif_give_usable_attributes_or_none(junk: bytes) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "JPEG", exif=b"Exif\0\0" + junk)

    for name, value in read_metadata(buffer.getvalue()).items():
        assert RULES[name].tidy(value) == value


_VALUES: st.SearchStrategy[Attribute] = st.text(max_size=20)


@given(st.sampled_from([0x010F, 0x0110, 0x010E, 0x013B]), _VALUES)
def test_texts_come_back_on_one_line_or_not_at_all(tag: int, text: str) -> None:
    for value in read_metadata(_jpeg({tag: text})).values():
        assert isinstance(value, str)
        assert value.strip() == value
        assert "\0" not in value


def test_exif_of_a_megabyte_and_more_is_not_parsed() -> None:
    segment = b"Exif\0\0" + _jpeg({0x0110: "X"})[30:60]
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "PNG", exif=segment + bytes(2**20))

    assert read_metadata(buffer.getvalue()) == {}
