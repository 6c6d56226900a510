"""A picture to the pixels that an image tower sees, by the rules of ``preprocessor_config.json``.

The rules, the defaults and the arithmetic are those of transformers' PIL image processors
(``transformers/image_processing_backends.py``, class ``PilBackend``): resize on 8-bit pixels with Pillow's
antialiased filters, centre crop, then one affine map per channel, which the model's side applies. Results
equal theirs bit for bit, except for strips whose long side would become more than 32 times the crop: those are
cropped before they are resized, so that a 30000x2 picture never becomes one of two gigabytes. Pillow does its
two passes, with 8-bit pixels in between, in the order that is cheaper, so that pixels of such a strip may
differ by a few levels. transformers' torchvision ("fast") processors resize with torch's own kernels and differ
from the PIL ones by a level or two everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Triple = tuple[float, float, float]

LONGEST = 32  # times the crop: up to here all is resized, as the library does it (224 pixels: 4.8 MB)

LARGEST = 4096  # pixels of a side: four times what published towers see, and no memory exhausted
_AGAIN = "download the model again, or use another one"

_OPENAI_MEAN, _OPENAI_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
_HALF = [0.5, 0.5, 0.5]
_BILINEAR, _BICUBIC = 2, 3  # Pillow's numbers
_SUPPORT = 3  # of Pillow's widest filter, Lanczos, in source pixels

_CLIP: Mapping[str, Any] = {
    "size": {"shortest_edge": 224},
    "resample": _BICUBIC,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "image_mean": _OPENAI_MEAN,
    "image_std": _OPENAI_STD,
}
_SQUARE: Mapping[str, Any] = {
    "size": {"height": 224, "width": 224},
    "do_center_crop": False,
    "image_mean": _HALF,
    "image_std": _HALF,
}
PROCESSORS: Mapping[str, Mapping[str, Any]] = {
    "CLIPImageProcessor": _CLIP,
    "ChineseCLIPImageProcessor": _CLIP,
    "SiglipImageProcessor": {**_SQUARE, "resample": _BICUBIC},
    "ViTImageProcessor": {**_SQUARE, "resample": _BILINEAR, "default_to_square": True},
    "EfficientNetImageProcessor": {
        **_SQUARE,
        "size": {"height": 346, "width": 346},
        "resample": _BICUBIC,
        "crop_size": {"height": 289, "width": 289},
        "default_to_square": True,
        "rescale_offset": False,
        "include_top": True,
    },
}
"""What each of transformers' processors takes for granted where the file is silent (its class attributes)."""


@dataclass(frozen=True, slots=True)
class ImageRule:
    """Resize, centre crop, and ``pixel * scale + shift`` per channel.

    Attributes:
        resize: target of the short side, or the exact (height, width).
        resample: Pillow's number of the filter.
        crop: (height, width) of the centre crop; what a small picture lacks is filled with black, as the
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
        """Pixels that a decoder should deliver at least, where the picture has them."""
        return self.resize if isinstance(self.resize, int) else min(self.resize)

    def facts(self) -> dict[str, Any]:
        """The rule as JSON values, for an encoder's identity."""
        return asdict(self)

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """A picture of any mode as (height, width, 3) uint8, resized and cropped."""
        rgb = to_rgb(image)
        size = resized_size(rgb.height, rgb.width, self.resize)
        if isinstance(self.resize, int) and max(size) > LONGEST * max(self.crop):
            return _centre_crop(_centre_of_resized(rgb, size, self.crop, self.resample), self.crop)
        return _centre_crop(_resize(rgb, size, self.resample), self.crop)


def read_image_rule(config: Mapping[str, Any], default_processor: str, place: str) -> ImageRule:
    """The rule that a checkpoint's configuration of its image processor states.

    Args:
        config: ``preprocessor_config.json``, or ``image_processor`` in ``processor_config.json``.
        default_processor: the class to assume where the file names none.
        place: the file, for errors.

    Raises:
        ModelError: the processor is unknown, or its pictures would have no fixed size.
    """
    name = processor_name(config) or default_processor
    if name not in PROCESSORS:
        known = ", ".join(sorted(PROCESSORS))
        raise ModelError(
            f"{place}: image processor {name} is not one that vlsearch knows ({known}); use another model"
        )
    facts = {
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_pad": False,
        "rescale_factor": 1 / 255,
    }
    facts |= dict(PROCESSORS[name]) | {key: value for key, value in config.items() if value is not None}
    if not facts["do_resize"] or facts["do_pad"]:
        raise ModelError(
            f"{place}: do_resize off or do_pad on gives pictures of no fixed size; use another model"
        )
    resize = _size(facts["size"], bool(facts.get("default_to_square", False)), place)
    crop = _size(facts["crop_size"], True, place) if facts["do_center_crop"] else resize
    if isinstance(crop, int):
        raise ModelError(
            f"{place}: a resize by the short side without a centre crop gives pictures of no fixed size"
        )
    scale, shift = _affine(facts, place)
    return ImageRule(resize, read_filter(facts["resample"], place), crop, scale, shift)


def processor_name(config: Mapping[str, Any]) -> str:
    """The processor that a configuration names, without its variant's ending; empty where it names none."""
    name = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    return name.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")


def to_rgb(image: Image) -> Image:
    """A picture in RGB, transparency laid over white (as transformers' ``convert_to_rgb``)."""
    from PIL import Image as pillow

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if "A" not in image.getbands() and image.info.get("transparency") is None:
        return image.convert("RGB")
    overlay = image.convert("RGBA")
    white = pillow.new("RGBA", overlay.size, (255, 255, 255, 255))
    return pillow.alpha_composite(white, overlay).convert("RGB")


def resized_size(height: int, width: int, resize: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) after the resize; the long side is rounded down (``get_resize_output_image_size``)."""
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
    """The centre ``crop`` (or what there is of it) of ``image`` resized to ``size``, and nothing else of it."""
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
    """The centre of (h, w, 3) pixels, black where it reaches beyond (transformers' ``center_crop``)."""
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


def whole_number(value: Any, name: str, place: str, low: int = 0, high: int = 2**40) -> int:
    """A whole number that a configuration states.

    Raises:
        ModelError: it is something else, or outside of [low, high].
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ModelError(f"{place}: {name} is {value!r}, not a whole number from {low} to {high}; {_AGAIN}")
    return value


def read_filter(value: Any, place: str) -> int:
    """Pillow's number of a resampling filter.

    Raises:
        ModelError: it is not one.
    """
    return whole_number(value, "resample", place, 0, 5)


def read_triple(value: Any, name: str, place: str) -> Triple:
    """Three finite numbers, one a channel.

    Raises:
        ModelError: they are something else.
    """
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(map(_is_number, value)):
        raise ModelError(f"{place}: {name} is {value!r}, not three numbers; {_AGAIN}")
    return float(value[0]), float(value[1]), float(value[2])


def read_factor(value: Any, place: str) -> float:
    """The number that pixels are multiplied with first.

    Raises:
        ModelError: it is no finite number.
    """
    if not _is_number(value):
        raise ModelError(f"{place}: rescale_factor is {value!r}, not a number; {_AGAIN}")
    return float(value)


def read_deviation(value: Any, place: str) -> Triple:
    """Three deviations that can be divided by.

    Raises:
        ModelError: one is 0, or they are something else.
    """
    deviation = read_triple(value, "image_std", place)
    if 0 in deviation:
        raise ModelError(f"{place}: image_std is {value!r}, and nothing can be divided by 0; {_AGAIN}")
    return deviation


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _side(value: Any, place: str) -> int:
    return whole_number(value, "a side of the picture", place, 1, LARGEST)


def _size(value: Any, square: bool, place: str) -> int | tuple[int, int]:
    if isinstance(value, int):
        side = _side(value, place)
        return (side, side) if square else side
    if isinstance(value, Mapping):
        keys = {key for key, side in value.items() if side is not None}
        if keys == {"height", "width"}:
            return _side(value["height"], place), _side(value["width"], place)
        if keys == {"shortest_edge"}:
            return _side(value["shortest_edge"], place)
    raise ModelError(
        f"{place}: size {value!r} is neither a short side nor height and width; use another model"
    )


def _affine(facts: Mapping[str, Any], place: str) -> tuple[Triple, Triple]:
    """Rescale, offset, normalise and EfficientNet's second division as one scale and shift per channel."""
    factor = read_factor(facts["rescale_factor"], place) if facts["do_rescale"] else 1.0
    means, deviations = (
        read_triple(facts["image_mean"], "image_mean", place),
        read_deviation(facts["image_std"], place),
    )
    offset = -1.0 if facts.get("rescale_offset") else 0.0
    scale, shift = [], []
    for mean, std in zip(means, deviations, strict=True):
        a, b = factor, offset
        if facts["do_normalize"]:
            a, b = a / std, (b - mean) / std
        if facts.get("include_top"):
            a, b = a / std, b / std
        scale.append(a)
        shift.append(b)
    return (scale[0], scale[1], scale[2]), (shift[0], shift[1], shift[2])
