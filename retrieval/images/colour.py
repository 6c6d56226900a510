"""Convert any of Pillow's modes to 8-bit RGB, strip by strip, so that little memory is needed beside the two images."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageCms import ImageCmsTransform

STRIP_PIXELS = 1 << 20  # a strip of so many in float64, the widest form, is 8 MB

Convert = Callable[[Image.Image], Image.Image]

_LARGEST_KEPT = 2**18  # bytes of a profile whose transform is kept; a camera's has less than 10,000

_ALPHA = ("LA", "PA", "RGBA", "RGBa", "La")
_SIGNED = 2  # TIFF's SampleFormat
_SAMPLE_FORMAT, _BITS = 339, 258


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB: deep grey scaled, transparency over white, colours by its profile.

    The same pixels as of the whole image at once: no step looks at a pixel's neighbours.
    """
    convert = _conversion(image)
    if convert is None:
        return image
    if image.width * image.height <= STRIP_PIXELS:
        return convert(image)
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        rgb.paste(convert(strip), (0, top))
    return rgb


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _conversion(image: Image.Image) -> Convert | None:
    """Give the function that converts a strip of the image to RGB; None where nothing is to be done."""
    if is_deep(image.mode):
        return _deep_grey(image)
    if image.mode == "CMYK":
        return _by_profile(image, "CMYK") or _plain
    matched = _by_profile(image, "RGB")
    if image.mode in _ALPHA or "transparency" in image.info:
        return _over_white if matched is None else lambda strip: matched(_over_white(strip))
    if image.mode == "RGB":
        return matched
    return _plain if matched is None else lambda strip: matched(_plain(strip))


def _plain(strip: Image.Image) -> Image.Image:
    return strip.convert("RGB")


def _over_white(strip: Image.Image) -> Image.Image:
    rgba = strip.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _by_profile(image: Image.Image, mode: str) -> Convert | None:
    """Give the conversion from an embedded profile's colours to sRGB; None where it would change nothing."""
    profile = image.info.get("icc_profile")
    if not profile or b"sRGB" in profile[:1024]:
        return None
    transform = (_kept_transform if len(profile) <= _LARGEST_KEPT else _transform)(profile, mode)
    if transform is None:
        return None
    from PIL import ImageCms

    def convert(strip: Image.Image) -> Image.Image:
        try:
            converted = ImageCms.applyTransform(strip, transform)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return strip.convert("RGB")
        return converted if converted is not None else strip.convert("RGB")

    return convert


def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """Build the transform from a profile's colours to sRGB; None for a broken profile, and for sRGB itself."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != mode:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "RGB" and _changes_nothing(transform):
            return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a broken profile is no reason to lose the image
    return transform


# A camera writes one profile into all of its photographs, and building a transform takes as long as decoding one.
_kept_transform = lru_cache(maxsize=16)(_transform)


def _changes_nothing(transform: ImageCmsTransform) -> bool:
    """Whether a transform of RGB leaves every fifth level of each channel, in all combinations, as it is.

    The sRGB profiles of cameras do; applying one to 640x480 pixels takes longer than decoding them.
    """
    import numpy as np
    from PIL import ImageCms

    levels = np.arange(0, 256, 5, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = ImageCms.applyTransform(Image.fromarray(grid), transform)
    return converted is not None and bool((np.asarray(converted) == grid).all())


# Grey of 16 bits, 32 bits and floats


def is_deep(mode: str) -> bool:
    """Whether a mode is grey of more than 8 bits, of which Pillow's own conversion clips all above 255 to white."""
    return mode.startswith("I;16") or mode in ("I", "F")


def _deep_grey(image: Image.Image) -> Convert:
    import numpy as np

    unsigned = _is_unsigned(image)
    low, high = _extremes(image, unsigned)
    black, white = _range(image, low, high)
    scale = 255.0 / (white - black)

    def convert(strip: Image.Image) -> Image.Image:
        values = np.nan_to_num(_values(strip, unsigned), nan=0.0, posinf=high, neginf=low)
        grey = np.clip((values - black) * scale, 0, 255).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")

    return convert


def _range(image: Image.Image, low: float, high: float) -> tuple[float, float]:
    """Give the values that become black and white, by the image's type and its extremes."""
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    if low < 0.0:
        return low, high if high > low else low + 1.0
    if image.mode == "F":
        return 0.0, 1.0 if high <= 1.0 else max(high, 255.0)
    if high <= 255.0:
        return 0.0, 255.0
    if _tag(image, _SAMPLE_FORMAT) == _SIGNED and _tag(image, _BITS) == 16:
        return 0.0, 32767.0
    return 0.0, max(high, 65535.0)


def _extremes(image: Image.Image, unsigned: bool) -> tuple[float, float]:
    """Find the least and the greatest finite value, 0 included; not looked for where the mode alone decides."""
    import numpy as np

    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    low = high = 0.0
    for _, strip in _strips(image):
        values = _values(strip, unsigned)
        finite = np.isfinite(values)
        low = min(low, float(values.min(initial=0.0, where=finite)))
        high = max(high, float(values.max(initial=0.0, where=finite)))
    return low, high


def _values(strip: Image.Image, unsigned: bool) -> NDArray[Any]:
    import numpy as np

    values = np.asarray(strip)
    return (values.view(np.uint32) if unsigned else values).astype(np.float64)


def _is_unsigned(image: Image.Image) -> bool:
    """Whether a TIFF holds unsigned numbers of 32 bits, which Pillow's only such mode takes for signed ones."""
    return image.mode == "I" and _tag(image, _BITS) == 32 and _tag(image, _SAMPLE_FORMAT) in (None, 1)


def _tag(image: Image.Image, tag: int) -> int | None:
    """Read the first number of a TIFF's tag from ``info``, where it survives turning and cropping."""
    found = image.info.get(f"tiff {tag}")
    return found if isinstance(found, int) else None
