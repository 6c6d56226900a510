"""What a family of checkpoints is: the class that runs it, and what its texts and pictures become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from retrieval.decoding.image_rule import ImageRule
from retrieval.encoders.preprocess import read_image_rule, whole_number
from retrieval.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from retrieval.decoding.preparations import Preparation
    from retrieval.encoders.hub.tokens import Tokens

Attention = Literal["causal", "masked", "unmasked"]
"""How a text tower treats padding: behind the pooled token; masked out; as part of the text."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that holds a model, with its JSON files read.

    Attributes:
        folder: absolute.
        config: ``config.json``.
        image_config: ``preprocessor_config.json``, or ``image_processor`` in ``processor_config.json``.
        tokenizer_config: ``tokenizer_config.json``; empty where there is none.
    """

    folder: Path
    config: Mapping[str, Any]
    image_config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]

    def sub(self, tower: Literal["text_config", "vision_config"], key: str, default: Any) -> Any:
        """A value of one tower's configuration; what the file leaves out has the library's default."""
        value = self._tower(tower).get(key)
        return default if value is None else value

    def count(self, tower: Literal["text_config", "vision_config"] | None, key: str, default: int) -> int:
        """A whole number >= 0 of a tower's configuration, or of the model's own (None).

        Raises:
            ModelError: the file has something else there.
        """
        value = (self.config if tower is None else self._tower(tower)).get(key)
        return default if value is None else whole_number(value, key, str(self.folder / "config.json"))

    def _tower(self, tower: str) -> Mapping[str, Any]:
        value = self.config.get(tower) or {}
        if not isinstance(value, Mapping):
            raise ModelError(
                f"{self.folder / 'config.json'}: {tower} is not an object; download the model again"
            )
        return value


class Pictures(Protocol):
    """How a family's pictures become the image tower's inputs."""

    @property
    def short_side(self) -> int:
        """Pixels that a decoder should deliver at least."""
        ...

    @property
    def preparation(self) -> Preparation:
        """What :meth:`prepare` does, as a worker process is told of it."""
        ...

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """One picture as one uint8 array, its shape always the same."""
        ...

    def inputs(self, prepared: Tensor) -> dict[str, Tensor]:
        """Arguments of ``get_image_features`` for n prepared pictures, stacked, on the model's device."""
        ...

    def facts(self) -> dict[str, Any]:
        """The rule as JSON values, for an encoder's identity."""
        ...


@dataclass(frozen=True, slots=True)
class FixedPictures:
    """Pictures of one size: (n, h, w, 3) uint8 to ``pixel_values`` (n, 3, h, w) float32."""

    rule: ImageRule

    @property
    def short_side(self) -> int:
        """See :class:`Pictures`."""
        return self.rule.short_side

    @property
    def preparation(self) -> Preparation:
        """See :class:`Pictures`."""
        return self.rule

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """See :class:`Pictures`."""
        return self.rule.prepare(image)

    def inputs(self, prepared: Tensor) -> dict[str, Tensor]:
        """See :class:`Pictures`."""
        scale, shift = (
            prepared.new_tensor(triple, dtype=_float32()) for triple in (self.rule.scale, self.rule.shift)
        )
        return {"pixel_values": (prepared.to(_float32()) * scale + shift).permute(0, 3, 1, 2).contiguous()}

    def facts(self) -> dict[str, Any]:
        """See :class:`Pictures`."""
        return self.rule.facts()


@dataclass(frozen=True, slots=True)
class Family:
    """One family of checkpoints.

    Attributes:
        name: as it stands in an encoder's identity.
        architecture: class in transformers, with ``get_text_features`` and ``get_image_features``.
        attention: how its text tower treats padding.
        pictures: the image side's rule, from a checkpoint.
        tokens: the text side's rule, from a checkpoint.
        dimension: of the vectors, from a checkpoint.
    """

    name: str
    architecture: str
    attention: Attention
    pictures: Callable[[Checkpoint], Pictures]
    tokens: Callable[[Checkpoint], Tokens]
    dimension: Callable[[Checkpoint], int]


def fixed_pictures(default_processor: str) -> Callable[[Checkpoint], FixedPictures]:
    """The image side of a family whose pictures all have one size."""

    def read(checkpoint: Checkpoint) -> FixedPictures:
        return FixedPictures(
            read_image_rule(checkpoint.image_config, default_processor, str(checkpoint.folder))
        )

    return read


def projection_dim(default: int) -> Callable[[Checkpoint], int]:
    """The width of the projections into the shared space; ``default`` is the library's."""
    return lambda checkpoint: checkpoint.count(None, "projection_dim", default)


def _float32() -> Any:
    import torch

    return torch.float32
