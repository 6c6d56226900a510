"""Errors of runs that cannot start or cannot write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from retrieval.errors import TrainingError, first_line


def no_pairs(left: int, failed: int, held_out: int = 0) -> TrainingError:
    """Make the error of a corpus that holds too little to train on.

    Args:
        left: images with captions that remain.
        failed: items that could not be read or decoded.
        held_out: images that the model is validated on, and does not learn from.
    """
    pictures = "1 picture with captions is" if left == 1 else f"{left:,} pictures with captions are"
    return TrainingError(
        f"{pictures} left to learn from ({failed:,} failed, {held_out:,} held out to judge on), and training needs "
        "two; name a corpus with more captioned pictures"
    )


def no_validation(failed: int) -> TrainingError:
    """Make the error of a run without validation images; ``failed`` counts items that could not be read or decoded."""
    return TrainingError(
        f"there are no pictures with captions to judge the model on ({failed:,} failed); name some with --val, "
        "--val-split or --val-share"
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of writing into one that names the file or folder of the run.

    Raises:
        TrainingError: in place of the system's error, which names no file where a disk is full.
    """
    try:
        yield
    except (SafetensorError, OSError) as error:  # the library has its own error for a full disk
        reason = first_line(error)
        raise TrainingError(
            f"{path} cannot be written ({reason}); make room, and the same command goes on"
        ) from error
