"""Where an item's bytes are: a uri and an extent lead back to the location that they were made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.locations.extents import extent_of, is_extent, location_of
from retrieval.types import CellBytes, FileBytes, InlineBytes, Location, MemberBytes, UrlBytes
from retrieval.uris import file_uri

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: Path("/", *names))
NUMBERS = st.integers(0, 2**63 - 1)


@given(PATHS, NAMES, NUMBERS, NUMBERS)
def test_a_member_of_an_archive_is_found_again(path: Path, name: str, offset: int, size: int) -> None:
    member = MemberBytes(path, name, offset, size)
    extent = extent_of(member)

    assert extent == f"{offset}+{size}"
    assert is_extent(extent)
    assert location_of(file_uri(path, name), extent) == member


@given(PATHS, st.text(min_size=1, max_size=8), NUMBERS)
def test_a_cell_of_a_table_is_found_again(path: Path, column: str, row: int) -> None:
    cell = CellBytes(path, column, row)
    extent = extent_of(cell)

    assert extent is not None
    assert is_extent(extent)
    assert location_of(file_uri(path, "row=1"), extent) == cell


@given(PATHS)
def test_a_file_needs_no_extent(path: Path) -> None:
    assert extent_of(FileBytes(path)) is None
    assert location_of(file_uri(path), None) == FileBytes(path)


@pytest.mark.parametrize(
    "location", [UrlBytes("http://a.org/b.jpg"), InlineBytes(b"x"), FileBytes(Path("a"))]
)
def test_what_is_not_inside_a_file_has_no_extent(location: Location) -> None:
    assert extent_of(location) is None


def test_a_url_is_its_own_location() -> None:
    assert location_of("https://a.org/b.jpg#c", "1+2") == UrlBytes("https://a.org/b.jpg#c")


@pytest.mark.parametrize("extent", [None, "", "1+", "elsewhere", f"{2**63}+1", "row 0x1 of a"])
def test_a_place_in_a_file_without_a_sound_extent_leads_nowhere(extent: str | None) -> None:
    assert location_of("file:///a.tar#b.jpg", extent) is None


@pytest.mark.parametrize("uri", ["key:a", "vector:1", "", "FILE:///a.jpg"])
def test_what_lies_nowhere_has_no_location(uri: str) -> None:
    assert location_of(uri, None) is None


@given(
    st.text(st.characters(exclude_categories=[]), max_size=30) | st.text("0123456789+row of x", max_size=30)
)
def test_any_text_is_an_extent_or_is_not_and_nothing_breaks(text: str) -> None:
    found = location_of("file:///a.tar#b", text)

    assert (found is not None) == is_extent(text)
    assert found is None or extent_of(found) is not None


def test_digits_of_other_scripts_are_no_numbers() -> None:
    assert not is_extent("٣+٤")


def test_a_path_of_any_bytes_is_found_again() -> None:
    path = Path(os.fsdecode(b"/caf\xe9/a.tar"))

    assert location_of(file_uri(path, "b"), "0+1") == MemberBytes(path, "b", 0, 1)
