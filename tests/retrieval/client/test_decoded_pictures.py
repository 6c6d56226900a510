"""A decoded picture of a query is sent so that a server reads what is used of it here."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from retrieval.client.pictures import png_of
from retrieval.images.colour import to_rgb
from retrieval.images.in_memory import upright_rgb
from retrieval.images.upright import decode
from retrieval.types import Limits

MODES = (
    "1", "L", "P", "RGB", "RGBA", "RGBX", "RGBa", "LA", "PA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16",
)  # fmt: skip


def sent(image: Image.Image) -> Image.Image:
    """Give a picture as a server decodes it."""
    return decode(png_of(upright_rgb(image)), Limits())


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_arrives_with_the_pixels_that_it_has_here(mode: str) -> None:
    image = Image.new(mode, (3, 2), 0)
    image.putpixel(
        (1, 1), 1 if mode in ("1", "L", "P", "I", "F", "I;16") else (9, 90, 200, 70)[: len(image.getbands())]
    )

    assert np.array_equal(np.asarray(sent(image)), np.asarray(to_rgb(image)))


def test_a_jpeg_of_print_colours_that_was_opened_arrives(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (10, 200, 30, 40)).save(tmp_path / "print.jpg")

    with Image.open(tmp_path / "print.jpg") as image:
        found = sent(image)

    assert np.array_equal(
        np.asarray(found), np.asarray(decode((tmp_path / "print.jpg").read_bytes(), Limits()))
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_arrives_with_the_side_up_that_its_file_says(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.linear_gradient("L").resize((20, 10)).rotate(30).save(tmp_path / "turned.png", exif=exif)

    with Image.open(tmp_path / "turned.png") as image:
        found = sent(image)

    assert np.array_equal(
        np.asarray(found), np.asarray(decode((tmp_path / "turned.png").read_bytes(), Limits()))
    )


def test_a_profile_is_used_once() -> None:
    image = Image.new("RGB", (4, 4), (200, 30, 90))
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert "icc_profile" not in Image.open(io.BytesIO(png_of(upright_rgb(image)))).info
