"""RapidOCR as a reader: lines of text with their corners, offline, whatever the picture; the extra ``ocr``."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from retrieval.extras import is_installed
from retrieval.ocr.rapid import RapidReader

pytestmark = pytest.mark.skipif(not is_installed("ocr"), reason="the extra ocr is not installed")


@pytest.fixture(scope="module")
def reader() -> Iterator[RapidReader]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, lambda *_: pytest.fail("a reader asked the network"))
        yield RapidReader(threads=1)


def test_a_line_is_read_with_its_corners_as_shares_of_the_picture(reader: RapidReader) -> None:
    image = Image.new("RGB", (400, 200), (235, 235, 230))
    ImageDraw.Draw(image).text((40, 120), "Platform 42", (10, 10, 10), ImageFont.load_default(48))

    (line,) = reader.read(np.asarray(image))

    assert line.text == "Platform 42"
    left, top, right, _, _, bottom, _, _ = line.box
    assert 0.05 < left < 0.12 < 0.6 < right < 0.9
    assert 0.55 < top < 0.68 < 0.78 < bottom < 0.98


def test_its_name_has_its_version(reader: RapidReader) -> None:
    assert reader.maker.startswith("RapidOCR 3.")
    assert "PP-OCRv6" in reader.maker


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (1600, 3), (3, 1600), (1600, 20), (20, 1600)])
def test_pictures_without_text_and_strips_of_any_shape_give_no_line(
    reader: RapidReader, size: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(100, 140, (*size, 3), np.uint8)

    assert reader.read(noise) == []
