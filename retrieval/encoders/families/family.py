"""A family of hub checkpoints: the class of transformers that runs it, its image inputs and its tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from retrieval.decoding.image_rule import ImageRule
from retrieval.hub.processor_config import read_image_rule

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.decoding.preparations import Preparation
    from retrieval.encoders.families.tokens import Tokens
    from retrieval.hub.checkpoint import Checkpoint

Attention = Literal["causal", "masked", "unmasked"]
"""How a text tower treats padding: unseen by the pooled token before it; masked out; attended to like text."""


class ImageInputs(Protocol):
    """How a family's images become the arguments of its image tower."""

    @property
    def preparation(self) -> Preparation:
        """The rule that makes one uint8 array of an image, its shape always the same."""
        ...

    def inputs(self, prepared: Tensor) -> dict[str, Tensor]:
        """Compute the arguments of ``get_image_features`` for n prepared images, stacked, on the model's device."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return the rule as JSON values, for an encoder's identity."""
        ...


@dataclass(frozen=True, slots=True)
class FixedSizeInputs:
    """Images of one size: (n, h, w, 3) uint8 to ``pixel_values`` (n, 3, h, w) float32."""

    rule: ImageRule

    @property
    def preparation(self) -> Preparation:
        """See :class:`ImageInputs`."""
        return self.rule

    def inputs(self, prepared: Tensor) -> dict[str, Tensor]:
        """See :class:`ImageInputs`."""
        scale, shift = (
            prepared.new_tensor(triple, dtype=_float32()) for triple in (self.rule.scale, self.rule.shift)
        )
        return {"pixel_values": (prepared.to(_float32()) * scale + shift).permute(0, 3, 1, 2).contiguous()}

    def facts(self) -> dict[str, Any]:
        """See :class:`ImageInputs`."""
        return self.rule.facts()


@dataclass(frozen=True, slots=True)
class Family:
    """One family of checkpoints.

    Attributes:
        name: as it stands in an encoder's identity.
        architecture: class in transformers, with ``get_text_features`` and ``get_image_features``.
        attention: how its text tower treats padding.
        images: reads the image side's rule from a checkpoint.
        tokens: reads the text side's rule from a checkpoint.
        dimension: reads the length of the vectors from a checkpoint.
    """

    name: str
    architecture: str
    attention: Attention
    images: Callable[[Checkpoint], ImageInputs]
    tokens: Callable[[Checkpoint], Tokens]
    dimension: Callable[[Checkpoint], int]


def fixed_size_images(default_processor: str) -> Callable[[Checkpoint], FixedSizeInputs]:
    """Make the reader of the image side of a family whose images all have one size."""

    def read(checkpoint: Checkpoint) -> FixedSizeInputs:
        place = str(checkpoint.folder)
        return FixedSizeInputs(read_image_rule(checkpoint.image_config, default_processor, place))

    return read


def projection_dim(default: int) -> Callable[[Checkpoint], int]:
    """Make the reader of the projections' width; ``default`` is the library's."""
    return lambda checkpoint: checkpoint.count(None, "projection_dim", default)


def _float32() -> Any:
    import torch

    return torch.float32
