"""The ranges of an image tower's activations, without which its products cannot be computed in bytes (int8).

They were measured on photographs and lie beside the weights. Beyond a range an activation is clipped, within it rounded
to one of 256 steps (Jacob et al., CVPR 2018), symmetric where activations are negative too; weights are rounded to 255
steps for each channel, from the weights alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.image_layers import FLOAT32_BLOCKS, Block, ImageTower, Range
from retrieval.encoders.two_tower.numpy_images import activation_ends
from retrieval.errors import ModelError
from retrieval.json_files import read_object

FILE = "int8.json"
_BYTES = 2**20
_MOST = 1e30  # nearer to what float32 can hold, steps would overflow
_LEAST = 1e-6  # of a layer that gives zeros alone


def measured_ranges(
    tower: ImageTower, prepared: NDArray[np.uint8], on_image: Callable[[], object] = lambda: None
) -> list[Range]:
    """Measure a tower's ranges, in the order of :func:`with_ranges`.

    The least and the largest activation of each image are taken; what one image in twenty exceeds is clipped.

    Args:
        tower: the layers.
        prepared: photographs such as will be indexed, (n, size, size, 3) uint8; some sixty are enough.
        on_image: called after each of them.
    """
    measured = []
    for image in prepared:
        measured.append(activation_ends(tower, image))
        on_image()
    ends = np.array(measured)  # (n, ranges, 2)
    lows = np.minimum(np.percentile(ends[:, :, 0], 5, axis=0), 0)
    highs = np.percentile(ends[:, :, 1], 95, axis=0)
    return [(float(low), max(float(high), _LEAST)) for low, high in zip(lows, highs, strict=True)]


def ranges_needed(tower: ImageTower) -> int:
    """Count the ranges of a tower: of each convolution's input, and of what a residual block adds to its input."""
    return sum(_of_block(block) for block in _blocks(tower))


def with_ranges(tower: ImageTower, ranges: Sequence[Range]) -> ImageTower:
    """Give a tower whose layers have ranges.

    Args:
        tower: the layers.
        ranges: as many as :func:`ranges_needed` says, in the order in which the layers are computed.

    Raises:
        ValueError: there are more or fewer; the message is a clause.
    """
    if len(ranges) != ranges_needed(tower):
        raise ValueError(f"has {len(ranges)} ranges, and the model needs {ranges_needed(tower)}")
    left = iter(ranges)

    def ranged(block: Block) -> Block:
        return replace(block, ranges=tuple(next(left) for _ in range(_of_block(block))))

    shared = (*tower.shared[:FLOAT32_BLOCKS], *map(ranged, tower.shared[FLOAT32_BLOCKS:]))
    branches = tuple(tuple(map(ranged, branch)) for branch in tower.branches)
    return replace(tower, shared=shared, branches=branches)


def read_ranges(folder: Path) -> tuple[Range, ...]:
    """Read the ranges of a model folder.

    Raises:
        ModelError: it has none, or they are damaged.
    """
    file = folder / FILE
    try:
        found = read_object(file, _BYTES)["ranges"]
        ranges = tuple((float(low), float(high)) for low, high in found)
        if not all(_is_range(low, high) for low, high in ranges):
            raise ValueError("holds what is not a range")
    except FileNotFoundError:
        raise ModelError(
            f"{folder} has no {FILE}, which int8 needs and vlsearch train writes; use float32 or bfloat16"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(f"{file} is damaged ({error}); use float32 or bfloat16") from error
    return ranges


def write_ranges(folder: Path, ranges: Sequence[Range]) -> None:
    """Write the ranges of a model folder, in place of those it has."""
    facts = {"ranges": [[float(f"{end:.4g}") for end in one] for one in ranges]}
    draft = folder / f"{FILE}.draft"
    draft.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    draft.replace(folder / FILE)


def _is_range(low: float, high: float) -> bool:
    return -_MOST <= low <= 0 < high <= _MOST


def _blocks(tower: ImageTower) -> Iterator[Block]:
    yield from tower.shared[FLOAT32_BLOCKS:]
    for branch in tower.branches:
        yield from branch


def _of_block(block: Block) -> int:
    return len(block.convolutions) + block.residual
