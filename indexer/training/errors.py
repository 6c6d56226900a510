"""Sentences for runs that cannot start."""

from __future__ import annotations

from pathlib import Path

from retrieval.errors import TrainingError


def no_pairs(pictures: int, failed: int) -> TrainingError:
    """The corpus holds too little to train on."""
    return TrainingError(
        f"the corpus has {pictures} pictures with captions ({failed} failed), and training needs two; "
        "name a corpus with captions"
    )


def no_validation() -> TrainingError:
    """There is nothing to judge a model on."""
    return TrainingError(
        "there are no pictures with captions to judge the model on; name some with --val, --val-split or --val-share"
    )


def not_written(path: Path, error: Exception) -> TrainingError:
    """A checkpoint or a model cannot be written."""
    reason = str(error).splitlines()[0]
    return TrainingError(f"{path} cannot be written ({reason}); make room, and the same command goes on")
