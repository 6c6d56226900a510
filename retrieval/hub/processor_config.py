"""The rules of ``preprocessor_config.json``, as :class:`retrieval.decoding.image_rule.ImageRule` applies them.

The rules and the defaults are those of transformers' PIL image processors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from retrieval.decoding.image_rule import ImageRule, Triple
from retrieval.errors import ModelError
from retrieval.hub.config_limits import AGAIN, whole_number

LARGEST = 4096  # pixels a side: four times what published towers take, and little memory

_OPENAI_MEAN, _OPENAI_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
_HALF = [0.5, 0.5, 0.5]
_BILINEAR, _BICUBIC = 2, 3  # Pillow's numbers

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
    "BlipImageProcessor": {
        **_SQUARE,
        "size": {"height": 384, "width": 384},
        "resample": _BICUBIC,
        "image_mean": _OPENAI_MEAN,
        "image_std": _OPENAI_STD,
        "default_to_square": True,
    },
    "SiglipImageProcessor": {**_SQUARE, "resample": _BICUBIC},
    "ViTImageProcessor": {**_SQUARE, "resample": _BILINEAR, "default_to_square": True},
    "DeiTImageProcessor": {
        **_SQUARE,
        "size": {"height": 256, "width": 256},
        "resample": _BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "default_to_square": True,
    },
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
"""Defaults of each of transformers' processors (its class attributes), for what the file leaves out."""


def read_image_rule(config: Mapping[str, Any], default_processor: str, place: str) -> ImageRule:
    """Read the rule that a checkpoint's configuration of its image processor states.

    Args:
        config: ``preprocessor_config.json``, or ``image_processor`` in ``processor_config.json``.
        default_processor: the class to assume where the file names none.
        place: the file, for errors.

    Raises:
        ModelError: the processor is unknown, or its images would have no fixed size.
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
    # Without a size of its own, padding makes the images of a batch as large as the largest: here all are.
    if not facts["do_resize"] or (facts["do_pad"] and facts.get("pad_size") is not None):
        raise ModelError(
            f"{place}: do_resize off or a pad_size gives pictures of another size than size says; use another model"
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
    """Return the processor that a configuration names, without its variant's suffix; empty where it names none."""
    name = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    return name.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")


def read_filter(value: Any, place: str) -> int:
    """Read Pillow's number of a resampling filter.

    Raises:
        ModelError: it is not one.
    """
    return whole_number(value, "resample", place, 0, 5)


def read_triple(value: Any, name: str, place: str) -> Triple:
    """Read three finite numbers, one a channel.

    Raises:
        ModelError: they are something else.
    """
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(map(_is_number, value)):
        raise ModelError(f"{place}: {name} is {value!r}, not three numbers; {AGAIN}")
    return float(value[0]), float(value[1]), float(value[2])


def read_factor(value: Any, place: str) -> float:
    """Read the number that pixels are multiplied with first.

    Raises:
        ModelError: it is not a finite number.
    """
    if not _is_number(value):
        raise ModelError(f"{place}: rescale_factor is {value!r}, not a number; {AGAIN}")
    return float(value)


def read_deviation(value: Any, place: str) -> Triple:
    """Read three standard deviations, none of them 0.

    Raises:
        ModelError: one is 0, or they are something else.
    """
    deviation = read_triple(value, "image_std", place)
    if 0 in deviation:
        raise ModelError(f"{place}: image_std is {value!r}, and nothing can be divided by 0; {AGAIN}")
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
    """Combine rescale, offset, normalisation and EfficientNet's second division to one scale and shift per channel."""
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
