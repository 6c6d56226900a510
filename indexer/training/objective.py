"""The loss of a run with its own parameters: temperature, bias, and maps to a teacher's space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer.training.batches import Batch
from indexer.training.image_cache import ImageCache
from indexer.training.losses import distillation, hard_triplet, info_nce, sigmoid
from indexer.training.recipe import Recipe
from indexer.training.trainable import ModelFacts
from retrieval.errors import TrainingError, UsageError

MAX_LOG_SCALE = math.log(100.0)
"""Upper clamp of log(1/temperature), as in CLIP, section 2.5; the lower one is 0."""

SIGMOID_START = (math.log(10.0), -10.0)
"""log(1/temperature) and bias of a model that was not trained with the sigmoid loss (SigLIP, section 3.2)."""


@dataclass(frozen=True, slots=True, eq=False)
class TeacherRows:
    """Rows of a teacher, (n, any), memory-mapped, one per image or caption of the corpus; and their mean."""

    rows: NDArray[np.floating]
    mean: NDArray[np.float32]

    @classmethod
    def load(cls, file: Path, count: int, of: str) -> TeacherRows:
        """Read an npy file without copying it.

        Args:
            file: (count, any) floating.
            count: rows that it must have.
            of: what they are rows of, for the error.

        Raises:
            TrainingError: it is no such file, has another number of rows, or holds what is not finite.
        """
        try:
            rows = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise TrainingError(
                f"{file} cannot be read as npy ({error}); write it with numpy.save"
            ) from error
        if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
            raise TrainingError(
                f"{file} holds {rows.dtype} {rows.shape}, and a teacher's rows are (n, d) floats"
            )
        if len(rows) != count:
            raise TrainingError(
                f"{file} has {len(rows):,} rows, and the corpus {count:,} {of}; give one row each, in the "
                "corpus's order"
            )
        with np.errstate(invalid="ignore"):
            mean = np.asarray(rows.mean(axis=0, dtype=np.float64), np.float32)
        if not np.isfinite(mean).all():
            raise TrainingError(f"{file} holds numbers that are not finite; write it anew")
        return cls(rows, mean)

    def take(self, places: Sequence[int]) -> Tensor:
        """Select centred rows, (len(places), any) float32; without their mean, directions differ more."""
        return torch.from_numpy(np.asarray(self.rows[list(places)], np.float32) - self.mean)


@dataclass(frozen=True, slots=True)
class Teacher:
    """A teacher's rows for the training corpus: for its images, its captions, or both."""

    images: TeacherRows | None = None
    texts: TeacherRows | None = None

    def __bool__(self) -> bool:
        return self.images is not None or self.texts is not None


class Objective(nn.Module):
    """The loss as a module; its parameters are not part of the model."""

    def __init__(self, recipe: Recipe, facts: ModelFacts, teacher: Teacher) -> None:
        """Start from the model's temperature, or from the paper's where the loss is new to the model.

        Raises:
            UsageError: there is nothing to learn from.
        """
        super().__init__()
        if recipe.loss == "distillation" and not teacher:
            raise UsageError(
                "the loss distillation needs a teacher; give --teacher-images or --teacher-texts"
            )
        self._recipe, self._teacher = recipe, teacher
        start = (facts.log_scale, facts.bias)
        if recipe.loss == "sigmoid" and facts.bias is None:
            start = SIGMOID_START
        self.log_scale = nn.Parameter(torch.tensor(start[0]), recipe.loss in ("infonce", "sigmoid"))
        self.bias = nn.Parameter(torch.tensor(start[1] or 0.0), recipe.loss == "sigmoid")
        self._has_bias = start[1] is not None
        self.image_map = _map(facts.dimension, teacher.images)
        self.text_map = _map(facts.dimension, teacher.texts)

    def loss(self, images: Tensor, texts: Tensor, batch: Batch, cache: ImageCache) -> Tensor:
        """Compute the loss of image rows, (I, D), and text rows, (T, D), of one batch."""
        positives = batch.positives.to(images.device)
        recipe = self._recipe
        distilled = self._distilled(images, texts, batch, cache)
        if recipe.loss == "distillation":
            return distilled
        if recipe.loss == "infonce":
            value = info_nce(images, texts, positives, self.log_scale.exp())
        elif recipe.loss == "sigmoid":
            value = sigmoid(images, texts, positives, self.log_scale.exp(), self.bias)
        else:
            value = hard_triplet(images, texts, positives, recipe.margin)
        return value + recipe.distil_weight * distilled if self._teacher else value

    def clamp(self) -> None:
        """Keep 1/temperature within [1, 100]: after each step, so that it can come back from its bounds."""
        with torch.no_grad():
            self.log_scale.clamp_(0, MAX_LOG_SCALE)

    @property
    def learned(self) -> tuple[float, float | None]:
        """log(1/temperature) and bias, for the model's folder."""
        return float(self.log_scale.detach()), float(self.bias.detach()) if self._has_bias else None

    def _distilled(self, images: Tensor, texts: Tensor, batch: Batch, cache: ImageCache) -> Tensor:
        total = images.new_zeros(())
        if self.image_map is not None and self._teacher.images is not None:
            rows = self._teacher.images.take([cache.rows[row][0] for row in batch.rows])
            total = total + distillation(self.image_map(images), rows.to(images.device))
        if self.text_map is not None and self._teacher.texts is not None:
            rows = self._teacher.texts.take([caption.row for caption in batch.captions])
            total = total + distillation(self.text_map(texts), rows.to(texts.device))
        return total


def _map(dimension: int, rows: TeacherRows | None) -> nn.Linear | None:
    """Make the map from the model's space to the teacher's, which is not saved with the model."""
    return None if rows is None else nn.Linear(dimension, rows.rows.shape[1])
