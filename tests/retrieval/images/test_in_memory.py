"""Pictures that a program has in memory mean what they mean as files."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.encoders.base import fixed_batches
from retrieval.errors import ImageError, QueryError, UsageError
from retrieval.images import decode
from retrieval.images.in_memory import upright_rgb
from retrieval.query.parts import ImagePart
from retrieval.testing import HashEncoder
from retrieval.types import Limits


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


RGB = Image.fromarray(np.random.default_rng(1).integers(0, 255, (12, 20, 3), dtype=np.uint8))
DEEP = Image.fromarray(np.random.default_rng(2).integers(0, 65535, (12, 20), dtype=np.uint16))
FADING = RGB.convert("RGBA")
FADING.putalpha(RGB.convert("L"))
FILES = {
    **{f"turned {turn}.png": encoded(RGB, "PNG", exif=exif(turn)) for turn in (1, 2, 3, 4, 5, 6, 7, 8)},
    "fading.png": encoded(FADING, "PNG"),
    "deep.png": encoded(DEEP, "PNG"),
    "cmyk.jpg": encoded(RGB.convert("CMYK"), "JPEG"),
    "palette.gif": encoded(RGB.convert("P"), "GIF"),
    "grey.jpg": encoded(RGB.convert("L"), "JPEG", exif=exif(6)),
}


@pytest.mark.parametrize("name", FILES)
def test_an_opened_file_has_the_pixels_of_the_file(name: str) -> None:
    of_file = decode(FILES[name], Limits())

    opened = upright_rgb(Image.open(io.BytesIO(FILES[name])))

    assert opened.size == of_file.size
    assert opened.tobytes() == of_file.tobytes()
    assert upright_rgb(opened) is opened  # nothing is applied twice


@pytest.mark.parametrize("name", FILES)
def test_an_opened_file_finds_and_adds_what_the_file_does(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    with (
        indexer.open_writer(tmp_path / "c", model=HashEncoder()) as writer,
        Image.open(tmp_path / name) as opened,
    ):
        writer.add("file", tmp_path / name)
        writer.add("opened", opened)
    with (
        retrieval.open(tmp_path / "c", encoder=HashEncoder()) as engine,
        Image.open(tmp_path / name) as opened,
    ):
        by_file, by_opened = engine.search(tmp_path / name), engine.search(opened)

    assert [hit.score for hit in by_opened] == pytest.approx([1.0, 1.0])
    assert {hit.key for hit in by_file} == {hit.key for hit in by_opened} == {"file", "opened"}
    with closing(sqlite3.connect(tmp_path / "c" / "catalogue.sqlite")) as catalogue:
        assert len(catalogue.execute("SELECT DISTINCT width, height FROM contents").fetchall()) == 1


def cut_short() -> Image.Image:
    return Image.open(io.BytesIO(encoded(RGB.resize((400, 300)), "JPEG")[:2000]))


def closed() -> Image.Image:
    image = Image.open(io.BytesIO(FILES["grey.jpg"]))
    image.close()
    return image


@pytest.mark.parametrize("make", [cut_short, closed, lambda: Image.new("RGB", (0, 0))])
def test_a_picture_that_cannot_be_read_is_refused_and_nothing_else_is_lost(
    make: object, tmp_path: Path
) -> None:
    assert callable(make)
    with indexer.open_writer(tmp_path / "c", model=HashEncoder()) as writer:
        writer.add("good", RGB)
        with pytest.raises(ImageError, match=r"cut short or closed|no pixels"):
            writer.add("bad", make())
    with pytest.raises(QueryError, match="the picture cannot be read: "):
        ImagePart(make())
    with retrieval.open(tmp_path / "c", encoder=HashEncoder()) as engine:
        assert [item.key for item in engine.items()] == ["good"]
    assert indexer.doctor(tmp_path / "c").faults == ()


@pytest.mark.parametrize("size", [0, -1])
def test_batches_of_nothing_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match="batch_size is"):
        list(fixed_batches(["a"], size, 8))


@pytest.mark.parametrize(
    "limits", [{"pixels": -1}, {"file_bytes": 0}, {"memory": 0}, {"seconds": 0.0}, {"seconds": float("nan")}]
)
def test_limits_below_anything_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the limit"):
        Limits(**limits)
