"""The preparation of most image towers: resize, then centre crop, as transformers does it.

The arithmetic is that of transformers' PIL image processors (``transformers/image_processing_backends.py``, class
``PilBackend``): resize on 8-bit pixels with Pillow's antialiased filters, centre crop, then one affine map per channel,
which the model's side applies. Results equal theirs bit for bit, except for strips whose long side would become more
than 32 times the crop: those are cropped before they are resized, so that a 30000x2 image never becomes one of two
gigabytes. Pillow does its two passes, with 8-bit pixels in between, in the order that is cheaper, so that pixels of
such a strip may differ by a few levels. transformers' torchvision ("fast") processors resize with torch's own kernels
and differ from the PIL ones by a level or two everywhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Triple = tuple[float, float, float]

LONGEST = 32  # times the crop: up to here all is resized, as the library does it (224 pixels: 4.8 MB)
_SUPPORT = 3  # of Pillow's widest filter, Lanczos, in source pixels


@dataclass(frozen=True, slots=True)
class ImageRule:
    """Resize, centre crop, and ``pixel * scale + shift`` per channel.

    Attributes:
        resize: target of the short side, or the exact (height, width).
        resample: Pillow's number of the filter.
        crop: (height, width) of the centre crop; what a small image lacks is filled with black, as the
            library does.
        scale: of 8-bit pixels, per channel.
        shift: added afterwards, per channel.
    """

    resize: int | tuple[int, int]
    resample: int
    crop: tuple[int, int]
    scale: Triple
    shift: Triple

    @property
    def short_side(self) -> int:
        """Pixels that a decoder should deliver at least, where the image has them."""
        return self.resize if isinstance(self.resize, int) else min(self.resize)

    def facts(self) -> dict[str, Any]:
        """Give the rule as JSON values, for an encoder's identity."""
        return asdict(self)

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Resize and crop an image of any mode; (height, width, 3) uint8."""
        rgb = to_rgb(image)
        size = resized_size(rgb.height, rgb.width, self.resize)
        if isinstance(self.resize, int) and max(size) > LONGEST * max(self.crop):
            return _centre_crop(_centre_of_resized(rgb, size, self.crop, self.resample), self.crop)
        return _centre_crop(_resize(rgb, size, self.resample), self.crop)

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Give the part of an image that is left after the crop: left, top, width and height, in pixels."""
        size = resized_size(height, width, self.resize)
        left, across = _kept(width, size[1], self.crop[1])
        top, down = _kept(height, size[0], self.crop[0])
        return left, top, across, down


def _kept(have: int, resized: int, crop: int) -> tuple[int, int]:
    """Along one axis: the first pixel of the original that the crop keeps, and how many it keeps."""
    kept = min(resized, crop)
    return round((resized - kept) // 2 * have / resized), max(1, round(kept * have / resized))


def to_rgb(image: Image) -> Image:
    """Convert an image to RGB, transparency over white (as transformers' ``convert_to_rgb``)."""
    from PIL import Image as pillow

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if "A" not in image.getbands() and image.info.get("transparency") is None:
        return image.convert("RGB")
    overlay = image.convert("RGBA")
    white = pillow.new("RGBA", overlay.size, (255, 255, 255, 255))
    return pillow.alpha_composite(white, overlay).convert("RGB")


def resized_size(height: int, width: int, resize: int | tuple[int, int]) -> tuple[int, int]:
    """Compute (height, width) after the resize; the long side is rounded down (``get_resize_output_image_size``)."""
    if not isinstance(resize, int):
        return resize
    if width <= height:
        return int(resize * height / width), resize
    return resize, int(resize * width / height)


def _resize(image: Image, size: tuple[int, int], resample: int) -> NDArray[np.uint8]:
    import numpy as np
    from PIL.Image import Resampling

    return np.asarray(image.resize((size[1], size[0]), resample=Resampling(resample)))


def _centre_of_resized(
    image: Image, size: tuple[int, int], crop: tuple[int, int], resample: int
) -> NDArray[np.uint8]:
    """Resize an image to ``size`` as far as the centre ``crop`` needs it; the centre, or what there is of it."""
    import numpy as np
    from PIL.Image import Resampling

    left, right, x0, x1, width = _window(image.width, size[1], crop[1])
    top, bottom, y0, y1, height = _window(image.height, size[0], crop[0])
    part = image.crop((left, top, right, bottom))
    return np.asarray(part.resize((width, height), Resampling(resample), box=(x0, y0, x1, y1)))


def _window(have: int, resized: int, crop: int) -> tuple[int, int, float, float, int]:
    """Along one axis: pixels first, last + 1 that the centre needs; the box in them; how many it becomes."""
    kept = min(resized, crop)
    start, scale = (resized - kept) // 2, have / resized
    low, high = start * scale, min((start + kept) * scale, have)
    margin = int(_SUPPORT * max(scale, 1.0)) + 2
    first, last = max(0, int(low) - margin), min(have, int(high) + margin + 1)
    return first, last, low - first, min(high - first, last - first), kept


def _centre_crop(pixels: NDArray[np.uint8], crop: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut out the centre of (h, w, 3) pixels, black where it reaches beyond (transformers' ``center_crop``)."""
    import numpy as np

    out = np.zeros((*crop, 3), np.uint8)
    source, target = [], []
    for have, want in zip(pixels.shape[:2], crop, strict=True):
        kept = min(have, want)
        start = (have - want) // 2 if have >= want else 0
        offset = max(0, want - have + 1) // 2  # the odd line goes above and to the left
        source.append(slice(start, start + kept))
        target.append(slice(offset, offset + kept))
    out[target[0], target[1]] = pixels[source[0], source[1]]
    return out
