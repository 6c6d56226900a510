"""Kinds of files beside those that Pillow reads: raw camera files, JPEG XL, PDF; each by content, within limits."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from retrieval import file_kinds
from retrieval.decoding.child import DECODERS as IMPORTED
from retrieval.decoding.versions import decoder_versions
from retrieval.errors import ImageError, ImageTooLarge
from retrieval.extras import EXTRAS
from retrieval.images import decode_whole
from retrieval.images.decoders.decoder import Source, Wanted
from retrieval.images.decoders.table import DECODERS, decoder_of, document_text, list_parts
from retrieval.metadata.read import read_metadata
from retrieval.suffixes import IMAGE_SUFFIXES
from retrieval.types import Limits
from tests.pdf_files import pdf
from tests.raw_files import dng

LIMITS = Limits()


def gradient(size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Red grows to the right, green downwards; the middle of the top is bluer."""
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([across, down, 255 - down], axis=2).astype(np.uint8))


def encoded(image: Image.Image, format_: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.copy().save(file, format_, **settings)
    return file.getvalue()


def jxl(image: Image.Image, **settings: object) -> bytes:
    import pillow_jxl  # noqa: F401  registers itself

    return encoded(image, "JXL", **settings)


def difference(a: Image.Image, b: Image.Image) -> float:
    """Give the mean difference of two pictures of one shape, in levels."""
    small = [np.asarray(one.resize((16, 12))).astype(float) for one in (a, b)]
    return float(np.abs(small[0] - small[1]).mean())


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.kind.noun)
def test_the_packages_of_a_decoder_are_those_that_workers_may_import(decoder: object) -> None:
    from retrieval.images.decoders.decoder import Decoder

    assert isinstance(decoder, Decoder)
    assert set(decoder.packages) <= IMPORTED
    assert all(f"{name}=" in decoder_versions() for name in decoder.distributions)
    assert decoder.kind.extra is None or set(EXTRAS[decoder.kind.extra]) <= set(decoder.packages)
    assert bool(decoder.parts) == decoder.kind.holds_several


def test_a_suffix_has_one_kind_and_no_kind_is_without_a_decoder() -> None:
    suffixes = [suffix for kind in file_kinds.FILE_KINDS for suffix in kind.suffixes]

    assert len(suffixes) == len(set(suffixes))
    assert {kind for kind in file_kinds.FILE_KINDS if kind.extra} & {one.kind for one in DECODERS}
    assert not {s for kind in file_kinds.FILE_KINDS if kind.extra for s in kind.suffixes} & IMAGE_SUFFIXES


def test_of_a_raw_file_the_preview_is_taken_where_it_is_large_enough() -> None:
    seen, preview = Image.new("RGB", (640, 480), "blue"), gradient((640, 480))

    found = decode_whole(dng(seen, preview), LIMITS, 224)

    assert (found.width, found.height) == (640, 480)
    assert difference(found.image, preview) < 3


@pytest.mark.parametrize("preview", [None, gradient((64, 48))], ids=["none", "small"])
def test_of_a_raw_file_without_a_large_preview_the_sensor_is_taken_at_half_size(
    preview: Image.Image | None,
) -> None:
    found = decode_whole(dng(gradient((640, 480)), preview), LIMITS, 224)

    assert (found.image.size, found.width, found.height) == ((320, 240), 640, 480)
    left, right = found.image.getpixel((10, 120)), found.image.getpixel((310, 120))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert right[0] > left[0] + 100


@pytest.mark.parametrize("with_preview", [True, False])
def test_a_raw_file_is_turned_as_the_camera_was(with_preview: bool) -> None:
    seen = gradient((640, 480))
    data = dng(seen, seen if with_preview else None, orientation=6)

    found = decode_whole(data, LIMITS, 224)

    assert (found.width, found.height) == (480, 640)
    assert found.image.height > found.image.width
    bottom, top = found.image.getpixel((10, found.image.height - 10)), found.image.getpixel((10, 10))
    assert isinstance(bottom, tuple)
    assert isinstance(top, tuple)
    assert bottom[0] > top[0] + 100  # right became down


def test_a_raw_file_is_told_by_its_content_and_never_taken_for_its_thumbnail() -> None:
    data = dng(gradient((640, 480)))

    decoder = decoder_of(Source(data))

    assert decoder is not None
    assert decoder.kind is file_kinds.RAW
    plain = decoder_of(Source(encoded(gradient(), "TIFF")))
    assert plain is not None
    assert plain.kind is file_kinds.TIFF


def test_exif_of_a_raw_file_is_read() -> None:
    assert read_metadata(dng(gradient((64, 48)))) == {
        "taken": "2023-05-06T07:08:09",
        "camera": "Testcam One",
        "focal_length": 50.0,
        "aperture": 2.8,
        "exposure": 0.004,
        "iso": 400,
    }


@pytest.mark.parametrize("data", [dng(gradient((640, 480))), jxl(gradient((640, 480)))], ids=["raw", "jxl"])
def test_pixels_and_memory_are_limited_before_a_picture_is_decoded(data: bytes) -> None:
    with pytest.raises(ImageError, match="640x480 pixels, over the limit"):
        decode_whole(data, Limits(pixels=100_000), 224)
    with pytest.raises(ImageTooLarge):
        decode_whole(data, LIMITS, 224, memory=2**20)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (256, 256), (320, 240), (333, 77), (2000, 3)])
@pytest.mark.parametrize("container", [True, False])
def test_a_jpeg_xl_is_read_with_the_size_that_its_header_says(size: tuple[int, int], container: bool) -> None:
    found = decode_whole(jxl(gradient(size), use_container=container, effort=1), LIMITS)

    assert (found.width, found.height) == size


def test_a_jpeg_xl_has_its_colours_alpha_and_metadata() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Testcam", "Testcam One"
    data = jxl(gradient(), exif=exif.tobytes(), use_container=True, effort=1)

    assert difference(decode_whole(data, LIMITS).image, gradient()) < 3
    assert read_metadata(data) == {"camera": "Testcam One"}
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert decode_whole(jxl(clear, lossless=True), LIMITS).image.getpixel((5, 5)) == (255, 255, 255)


def test_pages_of_a_pdf_are_drawn_on_white_and_large_enough() -> None:
    found = decode_whole(Source(pdf("Hello page", 3), "page=2"), LIMITS, 224)

    assert (found.width, found.height) == (1275, 1650)  # letter, at 150 pixels an inch
    assert min(found.image.size) in range(448, 452)
    assert found.image.getpixel((2, 2)) == (255, 255, 255)
    extrema = found.image.convert("L").getextrema()
    assert isinstance(extrema[0], int | float)
    assert extrema[0] < 100


def test_a_pdf_has_its_pages_texts_and_metadata() -> None:
    data = pdf("Hello page", 3)

    assert list_parts(Source(data), Wanted(None, 1, None)) == ["page=1", "page=2", "page=3"]
    text = document_text(Source(data, "page=3"))
    assert text is not None
    assert text.text == "Hello page 3"
    assert text.maker.startswith("pypdfium2 ")
    assert read_metadata(data) == {
        "taken": "2021-04-12T15:30:00+02:00",
        "title": "Report",
        "keywords": ["one", "two"],
        "creator": "A. Writer",
    }


def test_a_page_of_any_size_is_drawn_within_bounds() -> None:
    for size in ((1, 1), (14_400, 2), (2, 14_400), (200_000, 200_000)):
        found = decode_whole(Source(pdf("x", 1, size)), LIMITS, 224)

        assert max(found.image.size) <= 8192
        assert min(found.image.size) >= 1


@pytest.mark.parametrize(
    ("data", "part", "reason"),
    [
        (b"%PDF-1.7 nothing", "", "damaged or cut short"),
        (pdf("x"), "page=2", "no page 2"),
        (encoded(gradient(), "TIFF"), "page=2", "no page 2"),
        (encoded(gradient(), "PNG"), "page=2", "does not hold several pictures"),
        (dng(gradient((64, 48)))[:400], "", "damaged|cut short"),
        (jxl(gradient())[:40], "", "damaged|cut short"),
    ],
)
def test_what_cannot_be_decoded_has_a_reason(data: bytes, part: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode_whole(Source(data, part), LIMITS, 224)


@pytest.mark.parametrize("kind", [file_kinds.RAW, file_kinds.JXL, file_kinds.PDF], ids=lambda kind: kind.noun)
def test_a_missing_decoder_is_named_with_its_extra(
    kind: file_kinds.FileKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"raw": dng(gradient((64, 48))), "jxl": jxl(gradient()), "pdf": pdf("x")}[kind.extra or ""]
    monkeypatch.setattr("retrieval.extras.is_installed", lambda _: False)

    with pytest.raises(ImageError, match=re.escape(f"pip install 'vlsearch[{kind.extra}]'")):
        decode_whole(data, LIMITS)
