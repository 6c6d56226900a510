"""The image tower of a two-tower model as plain layers with numpy weights, for runtimes other than torch.

Batch norms are folded into the convolutions before them, as :func:`retrieval.encoders.two_tower.backbones.fold_norms`
does it, in float64. Which weights there must be, of what shape, is written here and not read from the file: weights
that the torch module would refuse are refused here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.config import ImageConfig, TwoTowerConfig

Array = NDArray[np.float32]
Activation = Literal["relu", "relu6"]
Range = tuple[float, float]
"""The least and the largest of a layer's activations: at most 0, and more than 0."""
FLOAT32_BLOCKS = 2
"""Blocks at the start that are computed in float32 in every precision: of what bfloat16 takes from ``mini``'s rows
(1.1e-3 of the cosine) three quarters are lost in the stem and the first block, for a twentieth of the time; a third
block would take three. In int8 they lose more than half of 4.6e-3, for a seventh of the time."""


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution with its bias and, if there is one, the activation behind it.

    Attributes:
        weight: (channels out, channels in a group, k, k).
        bias: (channels out,).
        stride: of both axes.
        groups: channel groups: 1, or one a channel.
        before: rows and columns of zeros at the top and at the left.
        after: at the bottom and at the right.
        activation: of its output.
    """

    weight: Array
    bias: Array
    stride: int
    groups: int
    before: tuple[int, int]
    after: tuple[int, int]
    activation: Activation | None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Convolutions one behind another.

    Attributes:
        convolutions: each takes what the one before it gives.
        residual: their input is added to their output.
        ranges: of each convolution's input and, with ``residual``, of the output that is added to; none where nothing
            is rounded to bytes.
    """

    convolutions: tuple[Convolution, ...]
    residual: bool = False
    ranges: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ImageTower:
    """A whole image tower: uint8 images to unit rows.

    Pixels times ``scale`` plus ``shift`` a channel; ``shared`` blocks; then each of the ``branches``, whose means over
    the image are joined; then a linear map to the vector, whose ``parts`` are brought to one length.

    Attributes:
        size: side of an image, in pixels.
        scale: (3,) of 8-bit pixels.
        shift: (3,) added afterwards.
        shared: blocks that all branches have in common.
        branches: one, or two where stages are kept.
        weight: (dimension, features) of the linear map.
        bias: (dimension,).
        parts: sizes of the vector's parts; one is the whole.
    """

    size: int
    scale: Array
    shift: Array
    shared: tuple[Block, ...]
    branches: tuple[tuple[Block, ...], ...]
    weight: Array
    bias: Array
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Stage:
    """Inverted residual blocks (Sandler et al., CVPR 2018); the first has the stride, the others have 1."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


@dataclass(frozen=True, slots=True)
class _Backbone:
    """A backbone of inverted residuals.

    Attributes:
        stem: channels of the first convolution, 3x3 with stride 2.
        stages: all blocks.
        head: channels of the last convolution, 1x1.
        epsilon: of the batch norms.
        nested: stages hold numbered blocks, as in torchvision's EfficientNet; otherwise blocks are numbered through.
    """

    stem: int
    stages: tuple[_Stage, ...]
    head: int
    epsilon: float
    nested: bool


_BACKBONES: Mapping[str, _Backbone] = {
    "mobilenet_v2": _Backbone(
        32,
        (
            _Stage(1, 3, 1, 16, 1),
            _Stage(6, 3, 2, 24, 2),
            _Stage(6, 3, 2, 32, 3),
            _Stage(6, 3, 2, 64, 4),
            _Stage(6, 3, 1, 96, 3),
            _Stage(6, 3, 2, 160, 3),
            _Stage(6, 3, 1, 320, 1),
        ),
        1280,
        1e-5,
        nested=False,
    ),
    "efficientnet_lite2": _Backbone(
        32,
        (
            _Stage(1, 3, 1, 16, 1),
            _Stage(6, 3, 2, 24, 3),
            _Stage(6, 5, 2, 48, 3),
            _Stage(6, 3, 2, 88, 4),
            _Stage(6, 5, 1, 120, 4),
            _Stage(6, 5, 2, 208, 5),
            _Stage(6, 3, 1, 352, 1),
        ),
        1280,
        1e-3,
        nested=True,
    ),
}


def has_layers(config: ImageConfig) -> bool:
    """Whether :func:`read_image_tower` knows the backbone."""
    return config.backbone in _BACKBONES


def read_image_tower(config: TwoTowerConfig, weights: Mapping[str, Array]) -> ImageTower:
    """Take an image tower's layers from a model's weights.

    Args:
        config: its backbone is one of those that :func:`has_layers` knows.
        weights: float32, by the names of the torch modules; those beginning with ``image`` must all be used.

    Raises:
        KeyError: a weight is missing.
        ValueError: one has another shape, or there are more.
    """
    layers = ImageLayers(config, weights)
    shared = tuple(layers.shared())
    branches = tuple(tuple(branch) for branch in layers.branches())
    projection, bias = layers.projection()
    layers.check_all_used()
    scale, shift = layers.scale_and_shift
    return ImageTower(config.image.size, scale, shift, shared, branches, projection, bias, layers.parts)


class ImageLayers:
    """The layers of an image tower, decoded one after another as they are asked for, in their order.

    Args:
        config: its backbone is one of those that :func:`has_layers` knows.
        weights: as for :func:`read_image_tower`.

    Raises:
        ValueError: stages are kept from one on that is not there.
    """

    def __init__(self, config: TwoTowerConfig, weights: Mapping[str, Array]) -> None:
        self._config, self._reader = config, _Reader(config, weights)
        self._kept_from = config.image.kept_from
        self.parts: tuple[int, ...] = config.image_parts or (config.dimension,)
        count = len(self._reader.names)
        if self._kept_from and not 0 < self._kept_from < count:
            raise ValueError(f"the image backbone has {count} stages, and kept_from is {self._kept_from}")

    @property
    def scale_and_shift(self) -> tuple[Array, Array]:
        """Give what 8-bit pixels are multiplied by and what is added then, (3,) each."""
        mean, std = (np.array(one, np.float64) for one in (self._config.image.mean, self._config.image.std))
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def shared(self) -> Iterator[Block]:
        """Decode the blocks that all branches have in common."""
        reader = self._reader
        yield from reader.stages("features", 0, self._kept_from, (self._config.image.size, 3))
        self._height_and_channels = reader.end

    def branches(self) -> Iterator[Iterator[Block]]:
        """Decode the blocks of each branch; once the shared ones are, and each branch before the next."""
        features = 0
        for name in ("features", "kept") if self._kept_from else ("features",):
            yield self._reader.stages(
                name, self._kept_from, len(self._reader.names), self._height_and_channels
            )
            features += self._reader.end[1]
        self._features = features

    def projection(self) -> tuple[Array, Array]:
        """Decode the linear map, (dimension, features), and what is added, (dimension,); once the branches are."""
        dimension = self._config.dimension
        return (
            self._reader.take("image_projection.weight", dimension, self._features),
            self._reader.take("image_projection.bias", dimension),
        )

    def check_all_used(self) -> None:
        """Refuse weights of which some were not used.

        Raises:
            ValueError: there are such.
        """
        self._reader.check_all_used()


class _Reader:
    """Takes weights one by one and notes which were used."""

    def __init__(self, config: TwoTowerConfig, weights: Mapping[str, Array]) -> None:
        self._weights, self._tf_padding = weights, config.image.tf_padding
        self._backbone = _BACKBONES[config.image.backbone]
        self._used: set[str] = set()
        self.names = self._stage_names()
        self.end = (0, 0)

    def take(self, name: str, *shape: int) -> Array:
        value = self._weights[name]
        if value.shape != shape:
            raise ValueError(f"{name} has the shape {value.shape}, not {shape}")
        self._used.add(name)
        return value

    def check_all_used(self) -> None:
        more = {name for name in self._weights if name.startswith("image")} - self._used
        if more:
            raise ValueError(f"{min(more)} is not part of the model")

    def stages(self, copy: str, start: int, stop: int, given: tuple[int, int]) -> Iterator[Block]:
        """Read the top-level stages [start, stop) of a copy; ``end`` is (height, channels) behind them then."""
        height, channels = given
        for number in range(start, stop):
            for prefix, stage, is_first in self.names[number]:
                name = f"image.{copy}.{number}{prefix}"
                if stage is None:
                    is_stem = number == 0
                    out = self._backbone.stem if is_stem else self._backbone.head
                    sizes = (3, 2) if is_stem else (1, 1)
                    yield Block((self._convolution(name, "0", "1", channels, out, *sizes, 1, height),))
                    height, channels = (-(-height // 2) if is_stem else height), out
                else:
                    block, height = self._inverted(name, stage, is_first, channels, height)
                    yield block
                    channels = stage.channels
        self.end = height, channels

    def _stage_names(self) -> list[list[tuple[str, _Stage | None, bool]]]:
        """List, for each top-level stage, its blocks: (end of the name, stage or None for a convolution, is first)."""
        found: list[list[tuple[str, _Stage | None, bool]]] = [[("", None, True)]]
        for stage in self._backbone.stages:
            if self._backbone.nested:
                found.append([(f".{block}", stage, block == 0) for block in range(stage.blocks)])
            else:
                found += [[("", stage, block == 0)] for block in range(stage.blocks)]
        return [*found, [("", None, True)]]

    def _inverted(
        self, name: str, stage: _Stage, is_first: bool, channels: int, height: int
    ) -> tuple[Block, int]:
        """Read an inverted residual: expansion, depthwise convolution, projection without activation."""
        inner = channels * stage.expansion
        stride = stage.stride if is_first else 1
        # EfficientNet has a squeeze-excitation between the last two, which Lite leaves empty.
        name = f"{name}.block" if self._backbone.nested else f"{name}.conv"
        found, place = [], 0
        if stage.expansion != 1:
            found.append(self._convolution(f"{name}.0", "0", "1", channels, inner, 1, 1, 1, height))
            place = 1
        depthwise = self._convolution(
            f"{name}.{place}", "0", "1", inner, inner, stage.kernel, stride, inner, height
        )
        height = -(-height // stride)
        nested = (f"{name}.{place + 2}", "0", "1")
        last = nested if self._backbone.nested else (name, str(place + 1), str(place + 2))
        project = self._convolution(*last, inner, stage.channels, 1, 1, 1, height, None)
        residual = stride == 1 and channels == stage.channels
        return Block((*found, depthwise, project), residual), height

    def _convolution(
        self,
        name: str,
        convolution: str,
        norm: str,
        channels: int,
        out: int,
        kernel: int,
        stride: int,
        groups: int,
        height: int,
        activation: Activation | None = "relu6",
    ) -> Convolution:
        """Read a convolution without a bias and the batch norm behind it, folded into one."""
        weight = self.take(f"{name}.{convolution}.weight", out, channels // groups, kernel, kernel)
        gamma, beta, mean, variance = (
            self.take(f"{name}.{norm}.{part}", out).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        self.take(f"{name}.{norm}.num_batches_tracked")
        factor = gamma / np.sqrt(variance + self._backbone.epsilon)
        top = bottom = side = (kernel - 1) // 2
        if self._tf_padding and stride == 2:
            total = kernel - 2 if height % 2 == 0 else kernel - 1
            top, bottom = total // 2, total - total // 2
        return Convolution(
            (weight * factor[:, None, None, None]).astype(np.float32),
            (beta - mean * factor).astype(np.float32),
            stride,
            groups,
            (top, side),
            (bottom, side),
            activation,
        )
