"""Asking with a part of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import retrieval
from retrieval.decoding.preparations import Cropped, Fit, Squeeze, from_json, to_json
from retrieval.errors import QueryError
from retrieval.query.engine import SearchEngine
from retrieval.query.parts import Crop, ImagePart
from tests.command_line import fill_photos, vlsearch

LEFT, RIGHT = (220, 30, 40), (30, 40, 220)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halves") / "halves.png"
    image = Image.new("RGB", (80, 60), LEFT)
    image.paste(RIGHT, (40, 0, 80, 60))
    image.save(path)
    return path


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[SearchEngine]:
    folder = tmp_path_factory.mktemp("cropped")
    photographs = fill_photos(folder / "photographs")
    vlsearch("index", photographs, "--model", model, "--collection", folder / "c", "--quiet")
    with retrieval.open(folder / "c") as opened:
        yield opened


@pytest.mark.parametrize(
    ("crop", "name"),
    [((0, 0, 0.5, 1), "red"), ((0.5, 0, 0.5, 1), "blue"), ((40, 0, 40, 60), "blue"), ((2, 2, 30, 20), "red")],
)
def test_a_part_of_a_picture_finds_what_is_like_that_part(
    engine: SearchEngine, halves: Path, crop: Crop, name: str
) -> None:
    by_path, by_bytes, by_pixels = (
        engine.search(ImagePart(source, crop=crop), k=1, find="image")[0]
        for source in (halves, halves.read_bytes(), Image.open(halves))
    )

    assert by_path.uri.endswith(f"{name}.png")
    assert by_path.score == pytest.approx(1, abs=1e-5)
    assert by_path.id == by_bytes.id == by_pixels.id
    assert by_path.score == by_bytes.score == by_pixels.score


def test_parts_of_one_picture_are_several_parts(engine: SearchEngine, halves: Path) -> None:
    both = [ImagePart(halves, crop=(0, 0, 0.5, 1)), ImagePart(halves, crop=(0.5, 0, 0.5, 1))]

    first = engine.search(both, k=2, find="image")

    assert {Path(hit.uri).name for hit in first} == {"red.png", "blue.png"}


def test_a_part_of_a_picture_that_is_indexed_is_not_the_whole(engine: SearchEngine, model: Path) -> None:
    path = Path(next(hit.item.uri for hit in engine.search("red", k=1)).removeprefix("file://"))

    whole = engine.search(path, k=1, find="image")[0]
    encoded = retrieval.load_encoder(str(model)).encode_images([Image.open(path).crop((0, 0, 20, 15))], 1)[0]
    part = engine.search(ImagePart(path, crop=(0, 0, 0.5, 0.5)), k=1, find="image")[0]

    assert whole.score == pytest.approx(1, abs=1e-6)
    assert part.score == pytest.approx(float(encoded @ encoded), abs=1e-5)


@given(
    box=st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(1, 14), st.integers(1, 18)),
    rule=st.sampled_from([Fit(20), Squeeze(16, 1.3, 0)]),
)
def test_a_rule_of_a_part_is_the_rule_of_the_image_cut_out(
    box: tuple[int, int, int, int], rule: Fit | Squeeze
) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    left, top, width, height = box
    cropped = Cropped(to_json(rule), left / 64, top / 48, width / 64, height / 48)

    found = from_json(to_json(cropped)).prepare(noise)

    assert (found == rule.prepare(noise.crop((left, top, left + width, top + height)))).all()


@pytest.mark.parametrize(
    ("crop", "said"),
    [
        ((0, 0, 0, 1), "is not a part of a picture"),
        ((-0.1, 0, 1, 1), "is not a part of a picture"),
        ((float("nan"), 0, 1, 1), "is not a part of a picture"),
        ((0.5, 0, 0.6, 1), "reaches beyond the picture"),
    ],
)
def test_a_part_that_no_picture_has_is_refused(crop: Crop, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        ImagePart(Path("any.jpg"), crop=crop)


def test_pixels_beyond_the_picture_are_refused(engine: SearchEngine, halves: Path) -> None:
    with pytest.raises(QueryError, match="which has 80x60 pixels"):
        engine.search(ImagePart(halves, crop=(70, 0, 20, 20)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["red", "--crop", "0,0,1,1"], "--crop is of the one picture in a query, and this one has none"),
        (["./a.png", "./b.png", "--crop", "0,0,1,1"], "and this one has 2"),
        (["./a.png", "--crop", "0,0,1"], "is not four numbers"),
        (["./a.png", "--crop", "0,0,0,1"], "is not a part of a picture"),
        (["--from", "-", "--crop", "0,0,1,1"], "leave out --crop or --from"),
    ],
)
def test_mistakes_with_crop_are_told(engine: SearchEngine, arguments: list[str], said: str) -> None:
    done = vlsearch("query", *arguments, "--collection", engine.collection.path)

    assert done.exit_code == 2
    assert said in done.stderr


def test_the_command_line_asks_with_a_part(engine: SearchEngine, halves: Path) -> None:
    done = vlsearch(
        "query", halves, "--crop", "0.5,0,0.5,1", "--find", "image", "-k", "1", "--paths",
        "--collection", engine.collection.path,
    )  # fmt: skip

    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip().endswith("blue.png")
