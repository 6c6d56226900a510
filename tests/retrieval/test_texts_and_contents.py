"""Texts are kept in one form, and equal contents have one name."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.contents import image_digest, pixel_digest, text_digest, vector_digest
from retrieval.texts import is_unicode, normalise_text
from tests.builders import unit_rows

ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=12)
MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LA", "I"]


@given(ANYTHING)
def test_a_normalised_text_is_normalised(text: str) -> None:
    normal = normalise_text(text)

    assert normalise_text(normal) == normal
    assert normal == normal.strip()
    assert unicodedata.is_normalized("NFC", normal)


@given(st.text(max_size=12), st.sampled_from(["NFC", "NFD"]), st.text(" \t\n\r\u3000\x1c", max_size=3))
def test_spelling_of_accents_and_outer_white_space_make_no_other_content(
    text: str, form: str, blank: str
) -> None:
    spelt = blank + unicodedata.normalize(form, text) + blank  # type: ignore[arg-type]  # a str, not a Literal

    assert normalise_text(spelt) == normalise_text(text)


@given(ANYTHING)
def test_case_and_inner_white_space_are_kept(text: str) -> None:
    assert normalise_text(f"A{text}a") == unicodedata.normalize("NFC", f"A{text}a")


@given(ANYTHING)
def test_a_text_is_of_characters_exactly_if_it_holds_no_half_of_a_surrogate_pair(text: str) -> None:
    assert is_unicode(text) == (not any(unicodedata.category(letter) == "Cs" for letter in text))


@given(st.text(max_size=12))
def test_the_name_of_a_text_is_the_sha256_of_its_utf_8(text: str) -> None:
    assert text_digest(text) == hashlib.sha256(text.encode()).digest()


@given(ANYTHING, ANYTHING)
def test_two_texts_have_one_name_only_if_they_are_equal(first: str, second: str) -> None:
    assert (text_digest(first) == text_digest(second)) == (first == second)


@given(st.binary(max_size=40))
def test_the_name_of_an_image_is_the_sha256_of_its_bytes(data: bytes) -> None:
    assert image_digest(data) == hashlib.sha256(data).digest()


@settings(max_examples=30)
@given(st.sampled_from(MODES), st.integers(1, 6), st.integers(1, 6), st.integers(0, 255))
def test_pixels_are_named_by_what_they_look_like_and_not_by_their_mode(
    mode: str, width: int, height: int, shade: int
) -> None:
    image = Image.new("L", (width, height), shade).convert(mode)

    assert pixel_digest(image) == pixel_digest(image.convert("RGB"))


@given(st.integers(1, 24).flatmap(lambda area: st.tuples(st.just(area), st.integers(1, area))))
def test_equal_pixels_in_another_arrangement_are_another_content(area_and_width: tuple[int, int]) -> None:
    area, width = area_and_width
    if area % width:
        width = area
    one, row = Image.new("RGB", (width, area // width)), Image.new("RGB", (area, 1))

    assert (pixel_digest(one) == pixel_digest(row)) == (width == area)


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_a_vector_has_one_name_on_machines_of_either_byte_order(dtype: str) -> None:
    row = unit_rows(1)[0]

    assert vector_digest(row.astype(dtype)) == vector_digest(row)


def test_one_bit_of_a_vector_makes_another_content() -> None:
    row = unit_rows(1)[0]
    other = row.copy()
    other[3] = np.nextafter(other[3], np.float32(2))

    assert vector_digest(other) != vector_digest(row)


def test_no_kind_of_content_can_take_the_name_of_another() -> None:
    row = unit_rows(1)[0]
    image = Image.new("RGB", (2, 2))

    names = {
        vector_digest(row),
        image_digest(row.tobytes()),
        pixel_digest(image),
        image_digest(image.tobytes()),
    }

    assert len(names) == 4
