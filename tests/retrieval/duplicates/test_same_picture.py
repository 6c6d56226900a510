"""Which edits of a picture are found as the same picture, and which pictures are not."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from retrieval.duplicates import same_picture
from retrieval.duplicates.alignment import _blur_weights
from retrieval.duplicates.candidates import LEAST, candidate_pairs, descriptors
from retrieval.duplicates.fingerprint import RULE, SIDE, Fingerprint, fingerprint_of
from retrieval.duplicates.groups import Joined
from retrieval.duplicates.same_picture import (
    ComparedPairs,
    Prints,
    same_picture_groups,
    same_pictures,
    stack,
    turned_otherwise,
)
from tests.builders import unit_rows
from tests.photographs import PixelEncoder, photograph

ORIGINAL = photograph(1)
TURNS = [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]


def as_jpeg(image: Image.Image, quality: int = 90) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def fingerprint(image: Image.Image) -> Fingerprint:
    return fingerprint_of(RULE.prepare(image))


def pairs_among(*images: Image.Image) -> list[list[int]]:
    vectors = PixelEncoder().encode_images(images)
    return same_pictures(stack(dict(enumerate(map(fingerprint, images)))), vectors).tolist()  # type: ignore[no-any-return]


COPIES = {
    "recompressed": as_jpeg(ORIGINAL, 30),
    "resized": ORIGINAL.resize((160, 120)),
    "enlarged": ORIGINAL.resize((640, 480)),
    "in grey": ImageOps.grayscale(ORIGINAL).convert("RGB"),
    "cropped by a tenth at a corner": ORIGINAL.crop((32, 24, 320, 240)),
    "cropped by a tenth of its width": ORIGINAL.crop((0, 0, 288, 240)),
    "with a white border": ImageOps.expand(ORIGINAL, 24, (255, 255, 255)),
    "with a narrow black border": ImageOps.expand(ORIGINAL, 6, (0, 0, 0)),
    "mirrored": ImageOps.mirror(ORIGINAL),
    "mirrored and cropped": ImageOps.mirror(ORIGINAL).crop((0, 0, 300, 226)),
    **{f"turned: {turn.name}": ORIGINAL.transpose(turn) for turn in TURNS},
    "turned with a border": ImageOps.expand(ORIGINAL.transpose(TURNS[0]), 15, (255, 255, 255)),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_an_edited_copy_is_the_same_picture(copy: Image.Image) -> None:
    assert pairs_among(ORIGINAL, as_jpeg(copy)) == [[0, 1]]


def test_other_pictures_are_not() -> None:
    assert pairs_among(*(photograph(seed) for seed in range(12))) == []


def test_what_moved_between_two_frames_makes_them_different_pictures() -> None:
    ball = Image.new("RGB", (70, 60), (250, 250, 250))
    one, other = ORIGINAL.copy(), ORIGINAL.copy()
    one.paste(ball, (100, 100))
    other.paste(ball, (130, 100))

    assert pairs_among(one, other) == []


def versions(count: int) -> tuple[Prints, NDArray[np.float32]]:
    """Give the fingerprints of a picture that was saved so many times, hardly differing, and their vectors."""
    whole = fingerprint(ORIGINAL).whole.astype(np.int64)
    noise = np.random.default_rng(1).integers(-2, 3, (count, *whole.shape))
    grey = np.clip(whole + noise, 0, 255).astype(np.uint8)
    return Prints(grey, np.arange(count)), np.repeat(unit_rows(1), count, 0)


@pytest.mark.parametrize("count", [50, 310])
def test_of_many_versions_of_a_picture_a_few_pairs_each_are_compared(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    looked_at = []

    def count_pairs(grey: Any, small: Any, pairs: NDArray[np.int64], ways: Any) -> ComparedPairs:
        looked_at.append(len(pairs))
        return compare(grey, small, pairs, ways)

    compare = same_picture._compare
    monkeypatch.setattr(same_picture, "_compare", count_pairs)
    prints, vectors = versions(count)

    assert same_picture_groups(prints, vectors) == [list(range(count))]
    assert sum(looked_at) <= 3 * count


def test_pictures_that_look_equal_are_not_compared_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_picture, "_compare", None)
    one = fingerprint(ORIGINAL).whole
    prints = Prints(np.repeat(one[None], 1000, 0), np.arange(1000))

    assert same_picture_groups(prints, np.repeat(unit_rows(1), 1000, 0)) == [list(range(1000))]


def test_groups_are_those_that_all_pairs_connect() -> None:
    images = [
        *(photograph(seed) for seed in (1, 2, 3)), COPIES["mirrored"], COPIES["resized"],
        ImageOps.mirror(photograph(3)), as_jpeg(photograph(2), 40), ORIGINAL,
    ]  # fmt: skip
    prints = stack(dict(enumerate(map(fingerprint, images))))
    vectors = PixelEncoder().encode_images(images)
    expected = Joined(len(images))
    expected.join(same_pictures(prints, vectors))

    assert same_picture_groups(prints, vectors) == expected.groups() == [[0, 3, 4, 7], [1, 6], [2, 5]]


@pytest.mark.parametrize(
    "edit", ["mirrored", "mirrored and cropped", "turned: ROTATE_90", "turned with a border"]
)
def test_a_picture_is_turned_if_most_of_its_group_are_not(edit: str) -> None:
    images = [COPIES[edit], ORIGINAL, COPIES["cropped by a tenth at a corner"], COPIES["with a white border"]]
    prints = stack(dict(enumerate(map(fingerprint, images))))

    assert turned_otherwise(prints, [[0, 1, 2, 3]]) == {0}
    assert turned_otherwise(prints, [[0, 1]]) == set()
    assert turned_otherwise(prints, [[1, 2, 3]]) == set()


def test_blank_pictures_are_nobodys_copies() -> None:
    blank = [fingerprint(Image.new("RGB", (40, 40), colour)) for colour in ("white", "grey", "grey")]
    prints = stack(dict(enumerate(blank)))

    assert len(same_pictures(prints, np.ones((3, 1), np.float32))) == 0
    assert same_picture_groups(prints, np.ones((3, 1), np.float32)) == []


def test_the_order_of_pictures_does_not_matter() -> None:
    images = [ORIGINAL, photograph(2), COPIES["mirrored"], COPIES["resized"]]

    assert pairs_among(*images) == [[0, 2], [0, 3], [2, 3]]
    assert pairs_among(*reversed(images)) == [[0, 1], [0, 3], [1, 3]]


@pytest.mark.parametrize("side", [16, 32, SIDE])
@pytest.mark.parametrize("deviation", [0.5, 0.6, 0.8, 1.0, 1.2, 1.5])
def test_no_weight_of_a_blur_is_a_subnormal_number_which_a_processor_multiplies_slowly(
    side: int, deviation: float
) -> None:
    weights = _blur_weights(side, deviation)

    assert weights.dtype == np.float32
    assert weights[weights > 0].min() >= np.finfo(np.float32).tiny
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), turn=st.integers(0, 3), mirror=st.booleans())
def test_a_descriptor_does_not_change_with_turning_and_mirroring(seed: int, turn: int, mirror: bool) -> None:
    prints = np.random.default_rng(seed).integers(0, 256, (3, 16, 16)).astype(np.uint8)

    turned = np.rot90(prints[:, :, ::-1] if mirror else prints, turn, (1, 2))

    np.testing.assert_allclose(descriptors(prints), descriptors(turned), atol=1e-5)


def test_candidates_are_those_of_all_pairs_looked_at_one_by_one() -> None:
    rng = np.random.default_rng(0)
    vectors, described = (rng.standard_normal((5000, d)).astype(np.float32) for d in (8, 6))
    vectors, described = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors, described))
    base = 0.25

    found = list(candidate_pairs(vectors, described, base, threads=2))

    pairs = np.concatenate([one.pairs for one in found])
    likeness = (vectors @ vectors.T - base) / (1 - base)
    every = np.triu(likeness + 4 * described @ described.T, 1)
    is_found = np.zeros(every.shape, bool)
    is_found[pairs[:, 0], pairs[:, 1]] = True
    assert len(pairs) == is_found.sum() > 1000  # each once
    assert every[is_found].min() > LEAST - 1e-4
    assert every[~is_found].max() < LEAST + 1e-4
    all_likeness = np.concatenate([one.likeness for one in found])
    np.testing.assert_allclose(all_likeness, likeness[pairs[:, 0], pairs[:, 1]], atol=1e-4)


@pytest.mark.parametrize("name", ["resized", "with a white border"])
def test_a_fingerprint_is_read_as_it_was_written(name: str) -> None:
    made = fingerprint(COPIES[name])

    read = Fingerprint.from_bytes(made.to_bytes())

    assert read is not None
    assert np.array_equal(read.whole, made.whole)
    assert (read.inner is None) == (made.inner is None)
    assert read.inner_share == pytest.approx(made.inner_share)


def test_the_border_is_no_part_of_the_picture() -> None:
    bordered = fingerprint(COPIES["with a white border"])

    assert bordered.inner is not None
    assert bordered.inner_share == pytest.approx(320 * 240 / (368 * 288), abs=0.03)


@pytest.mark.parametrize("data", [b"", b"\0" * 3, b"\0" * (4 + SIDE * SIDE), b"\xff" * (4 + 3 * SIDE * SIDE)])
def test_other_bytes_are_not_read_as_a_fingerprint(data: bytes) -> None:
    assert Fingerprint.from_bytes(data) is None
