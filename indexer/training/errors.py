"""Sentences for runs that cannot start."""

from __future__ import annotations

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
