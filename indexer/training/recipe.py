"""The settings of a run that decide its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from indexer.training.augment import Augmentation
from indexer.training.ranges import SMALLEST, check_choice, check_ranges
from retrieval.errors import UsageError

Loss = Literal["infonce", "sigmoid", "triplet", "distillation"]
"""What pulls images and texts together; ``distillation`` learns from a teacher's rows alone."""

Norms = Literal["stored", "batch"]
"""Whose statistics batch norms use while they learn."""

_RANGES = {
    "epochs": (1, math.inf),
    "steps": (1, math.inf),
    "batch_size": (2, math.inf),
    "chunk_size": (1, math.inf),
    "captions": (1, math.inf),
    "margin": (0, math.inf),
    "distil_weight": (0, math.inf),
    "image_rate": (0, math.inf),
    "text_rate": (0, math.inf),
    "head_rate": (0, math.inf),
    "scale_rate": (0, math.inf),
    "warmup": (0, 1),
    "weight_decay": (0, math.inf),
    "clip": (SMALLEST, math.inf),
    "locked_image_epochs": (0, math.inf),
    "locked_text_epochs": (0, math.inf),
    "ema": (0, 1 - SMALLEST),
    "seed": (0, math.inf),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained; two runs with equal recipes, data, start and machine end with equal weights.

    Attributes:
        epochs: passes over the training images.
        steps: ends after so many steps instead, whatever ``epochs`` says; schedules follow.
        batch_size: images in a batch.
        chunk_size: images, and texts, encoded at a time (gradient caching); None: the whole batch.
        captions: captions drawn for each image of a batch, of each of its languages.
        loss: see :data:`Loss`.
        margin: of the triplet loss.
        distil_weight: of the distillation beside another loss; counts where there is a teacher.
        image_rate: peak learning rate of the image tower; None: what the model's kind starts from.
        text_rate: of the text tower, likewise.
        head_rate: of the projections and of the teacher's map, likewise.
        scale_rate: of the temperature and the bias.
        warmup: share of a part's steps over which its rate rises.
        weight_decay: AdamW's, of matrices and kernels; norms, biases and other vectors do not decay.
        clip: largest norm of the gradient.
        locked_image_epochs: epochs at the start in which the image tower stays as it is (LiT: Zhai et al., CVPR
            2022); its own warm-up begins when it is unlocked.
        locked_text_epochs: of the text tower, likewise.
        norms: batch norms use their ``stored`` statistics, or those of the ``batch``; None: the batch's where the
            image backbone starts from scratch, and so has none stored.
        ema: decay of the averaged weights that are judged and saved; 0 judges and saves the newest.
        bfloat16: forward passes in bfloat16 where torch's autocast allows it; weights stay float32.
        augmentation: see :class:`Augmentation`.
        seed: of every draw.
    """

    epochs: int = 8
    steps: int | None = None
    batch_size: int = 128
    chunk_size: int | None = None
    captions: int = 1
    loss: Loss = "infonce"
    margin: float = 0.2
    distil_weight: float = 1.0
    image_rate: float | None = None
    text_rate: float | None = None
    head_rate: float | None = None
    scale_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    clip: float = 1.0
    locked_image_epochs: int = 0
    locked_text_epochs: int = 0
    norms: Norms | None = None
    ema: float = 0.98
    bfloat16: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings out of range and settings that contradict each other.

        Raises:
            UsageError: a number is out of its range, or two settings cannot go together.
        """
        check_ranges(self, _RANGES)
        check_choice("loss", self.loss, get_args(Loss))
        if self.norms is not None:
            check_choice("norms", self.norms, get_args(Norms))
        if self.chunk_size is not None and self.norms == "batch":
            raise UsageError(
                "gradient caching computes each chunk by itself, so batch norms would see the chunk and not the "
                "batch; leave --chunk-size out, or use --norms stored"
            )
