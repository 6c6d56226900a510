"""Where in an image its score with a query comes from.

A convolutional tower ends in a mean over places and a linear map, so that the vector of an image is, up to its length,
the mean of vectors of places, and a score is a sum over places, exactly (class activation maps: Zhou et al., CVPR
2016). At the size that the tower is made for, each place has seen most of the image. So what is shown comes from one
pass over the image at a larger size, where places see less: the sum of contributions of places and of the scores of
windows of them. ``benchmarks/search/pointing.py`` measures how often the strongest place lies in the thing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retrieval.decoding.preparations import Squeeze

if TYPE_CHECKING:
    from retrieval.decoding.preparations import Preparation

Map = NDArray[np.float64]
Places = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Vectors of the places of one image, (rows, columns, d), from (1, side, side, 3) uint8 of any side."""

ENLARGED = 2
"""Side of the larger pass against the tower's own: 2.25 to 3 point no better, for up to 2.3 times the time."""
_LARGEST = 1024  # pixels: a model folder may name a size whose double takes all memory
_STRIDE = 32  # of towers: their sides are multiples of it
_WINDOW = 3  # places of a side of a window: of 2 to 5, the one that points best


@dataclass(frozen=True, slots=True, eq=False)
class ImageRelevance:
    """Where the score of an image with a query comes from, over the part of the image that the encoder sees.

    Attributes:
        contributions: (rows, columns) float64, whose sum is the score; None where the model is not linear in places.
        relevance: (rows, columns) float64 in [0, 1], 1 at what is most like the query; all 0 where nothing stands out.
    """

    contributions: Map | None
    relevance: Map


class ImageExplainer(Protocol):
    """Tells where in an image a score comes from; safe in several threads."""

    @property
    def preparations(self) -> Sequence[Preparation]:
        """The rules that give the arrays which :meth:`explain` takes, in their order."""
        ...

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Give the part of an image that the encoder sees: left, top, width and height, in pixels."""
        ...

    def explain(self, prepared: Sequence[NDArray[np.uint8]], query: NDArray[np.float32]) -> ImageRelevance:
        """Explain the score of an image with a unit query vector, (d,) float32."""
        ...


@runtime_checkable
class ExplainingTowers(Protocol):
    """Towers that can tell where in an image a score comes from."""

    def image_explainer(self) -> ImageExplainer | None:
        """Give what explains scores of images; None where this model's cannot be explained.

        Raises:
            ModelError: the model's files have changed since it was loaded.
            MissingExtra: what explains it is not installed.
        """
        ...


class PlacesExplainer:
    """Explain scores by the vectors of places of a convolutional tower.

    Attributes:
        rule: by which the tower's images are prepared.
        places: computes vectors of places.
        parts: sizes of the parts of a vector that have equal lengths; one is the whole.

    Args:
        preparation: the tower's.
        parts: of its vectors.
        places: computes them.
    """

    def __init__(self, preparation: Squeeze, parts: Sequence[int], places: Places) -> None:
        self.rule, self.places, self.parts = preparation, places, tuple(parts)

    @property
    def preparations(self) -> Sequence[Preparation]:
        """See :class:`ImageExplainer`."""
        own = self.rule
        side = _STRIDE * max(1, round(min(ENLARGED * own.size, max(own.size, _LARGEST)) / _STRIDE))
        return own, replace(own, size=side, through=0)

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        """See :class:`ImageExplainer`."""
        return self.rule.seen(width, height)

    def explain(self, prepared: Sequence[NDArray[np.uint8]], query: NDArray[np.float32]) -> ImageRelevance:
        """See :class:`ImageExplainer`."""
        own, larger = (self.places(image[None]) for image in prepared)
        return ImageRelevance(
            place_contributions(own, self.parts, query), relevance_of(larger, self.parts, query)
        )


def place_contributions(places: NDArray[np.float32], parts: Sequence[int], query: NDArray[np.float32]) -> Map:
    """Compute what each place adds to the score of the image's unit vector, (rows, columns) float64.

    Args:
        places: (rows, columns, d); their mean, each part of it scaled to the length 1/sqrt(parts), is that vector.
        parts: sizes of the parts, in order, with the sum d.
        query: (d,) unit vector.
    """
    count = places.shape[0] * places.shape[1]
    total = np.zeros(places.shape[:2])
    for start, stop in _ranges(parts):
        part = places[..., start:stop].astype(np.float64)
        length = np.linalg.norm(part.mean((0, 1))) * len(parts) ** 0.5
        if length > 0:
            total += part @ query[start:stop].astype(np.float64) / (length * count)
    return total


def window_scores(places: NDArray[np.float32], parts: Sequence[int], query: NDArray[np.float32]) -> Map:
    """Score all square windows of places as if each were an image, and give each place the mean of its windows'."""
    rows, columns, _ = places.shape
    side = min(_WINDOW, rows, columns)
    sums = np.pad(places.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    windows = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    scores = sum(
        (
            windows[..., start:stop]
            @ query[start:stop].astype(np.float64)
            / np.maximum(np.linalg.norm(windows[..., start:stop], axis=-1), np.finfo(np.float64).tiny)
            for start, stop in _ranges(parts)
        ),
        np.zeros(windows.shape[:2]),
    )
    found, covered = np.zeros((rows, columns)), np.zeros((rows, columns))
    for top in range(side):
        for left in range(side):
            at = np.s_[top : top + scores.shape[0], left : left + scores.shape[1]]
            found[at] += scores
            covered[at] += 1
    mean: Map = found / covered
    return mean


def relevance_of(places: NDArray[np.float32], parts: Sequence[int], query: NDArray[np.float32]) -> Map:
    """Compute how much more like the query each place is than the mean place, as a share of the most."""
    maps = (place_contributions(places, parts, query), window_scores(places, parts, query))
    return positive_shares(_softened(sum((_standard(one) for one in maps), np.zeros(places.shape[:2]))))


def positive_shares(values: Map) -> Map:
    """Scale what exceeds the mean so that the most is 1; all 0 where nothing does."""
    above = np.maximum(values - values.mean(), 0)
    most = above.max()
    shares: Map = above / most if most > 0 else above
    return shares


def _softened(values: Map) -> Map:
    """Weigh each place 1-2-1 with its neighbours both ways: single places are noise, and things are larger."""
    wide = np.pad(values, 1, mode="edge")
    across = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    soft: Map = (across[:-2] + 2 * across[1:-1] + across[2:]) / 16
    return soft


def _standard(values: Map) -> Map:
    deviation = values.std()
    standard: Map = (values - values.mean()) / deviation if deviation > 1e-9 else np.zeros_like(values)
    return standard


def _ranges(parts: Sequence[int]) -> list[tuple[int, int]]:
    ends = np.cumsum(parts).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))
