"""Untrusted bytes become upright RGB pictures in the right colours, within limits, or a reason in one clause."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from retrieval.errors import ImageError, ImageTooLarge
from retrieval.images import MAX_ASPECT, decode, decode_whole, upright
from retrieval.images.formats import webp_size
from retrieval.types import Limits

LIMITS = Limits()
Colour = tuple[int, int, int]


def encoded(image: Image.Image, format_: str = "PNG", **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **settings)
    return buffer.getvalue()


def colour_at(picture: Image.Image, x: int, y: int) -> Colour:
    assert picture.mode == "RGB"
    pixel = picture.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return (int(pixel[0]), int(pixel[1]), int(pixel[2]))


def is_near(found: Colour, expected: Colour, by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, expected, strict=True))


# Formats


@pytest.mark.parametrize("format_", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_promised_format_is_decoded(format_: str) -> None:
    picture = decode(encoded(Image.new("RGB", (24, 16), (200, 40, 40)), format_), LIMITS)

    assert picture.size == (24, 16)
    assert is_near(colour_at(picture, 12, 8), (200, 40, 40))


def test_heic_is_decoded_with_the_extra() -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 40, 40))).save(buffer)

    picture = decode(buffer.getvalue(), LIMITS)

    assert picture.size == (64, 48)
    assert is_near(colour_at(picture, 32, 24), (200, 40, 40))


@pytest.mark.parametrize("format_", ["ICO", "PPM", "PCX", "TGA", "SGI", "EPS"])
def test_a_format_that_was_not_promised_is_not_tried(format_: str) -> None:
    with pytest.raises(ImageError, match="not a picture in a format that is read here"):
        decode(encoded(Image.new("RGB", (24, 16)), format_), LIMITS)


def test_of_several_frames_the_first_is_taken() -> None:
    red, blue = (Image.new("RGB", (24, 16), name) for name in ("red", "blue"))

    for format_ in ("GIF", "WEBP", "TIFF", "PNG"):
        data = encoded(red, format_, save_all=True, append_images=[blue])
        assert is_near(colour_at(decode(data, LIMITS), 12, 8), (255, 0, 0)), format_


# Colour


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256).repeat(32, axis=0)

    for format_ in ("PNG", "TIFF"):
        picture = decode(encoded(Image.fromarray(ramp), format_), LIMITS)
        assert is_near(colour_at(picture, 128, 2), (128, 128, 128), by=2), format_


def test_float_grey_from_0_to_1_is_scaled_to_8_bits() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 256).repeat(32, axis=0)

    picture = decode(encoded(Image.fromarray(ramp), "TIFF"), LIMITS)

    assert is_near(colour_at(picture, 128, 2), (128, 128, 128), by=2)


def test_one_bit_is_black_and_white() -> None:
    picture = decode(encoded(Image.new("1", (8, 8), 1)), LIMITS)

    assert colour_at(picture, 4, 4) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)

    assert colour_at(decode(encoded(clear), LIMITS), 4, 4) == (255, 255, 255)


def test_a_palettes_transparent_entry_is_laid_over_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 40, 40])
    image.putpixel((0, 0), 0)

    picture = decode(encoded(image, transparency=0), LIMITS)

    assert colour_at(picture, 0, 0) == (255, 255, 255)
    assert colour_at(picture, 4, 4) == (200, 40, 40)


def test_half_transparent_red_is_pink() -> None:
    picture = decode(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 128))), LIMITS)

    assert is_near(colour_at(picture, 4, 4), (255, 127, 127), by=1)


def test_cmyk_ink_is_not_read_as_light() -> None:
    picture = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), LIMITS)

    assert is_near(colour_at(picture, 8, 8), (255, 0, 0), by=20)


def test_a_profile_is_applied() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    wide = Image.new("LAB", (8, 8), (128, 128, 128))  # mid grey

    picture = decode(encoded(wide, "TIFF", icc_profile=lab.tobytes()), LIMITS)

    assert is_near(colour_at(picture, 4, 4), (119, 119, 119), by=12)


def profile_of(name: str, red: tuple[float, float, float]) -> bytes:
    """A profile with sRGB's curves and white, and this colour as its red (XYZ at D50), with no sRGB in its name."""
    table = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    table = bytearray(bytes(table).replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be")))
    at = table.index(b"rXYZ")
    offset = int.from_bytes(table[at + 4 : at + 8], "big")
    table[offset + 8 : offset + 20] = struct.pack(">3i", *(round(value * 65536) for value in red))
    return bytes(table).replace(b"sRGB", b"none")


SRGB_RED = (0.43607, 0.22249, 0.01392)


def test_an_srgb_profile_of_any_name_changes_no_pixel() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    picture = decode(encoded(Image.fromarray(noise), icc_profile=profile_of("mine", SRGB_RED)), LIMITS)

    assert np.array_equal(np.asarray(picture), noise)


def test_each_picture_has_its_own_profile_applied_however_many_came_before() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    profiles = [profile_of("none", (0.40 + 0.005 * step, 0.2, 0.02)) for step in range(20)]
    srgb = ImageCms.createProfile("sRGB")

    for profile in [*profiles, *profiles]:
        picture = decode(encoded(noise, icc_profile=profile), LIMITS)

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        expected = ImageCms.applyTransform(noise, ImageCms.buildTransform(source, srgb, "RGB", "RGB"))
        assert expected is not None
        assert picture.tobytes() == expected.tobytes() != noise.tobytes()


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200])
def test_a_broken_profile_costs_nothing(profile: bytes) -> None:
    picture = decode(encoded(Image.new("RGB", (8, 8), (200, 40, 40)), icc_profile=profile), LIMITS)

    assert colour_at(picture, 4, 4) == (200, 40, 40)


# The way up


def turned(orientation: int) -> bytes:
    """A picture whose upright form is red above blue, stored as its orientation tag says."""
    upright = Image.new("RGB", (40, 30), "red")
    upright.paste("blue", (0, 15, 40, 30))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(back[orientation]) if orientation in back else upright
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encoded(stored, "JPEG", exif=tags, quality=95)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_orientation_says(orientation: int) -> None:
    picture = decode(turned(orientation), LIMITS)

    assert picture.size == (40, 30)
    assert is_near(colour_at(picture, 20, 4), (255, 0, 0), by=20)
    assert is_near(colour_at(picture, 20, 26), (0, 0, 255), by=20)


@pytest.mark.parametrize("orientation", [0, 9, 99, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    assert decode(turned(orientation), LIMITS).size == (40, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_shown_size_is_the_upright_one_of_the_whole_picture(orientation: int) -> None:
    decoded = decode_whole(turned(orientation), LIMITS, short_side=8)

    assert (decoded.width, decoded.height) == (40, 30)


# Limits


@pytest.mark.parametrize(
    ("size", "kept"), [((30000, 2), (40, 2)), ((2, 30000), (2, 40)), ((400, 20), (400, 20))]
)
def test_a_long_strip_keeps_its_middle_before_anything_enlarges_it(
    size: tuple[int, int], kept: tuple[int, int]
) -> None:
    picture = decode(encoded(Image.new("RGB", size)), LIMITS)

    assert picture.size == kept
    assert max(kept) / min(kept) <= MAX_ASPECT


def test_more_pixels_than_allowed_are_refused_and_as_many_are_not() -> None:
    data = encoded(Image.new("RGB", (100, 50)))

    assert decode(data, Limits(pixels=5000)).size == (100, 50)
    with pytest.raises(ImageError, match=r"100x50 pixels, over the limit of 0\.004999 megapixels"):
        decode(data, Limits(pixels=4999))


def test_the_callers_limit_holds_whatever_limit_pillow_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)

    assert decode(encoded(Image.new("RGB", (40, 30))), LIMITS).size == (40, 30)


def test_a_jpeg_may_come_smaller_but_not_below_twice_what_the_encoder_sees() -> None:
    data = encoded(Image.new("RGB", (4000, 3000), (200, 40, 40)), "JPEG")

    assert decode(data, LIMITS).size == (4000, 3000)
    small = decode(data, LIMITS, short_side=224)
    assert 448 <= min(small.size) < 3000
    whole = decode_whole(data, LIMITS, short_side=224)
    assert (whole.width, whole.height) == (4000, 3000)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("short_side", [None, 40])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_jpeg_has_the_same_pixels_and_faults_however_much_of_it_is_given_to_the_decoder_at_once(
    progressive: bool, short_side: int | None, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=95, progressive=progressive)
    data = file.getvalue()
    assert len(data) > 4 * 65536
    data = data[: int(share * len(data))]

    def outcome() -> object:
        try:
            return np.asarray(decode(data, Limits(), short_side)).tobytes()
        except ImageError as error:
            return str(error).partition("(")[0]

    whole = outcome()
    monkeypatch.setattr(upright, "_FED_BYTES", 65536)

    assert outcome() == whole
    assert isinstance(whole, bytes) == (share == 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "the file is empty"), (bytes(64), "nothing but zeros"), (b"words", "not a picture in a format")],
)
def test_what_is_no_picture_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode(data, LIMITS)


SOUND = [
    encoded(Image.effect_noise((48, 32), 60).convert("RGB"), format_)
    for format_ in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
]


@settings(max_examples=300)
@given(
    sound=st.sampled_from(SOUND),
    cut=st.floats(0, 1),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
)
def test_damaged_bytes_give_a_picture_or_a_reason_of_one_line_and_nothing_else(
    sound: bytes, cut: float, edits: list[tuple[float, int]]
) -> None:
    data = bytearray(sound[: round(len(sound) * cut)] or sound)
    for place, value in edits:
        data[int(len(data) * place)] = value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata
        outcome = picture_or_reason(bytes(data))

    if isinstance(outcome, str):
        assert outcome
        assert "\n" not in outcome
    else:
        assert outcome.mode == "RGB"
        assert min(outcome.size) >= 1


def picture_or_reason(data: bytes) -> Image.Image | str:
    try:
        return decode(data, Limits(pixels=10**6))
    except ImageError as error:
        return str(error)


# Sound files that were refused, or came out wrong


def test_texts_of_megabytes_in_a_png_are_no_matter() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", "x" * 3_000_000, zip=True)

    assert decode(encoded(Image.new("RGB", (24, 16)), pnginfo=texts), LIMITS).size == (24, 16)


@pytest.mark.parametrize(
    ("dtype", "most"),
    [(np.int32, 2**31 - 1), (np.uint32, 2**32 - 1), (np.int16, 2**15 - 1), (np.float32, 40_000)],
)
def test_a_deep_grey_tiff_keeps_its_middle_grey(dtype: type[np.generic], most: float) -> None:
    ramp = np.linspace(0, most, 256).astype(dtype).reshape(1, 256).repeat(32, axis=0)
    data = tiff_of(ramp)

    picture = decode(data, LIMITS)

    assert is_near(colour_at(picture, 0, 8), (0, 0, 0), by=2)
    assert is_near(colour_at(picture, 128, 8), (128, 128, 128), by=2)
    assert is_near(colour_at(picture, 255, 8), (255, 255, 255), by=2)


def tiff_of(values: np.ndarray) -> bytes:
    """An uncompressed little-endian TIFF of one strip, whatever the type of its samples."""
    height, width = values.shape
    form = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    pixels = values.astype(values.dtype.newbyteorder("<")).tobytes()
    tags = [(256, width), (257, height), (258, 8 * values.dtype.itemsize), (259, 1), (262, 1), (273, 8),
            (277, 1), (278, height), (279, len(pixels)), (339, form)]  # fmt: skip
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_a_turned_tiff_has_its_upright_size(orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation

    decoded = decode_whole(encoded(Image.new("RGB", (60, 40)), "TIFF", exif=tags), LIMITS)

    assert (decoded.width, decoded.height) == decoded.image.size
    assert decoded.image.size == ((60, 40) if orientation == 1 else (40, 60))


def test_avif_is_told_by_all_its_brands_and_a_video_is_called_one() -> None:
    data = bytearray(encoded(Image.new("RGB", (24, 16)), "AVIF"))
    data[8:12] = b"mif1"

    assert decode(bytes(data), LIMITS).size == (24, 16)
    with pytest.raises(ImageError, match=r"^a video, not a picture$"):
        decode(b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + bytes(300), LIMITS)


def test_a_progressive_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    data = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")

    with pytest.raises(ImageError, match="scans, over the limit of 500"):
        decode(data[:last] + data[last:-2] * 3000 + data[-2:], LIMITS)


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    form=st.sampled_from([{"quality": 5}, {"lossless": True}, {"quality": 5, "exif": b"Exif\0\0"}]),
    mode=st.sampled_from(["RGB", "RGBA"]),
)
def test_a_webp_s_header_tells_its_size(width: int, height: int, form: dict[str, object], mode: str) -> None:
    data = io.BytesIO()
    Image.new(mode, (width, height), (9, 90, 200, 128)[: len(mode)]).save(data, "WEBP", method=0, **form)

    assert webp_size(data.getvalue()) == (width, height)
    assert all(webp_size(data.getvalue()[:size]) is None for size in range(25))


def test_a_webp_that_memory_does_not_suffice_for_is_not_called_damaged() -> None:
    data = io.BytesIO()
    Image.new("RGBA", (2000, 2000), (1, 2, 3, 4)).save(data, "WEBP", lossless=True, quality=0, method=0)

    with pytest.raises(ImageTooLarge) as caught:
        decode_whole(data.getvalue(), Limits(), memory=50_000_000)
    assert caught.value.needed is not None
    assert caught.value.needed > 21 * 2000 * 2000
    with pytest.raises(ImageError, match=r"2000x2000 pixels, over the limit"):
        decode_whole(data.getvalue(), Limits(pixels=1000), memory=50_000_000)
