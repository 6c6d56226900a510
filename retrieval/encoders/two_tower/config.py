"""The configuration of a two-tower model: frozen values that are read from and written to ``config.json``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from retrieval.decoding.preparations import Squeeze
from retrieval.errors import ModelError
from retrieval.json_files import read_object

MODEL_TYPE = "vlsearch-two-tower"
CONFIG_BYTES = 2**20

ImageBackbone = Literal["resnet50", "mobilenet_v2", "efficientnet_lite2", "tiny"]
TextBackbone = Literal["bert", "bag"]


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The image tower.

    ``tf_padding`` pads stride-2 convolutions at the bottom as TensorFlow does, for weights trained there
    (their kernels mirrored left-right, so that the width needs no care).

    An image whose sides differ by a factor of up to ``aspect`` is resized whole to the square; a longer one loses its
    ends first. 1 takes the centre square, which leaves out up to a third of a photograph (3:2 and 4:3).

    With ``through`` it is resized to a square of that side first, and from there, bilinearly, to ``size``: as images
    were in training from a cache of that side, because a tower learns their sharpness too.

    With ``kept_from`` the stages from that one on exist twice, and features are those of both: one copy is fine-tuned,
    one stays as it was, because a backbone that is fine-tuned to captions forgets most of the classes that it knew.
    """

    backbone: ImageBackbone = "resnet50"
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    tf_padding: bool = False
    aspect: float = 1.0
    kept_from: int = 0
    through: int = 0

    @property
    def preparation(self) -> Squeeze:
        """The rule by which an image becomes the tower's input."""
        return Squeeze(self.size, self.aspect, self.through)


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text tower: ``bert`` (transformers) or ``bag`` (mean of sub-word vectors, then an MLP).

    A bag's sub-words may go through ``attention_layers`` layers of self-attention first, of ``heads`` heads that are
    ``attention_width`` wide together; without them word order does not count. ``layers`` is BERT's.
    """

    backbone: TextBackbone = "bert"
    vocabulary: int = 8000
    width: int = 256
    hidden: int = 1024
    layers: int = 4
    heads: int = 4
    context: int = 64
    lowercase: bool = True
    attention_layers: int = 0
    attention_width: int = 192


@dataclass(frozen=True, slots=True)
class TwoTowerConfig:
    """Both towers and the space that they share.

    Attributes:
        dimension: of the space.
        image: the image tower.
        text: the text tower.
        image_parts: sizes of parts of an image's vector, in order, with the sum ``dimension``. Each of n parts is
            scaled to the length 1/sqrt(n), so that each part keeps a fixed share of the vector's length. A text's
            vector has unit length as a whole, and its parts have any share. Empty: no parts.
    """

    dimension: int
    image: ImageConfig
    text: TextConfig
    image_parts: tuple[int, ...] = ()

    def to_json(self) -> str:
        """Write ``config.json``, as text."""
        return json.dumps({"model_type": MODEL_TYPE, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    @property
    def least_numbers(self) -> int:
        """Least count of numbers in the weights: those whose size the configuration states."""
        text, width = self.text, self.text.width
        held = text.vocabulary * width + self.dimension * width + 2 * width * text.hidden
        if text.backbone == "bert":
            layer = 4 * width * width + 2 * width * text.hidden
            return held - 2 * width * text.hidden + text.layers * layer + text.context * width
        attention = text.attention_layers * 4 * width * text.attention_width
        return held + attention + (text.context * width if text.attention_layers else 0)

    @classmethod
    def load(cls, path: Path) -> TwoTowerConfig:
        """Read ``config.json``.

        Raises:
            ModelError: it is missing, damaged or of another model.
        """
        try:
            facts = read_object(path, CONFIG_BYTES)
            if facts.get("model_type") != MODEL_TYPE:
                raise ModelError(
                    f"{path} is not the configuration of a two-tower model; give its folder to --model"
                )
            image = dict(facts["image"])
            image["mean"], image["std"] = tuple(image["mean"]), tuple(image["std"])
            parts = tuple(facts.get("image_parts", ()))
            config = cls(facts["dimension"], ImageConfig(**image), TextConfig(**facts["text"]), parts)
            _check(config)
            return config
        except OSError as error:
            raise ModelError(
                f"cannot read {path}: {error.strerror}; give a complete model folder to --model"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is damaged ({error}); copy the model folder again") from error


_RANGES = {
    "dimension": (1, 2**16),
    "size": (8, 4096),
    "kept_from": (0, 64),
    "through": (0, 4096),
    "vocabulary": (2, 2**24),
    "width": (1, 2**16),
    "hidden": (1, 2**18),
    "layers": (1, 256),
    "heads": (1, 256),
    "context": (1, 2**14),
    "attention_layers": (0, 64),
    "attention_width": (1, 2**14),
}
"""Lowest and highest value of each whole number; no published model exceeds them."""


def _check(config: TwoTowerConfig) -> None:
    """Refuse values of another type or out of range; a file may say anything.

    Raises:
        ValueError: says which.
    """
    image, text = config.image, config.text
    values = {"dimension": config.dimension, **asdict(image), **asdict(text)}
    for name, (low, high) in _RANGES.items():
        if type(values[name]) is not int or not low <= values[name] <= high:
            raise ValueError(f"{name} is {values[name]!r}, not a whole number from {low} to {high}")
    for name in ("tf_padding", "lowercase"):
        if type(values[name]) is not bool:
            raise ValueError(f"{name} is {values[name]!r}, neither true nor false")
    for known, name in ((get_args(ImageBackbone), image.backbone), (get_args(TextBackbone), text.backbone)):
        if name not in known:
            raise ValueError(f"backbone {name!r} is none of {', '.join(known)}")
    if text.attention_layers and text.attention_width % text.heads:
        raise ValueError(
            f"attention_width is {text.attention_width}, which is not divisible by {text.heads} heads"
        )
    for triple in (image.mean, image.std):
        if len(triple) != 3 or not all(map(_is_number, triple)):
            raise ValueError(f"{list(triple)!r} are not three numbers")
    if 0 in image.std:
        raise ValueError("std holds a 0, and nothing can be divided by it")
    if not _is_number(image.aspect) or image.aspect < 1:
        raise ValueError(f"aspect is {image.aspect!r}, not a number from 1")
    _check_parts(config.image_parts, config.dimension)


def _check_parts(sizes: tuple[int, ...], dimension: int) -> None:
    whole = all(type(size) is int and size > 0 for size in sizes)
    if sizes and not (whole and sum(sizes) == dimension):
        raise ValueError(
            f"image_parts is {list(sizes)!r}, not whole numbers from 1 with the sum {dimension}, the dimension"
        )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # checked just before
