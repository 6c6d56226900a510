"""What becomes of an image before a model sees it: small frozen rules, which a worker process is told of as JSON.

A rule is pure: an upright RGB image in, one uint8 array out.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.decoding.image_rule import ImageRule, to_rgb
from retrieval.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_LONGEST_CROPPED = 2**16  # pixels: as far as a decoder is asked to go for a small rectangle
_MOST_WHOLE = 32_000_000  # pixels: what is handed over whole must fit into the memory that is shared


class Preparation(Protocol):
    """A rule; its fields are JSON values and tuples of them."""

    @property
    def short_side(self) -> int:
        """Pixels that a decoder should deliver at least, where the image has them."""
        ...

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """An upright RGB image as one array."""
        ...


@dataclass(frozen=True, slots=True)
class Patches:
    """An image in its own shape, as patches (SigLIP 2 NaFlex; :mod:`retrieval.encoders.families.siglip2`).

    Attributes:
        patch: side of a patch, in pixels.
        patches: most patches of an image.
        resample: Pillow's number of the filter.
    """

    patch: int
    patches: int
    resample: int

    @property
    def short_side(self) -> int:
        """The side of a square image of that many patches."""
        return int(math.sqrt(self.patches)) * self.patch

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """One image as (patches + 1, patch * patch * 3) uint8; the last row holds the grid."""
        import numpy as np
        from PIL.Image import Resampling

        rgb = to_rgb(image)
        height, width = patch_grid(rgb.height, rgb.width, self.patch, self.patches)
        if height * width > self.patches:
            raise ImageError(
                f"a picture of {rgb.width}x{rgb.height} pixels does not fit into {self.patches} patches"
            )
        side = self.patch
        resized = np.asarray(rgb.resize((width * side, height * side), resample=Resampling(self.resample)))
        cut = resized.reshape(height, side, width, side, 3).transpose(0, 2, 1, 3, 4)
        out = np.zeros((self.patches + 1, side * side * 3), np.uint8)
        out[: height * width] = cut.reshape(height * width, -1)
        out[-1, :4] = np.array([height, width], "<u2").view(np.uint8)
        return out


def patch_grid(height: int, width: int, patch: int, patches: int) -> tuple[int, int]:
    """(rows, columns) of patches: the most, by bisection of the scale to 1e-5, that ``patches`` allows."""
    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        scale = (low + high) / 2
        rows, columns = _sides(scale, height, width, patch)
        low, high = (scale, high) if rows * columns <= patches else (low, scale)
    return _sides(low, height, width, patch)


def _sides(scale: float, height: int, width: int, patch: int) -> tuple[int, int]:
    return max(1, math.ceil(height * scale / patch)), max(1, math.ceil(width * scale / patch))


@dataclass(frozen=True, slots=True)
class Squeeze:
    """An image squeezed into a square, its middle at most ``aspect`` times as long as it is wide (two-tower models).

    Attributes:
        size: side of the square.
        aspect: >= 1; what is longer loses its ends first, so that a strip is never enlarged.
        through: a side that it is squeezed to first, and from there bilinearly to ``size``; 0 for none.
    """

    size: int
    aspect: float
    through: int

    @property
    def short_side(self) -> int:
        """The side of the square."""
        return self.size

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare an image of any mode as (size, size, 3) uint8 RGB."""
        import numpy as np
        from PIL.Image import Resampling

        part = middle(image, self._longest(*image.size))
        # Pillow's filters widen with the reduction, which is what keeps them free of aliases.
        side = self.through or self.size
        square = part.resize((side, side), Resampling.BICUBIC)
        if side != self.size:
            square = square.resize((self.size, self.size), Resampling.BILINEAR)
        return np.asarray(square)

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Give the part of an image that is squeezed: left, top, width and height, in pixels."""
        return middle_box(width, height, self._longest(width, height))

    def _longest(self, width: int, height: int) -> int:
        return round(min(width, height) * self.aspect)


@dataclass(frozen=True, slots=True)
class Shrink:
    """An image with its short side at most ``side``, never enlarged, its middle at most ``aspect`` times as long."""

    side: int
    aspect: float

    @property
    def short_side(self) -> int:
        """The side."""
        return self.side

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare an image of any mode as (height, width, 3) uint8 RGB."""
        import numpy as np
        from PIL.Image import Resampling

        part = middle(image, int(min(image.size) * self.aspect))
        scale = min(1.0, self.side / min(part.size))
        size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
        return np.asarray(part.resize(size, Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class Fit:
    """A whole image within a square of ``side`` pixels, never enlarged."""

    side: int

    @property
    def short_side(self) -> int:
        """The side."""
        return self.side

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare an RGB image as (height, width, 3) uint8."""
        import numpy as np
        from PIL.Image import Resampling

        scale = min(1.0, self.side / max(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return np.asarray(to_rgb(image).resize(size, Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class Squash:
    """A whole image squeezed to a square of ``side`` pixels, whatever its shape."""

    side: int

    @property
    def short_side(self) -> int:
        """The side."""
        return self.side

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare an image of any mode as (side, side, 3) uint8 RGB."""
        import numpy as np
        from PIL.Image import Resampling

        return np.asarray(to_rgb(image).resize((self.side, self.side), Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class Whole:
    """The image as it was decoded, for an encoder that prepares it itself.

    One of more than 32 megapixels is first reduced by a whole number, its short side still twice ``short_side``.
    """

    short_side: int

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare an RGB image as (height, width, 3) uint8."""
        import numpy as np

        factor = 1
        while image.width * image.height > _MOST_WHOLE * factor * factor:
            factor += 1
        factor = min(factor, max(1, min(image.size) // (2 * self.short_side)))
        return np.asarray(image if factor == 1 else image.reduce(factor))


@dataclass(frozen=True, slots=True)
class Cropped:
    """A rectangle of an image, by another rule.

    Attributes:
        rule: the other one, as :func:`to_json` writes it.
        left: like the others a share, in [0, 1], of the upright image's width or height, because a decoder may deliver
            it smaller than it is.
        top: the upper edge.
        width: above 0; at least one pixel is taken.
        height: likewise.
    """

    rule: str
    left: float
    top: float
    width: float
    height: float

    @property
    def short_side(self) -> int:
        """What makes the rectangle as large as the other rule needs it."""
        side = from_json(self.rule).short_side / max(min(self.width, self.height), 1e-3)
        return math.ceil(min(side, _LONGEST_CROPPED))

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare the rectangle of an image of any mode."""
        return from_json(self.rule).prepare(
            rectangle_of(image, (self.left, self.top, self.width, self.height))
        )


@dataclass(frozen=True, slots=True)
class CropGrid:
    """Overlapping crops of an image, ``steps`` each way, by another rule that gives arrays of one shape.

    Attributes:
        rule: the other one, as :func:`to_json` writes it.
        steps: crops a side, >= 2.
        share: sides of a crop against the image's, in (0, 1).
    """

    rule: str
    steps: int
    share: float

    @property
    def short_side(self) -> int:
        """What makes a crop as large as the other rule needs it."""
        return math.ceil(min(from_json(self.rule).short_side / self.share, _LONGEST_CROPPED))

    def rectangles(self) -> list[tuple[float, float, float, float]]:
        """Give left, top, width and height of each crop, row by row, in shares of the image's."""
        starts = [(1 - self.share) * step / (self.steps - 1) for step in range(self.steps)]
        return [(left, top, self.share, self.share) for top in starts for left in starts]

    def crops(self, image: Image) -> list[Image]:
        """Cut the crops out of an image."""
        return [rectangle_of(image, rectangle) for rectangle in self.rectangles()]

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare the crops of an image of any mode, stacked."""
        import numpy as np

        rule = from_json(self.rule)
        return np.stack([rule.prepare(crop) for crop in self.crops(image)])


_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (ImageRule, Patches, Squeeze, Shrink, Fit, Squash, Whole, Cropped, CropGrid)
}


def rectangle_of(image: Image, shares: tuple[float, float, float, float]) -> Image:
    """Cut a rectangle out of an image, at least one pixel of it; shares as :class:`Cropped` has them."""
    across, down, width, height = shares
    left = min(int(across * image.width), image.width - 1)
    top = min(int(down * image.height), image.height - 1)
    right = min(image.width, max(left + 1, round((across + width) * image.width)))
    bottom = min(image.height, max(top + 1, round((down + height) * image.height)))
    return image.crop((left, top, right, bottom))


def to_json(preparation: Preparation) -> str:
    """Write a rule as JSON: its kind and its fields."""
    return _to_json(preparation)  # type: ignore[arg-type]  # the rules are frozen, which a Protocol cannot say


@lru_cache(8)  # a run asks for one rule all the time
def _to_json(preparation: Preparation) -> str:
    return json.dumps([type(preparation).__name__, asdict(preparation)])  # type: ignore[call-overload]


def from_json(text: str) -> Preparation:
    """Read the rule that :func:`to_json` wrote."""
    kind, fields = json.loads(text)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    preparation: Preparation = _KINDS[kind](**values)
    return preparation


def is_preparation(found: object) -> bool:
    """Whether a worker process knows this rule."""
    return type(found) in _KINDS.values()


def middle(image: Image, longest: int) -> Image:
    """Crop an image to its middle, at most ``longest`` pixels a side, and convert it to RGB."""
    left, top, across, down = middle_box(*image.size, longest)
    if (across, down) != image.size:
        image = image.crop((left, top, left + across, top + down))
    return image if image.mode == "RGB" else image.convert("RGB")


def middle_box(width: int, height: int, longest: int) -> tuple[int, int, int, int]:
    """Give the middle of an image, at most ``longest`` pixels a side: left, top, width and height."""
    across, down = min(width, longest), min(height, longest)
    return (width - across) // 2, (height - down) // 2, across, down
