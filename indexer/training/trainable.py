"""The interface of a model in training; the two-tower model and hub checkpoints implement it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from indexer.training.schedule import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor, nn

    from retrieval.decoding.preparations import Preparation


@dataclass(frozen=True, slots=True)
class Rates:
    """Peak learning rates that a kind of model starts from, where the recipe names none."""

    image: float
    text: float
    head: float


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Properties of a model before training.

    Attributes:
        name: what training starts from, for records and model cards.
        dimension: dimension of the shared space.
        image_size: short side, in pixels, that the image tower sees.
        sees_whole: images are squeezed into the tower's shape, or keep theirs; else their centre is cut out.
        rule: of :meth:`Trainable.prepare`, in words that change when it does.
        rates: see :class:`Rates`.
        log_scale: natural logarithm of 1/temperature.
        bias: of the sigmoid loss; None where the model was not trained with it.
    """

    name: str
    dimension: int
    image_size: int
    sees_whole: bool
    rule: str
    rates: Rates
    log_scale: float
    bias: float | None


class Trainable(Protocol):
    """A dual encoder whose weights can be changed."""

    @property
    def facts(self) -> ModelFacts:
        """Properties of the model before training."""
        ...

    @property
    def module(self) -> nn.Module:
        """All parameters that may be trained, on the device of the model; its temperature is not used from here."""
        ...

    def part_of(self, name: str) -> Part | None:
        """Return the part that a parameter or a module of :attr:`module` belongs to; None if it is never trained."""
        ...

    @property
    def preparation(self) -> Preparation:
        """The rule that :meth:`prepare` applies; worker processes apply it elsewhere."""
        ...

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """Prepare an image as the tower takes it, one array of one shape; pure, safe in many threads at once."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize each text, special tokens included, cut at the context length."""
        ...

    def encode_images(self, prepared: Tensor) -> Tensor:
        """Encode prepared images, (B, ...) uint8 on any device, to unit rows, (B, D) float32; keeps the graph."""
        ...

    def encode_tokens(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Encode token ids to unit rows, (B, D) float32; keeps the graph."""
        ...

    def save(self, folder: Path, log_scale: float, bias: float | None) -> None:
        """Write a model folder that ``load_encoder`` takes; ``folder`` is there and empty."""
        ...
