"""Questions whose answers are known, over photographs that no training saw: what a calibration is fitted and judged on.

Photographs and class labels are cut in two halves; what is fitted on one is judged on the other. A name is answered
rightly if the first hit shows what it names; a caption, if the photograph that it was written for is among the first
ten, for the others there show the like. Half of the time what would answer a question is taken out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recipes.mini.calibration.nonsense import nonsense
from recipes.mini.names import Names
from recipes.mini.photographs import Photograph
from retrieval.calibration import Asked
from retrieval.query.compose import compose
from retrieval.query.without import WEIGHT

SETS = ("classes", "coco_kept", "flickr_val")
"""What the galleries are drawn from; of ``classes``, the photographs whose labels were held out of training."""

LEAST_IMAGES = 5
DRAWS = 400  # galleries of a family: of few, their sizes would be chance
MOST_QUERIES = 20  # of a family and gallery
DEEP = 10
CAPTIONS_EACH = 3
SAMPLE = 512
"""Scores that the statistics of a query are computed from, as the product does."""

Rows = NDArray[np.float32]
Weighted = tuple[tuple[str, float], ...]
"""A query: texts with their weights."""
Encode = Callable[[Sequence[str]], Rows]


@dataclass(frozen=True)
class Family:
    """Queries of one kind, and which photographs answer each.

    Attributes:
        name: of the kind.
        language: of the queries, ``en`` or ``zh``.
        queries: texts with weights.
        right: (queries, images) bool.
        images: (n, d) unit rows of the photographs.
        depth: of how many first hits one must be right.
    """

    name: str
    language: str
    queries: tuple[Weighted, ...]
    right: NDArray[np.bool_]
    images: Rows
    depth: int = 1


@dataclass(frozen=True)
class Answer:
    """What came of one query over one gallery: all that a calibration is told, and the truth."""

    family: str
    language: str
    asked: Asked
    highest: float
    answerable: bool
    right: bool


def families(
    photographs: Mapping[str, Sequence[Photograph]], images: Mapping[str, Rows], half: int
) -> list[Family]:
    """Give the families of half 0 or 1.

    Args:
        photographs: those of the :data:`SETS`.
        images: their vectors, (n, d) each.
        half: which.
    """
    classes, class_rows = _classes(photographs["classes"], half)
    kept, val = (rows_of_half(len(photographs[name]), half) for name in ("coco_kept", "flickr_val"))
    class_images, kept_images, val_images = (
        images["classes"][class_rows],
        images["coco_kept"][kept],
        images["flickr_val"][val],
    )
    labels = [photographs["classes"][row].labels[0] for row in class_rows]
    found = [
        Family("classes", "en", _plain(classes), _same(classes, labels), class_images),
        *_coco(Names.read(), [set(photographs["coco_kept"][row].labels) for row in kept], kept_images),
    ]
    shown = [photographs["flickr_val"][row] for row in val]
    for language, captions in (
        ("en", [one.english for one in shown]),
        ("zh", [one.chinese for one in shown]),
    ):
        found.append(_captions(language, captions, val_images))
    everything = np.concatenate([class_images, kept_images, val_images])
    for language in ("en", "zh"):
        texts = [text for of, text in nonsense(half) if of == language]
        none = np.zeros((len(texts), len(everything)), bool)
        found.append(Family("nonsense", language, _plain(texts), none, everything))
    return found


def rows_of(queries: Sequence[Weighted], encode: Encode) -> Rows:
    """Compose the queries' unit rows, (q, d), as a search does."""
    texts = list(dict.fromkeys(text for query in queries for text, _ in query))
    row = dict(zip(texts, encode(texts), strict=True))
    return np.stack(
        [compose(np.stack([row[text] for text, _ in query]), [by for _, by in query]) for query in queries]
    )


def ask(family: Family, encode: Encode, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask a family's queries of galleries of random sizes, half of the time without what answers them."""
    rows = rows_of(family.queries, encode)
    scores = rows @ family.images.T
    for _ in range(DRAWS):
        count = _random_count(len(family.images), rng)
        gallery = rng.choice(len(family.images), count, replace=False)
        for query in _drawn_queries(family, gallery, rng):
            right = family.right[query, gallery]
            kept = gallery[~right] if rng.random() < 0.5 else gallery
            if len(kept):
                yield _answer(family, rows[query], query, scores[query, kept], kept)


def _answer(family: Family, row: Rows, query: int, scores: Rows, gallery: NDArray[np.int64]) -> Answer:
    order = np.argsort(-scores, kind="stable")[: family.depth]
    right = family.right[query, gallery]
    return Answer(
        family.name,
        family.language,
        Asked(
            row, scores[:SAMPLE], len(gallery), *_flags(family.queries[query]), _wanted(family.queries[query])
        ),
        float(scores[order[0]]),
        bool(right.any()),
        bool(right[order].any()),
    )


def _flags(query: Weighted) -> tuple[bool, bool]:
    """Whether texts are summed, and whether any is subtracted."""
    return sum(by > 0 for _, by in query) > 1, any(by < 0 for _, by in query)


def _wanted(query: Weighted) -> tuple[str, ...]:
    return tuple(text for text, by in query if by > 0)


def _random_count(most: int, rng: np.random.Generator) -> int:
    return round(math.exp(rng.uniform(math.log(LEAST_IMAGES), math.log(most))))


def _drawn_queries(family: Family, gallery: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw queries that the gallery answers, so that half of all are answered; of nonsense, any."""
    able = (
        np.flatnonzero(family.right[:, gallery].any(1))
        if family.right.any()
        else np.arange(len(family.right))
    )
    drawn: NDArray[np.int64] = rng.choice(able, min(MOST_QUERIES, len(able)), replace=False)
    return drawn


def _classes(photographs: Sequence[Photograph], half: int) -> tuple[list[str], NDArray[np.int64]]:
    """Give a half of the labels held out of training, and the rows of the photographs of all held-out labels."""
    held = sorted({one.labels[0] for one in photographs})[1::2]
    rows = [row for row, one in enumerate(photographs) if one.labels[0] in set(held)]
    return held[half::2], np.array(rows, np.int64)


def _coco(names: Names, shown: Sequence[set[str]], images: Rows) -> Iterator[Family]:
    """Names; pairs of names that are often together, as sums, and the one without the other."""
    has = {one.label: np.array([one.label in labels for labels in shown]) for one in names.all}
    pairs = [
        (one, other)
        for one in names.all
        for other in names.all
        if one is not other
        and (has[one.label] & has[other.label]).sum() >= 8
        and (has[one.label] & ~has[other.label]).sum() >= 8
    ]
    for language in ("en", "zh"):
        said = {one.label: one.label if language == "en" else one.chinese[0] for one in names.all}
        singles = np.array([has[one.label] for one in names.all])
        yield Family("names", language, _plain([said[one.label] for one in names.all]), singles, images)
        for name, weight in (("sums", 1.0), ("without", -WEIGHT)):
            asked = tuple(((said[one.label], 1.0), (said[other.label], weight)) for one, other in pairs)
            right = np.array(
                [
                    has[one.label] & (has[other.label] if weight > 0 else ~has[other.label])
                    for one, other in pairs
                ]
            )
            yield Family(name, language, asked, right, images)


def _captions(language: str, captions: Sequence[Sequence[str]], images: Rows) -> Family:
    said = [(text, row) for row, own in enumerate(captions) for text in own[:CAPTIONS_EACH]]
    right = np.zeros((len(said), len(captions)), bool)
    right[np.arange(len(said)), [row for _, row in said]] = True
    return Family("captions", language, _plain([text for text, _ in said]), right, images, DEEP)


def _plain(texts: Sequence[str]) -> tuple[Weighted, ...]:
    return tuple(((text, 1.0),) for text in texts)


def _same(queries: Sequence[str], labels: Sequence[str]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = np.array(queries)[:, None] == np.array(labels)[None, :]
    return same


def rows_of_half(count: int, half: int) -> NDArray[np.int64]:
    """Give the numbers below ``count`` that belong to a half, by their digests."""
    mine = [row for row in range(count) if hashlib.sha256(str(row).encode()).digest()[0] % 2 == half]
    return np.array(mine, np.int64)
