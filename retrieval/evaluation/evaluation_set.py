"""Evaluation sets: images, texts, queries of each direction, and the relevance between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.relevance import Relevance, linked_groups
from retrieval.types import CorpusImage, CorpusText

Direction = Literal["text to image", "image to text"]
DIRECTIONS: tuple[Direction, Direction] = ("text to image", "image to text")

Counted = Literal["all", "judged"]
"""The denominator: all queries, or only those that have a relevant item."""


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalDirection:
    """Queries of one direction, and the relevance of the gallery's items to them.

    Attributes:
        query_rows: (queries,) int64 rows of the texts (or images) that are queries; the others only belong to
            the gallery of the opposite direction.
        relevance: which rows of the other kind answer each row of the kind that asks.
    """

    query_rows: NDArray[np.int64]
    relevance: Relevance


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """A part of the set that is evaluated alone: ascending rows of its images and of its texts in the whole set."""

    images: NDArray[np.int64]
    texts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSet:
    """Images and texts of an evaluation, with everything that its protocol fixes.

    Attributes:
        name: of the protocol and split, as ``coco-5k``.
        language: BCP 47 tag of the texts, ``en`` where nothing says otherwise.
        images: the image gallery; an image's id, for ties, is its row.
        texts: the text gallery, likewise.
        directions: queries and relevance by direction; a protocol with one direction has one.
        groups: (group of each text, group of each image); the bootstrap draws whole groups.
        counted: the denominator.
        folds: parts evaluated alone and averaged; none for the usual one-piece evaluation.
        notes: sentences about the protocol that are printed with its figures.
        protocol: title and source of the protocol, for people.
        denominators: what each figure is divided by, for people.
    """

    name: str
    language: str
    images: tuple[CorpusImage, ...]
    texts: tuple[CorpusText, ...]
    directions: dict[Direction, RetrievalDirection]
    groups: tuple[NDArray[np.int64], NDArray[np.int64]]
    counted: Counted = "all"
    folds: tuple[Fold, ...] = ()
    notes: tuple[str, ...] = ()
    protocol: str = ""
    denominators: str = ""

    def parts(self) -> tuple[Fold, ...]:
        """Give the folds; without folds, the whole set as one."""
        return self.folds or (Fold(np.arange(len(self.images)), np.arange(len(self.texts))),)

    def summary(self) -> str:
        """The counts in one line, denominators included."""
        sizes = f"{len(self.images):,} pictures, {len(self.texts):,} texts"
        links = sum(len(task.relevance.rows) for task in self.directions.values()) // len(self.directions)
        folds = f", {len(self.folds)} folds" if self.folds else ""
        queries = "; ".join(
            f"{direction}: {self.denominator(direction):,} queries" for direction in self.directions
        )
        return f"{sizes}, {links:,} links{folds}; {queries}"

    def denominator(self, direction: Direction) -> int:
        """How many queries a figure of this direction is divided by, over all folds."""
        task = self.directions[direction]
        if self.counted == "all":
            return len(task.query_rows)
        return int(np.count_nonzero(task.relevance.counts[task.query_rows]))


def assemble(
    name: str,
    images: Sequence[CorpusImage],
    texts: Sequence[CorpusText],
    links: Sequence[tuple[int, int]],
    *,
    language: str = "en",
    notes: tuple[str, ...] = (),
) -> EvaluationSet:
    """Build an evaluation set of both directions from links (image row, text row); every item is a query.

    Raises:
        EvaluationError: there are no images, texts or links, or two images or two texts have the same
            name.
    """
    if not images or not texts or not links:
        raise EvaluationError(
            f"{name} has {len(images):,} pictures, {len(texts):,} texts and {len(links):,} links between "
            f"them; an "
            "evaluation needs all three"
        )
    for kind, uris in (("picture", [p.uri for p in images]), ("text", [t.uri for t in texts])):
        uri, times = Counter(uris).most_common(1)[0]
        if times > 1:
            raise EvaluationError(
                f"{name} names the {kind} {uri} {times} times; every {kind} needs an id of its own"
            )
    to_texts = Relevance.of_pairs(links, len(images), len(texts))
    to_images = to_texts.transposed()
    return EvaluationSet(
        name=name,
        language=language,
        images=tuple(images),
        texts=tuple(texts),
        directions={
            "text to image": RetrievalDirection(np.arange(len(texts)), to_images),
            "image to text": RetrievalDirection(np.arange(len(images)), to_texts),
        },
        groups=linked_groups(to_images),
        notes=notes,
    )


def with_first_captions(whole: EvaluationSet, count: int) -> EvaluationSet:
    """Keep all images, and only the first ``count`` texts of each in the order listed."""
    task = whole.directions["image to text"].relevance
    rows = [task.answers(image)[:count].tolist() for image in range(len(whole.images))]
    kept = sorted({row for some in rows for row in some})
    place = {row: new for new, row in enumerate(kept)}
    links = [(image, place[row]) for image, some in enumerate(rows) for row in some]
    texts = [whole.texts[row] for row in kept]
    note = f"only the first {count} captions of each picture count: {len(kept):,} of {len(whole.texts):,}"
    first = assemble(whole.name, whole.images, texts, links, language=whole.language)
    return replace(
        first,
        notes=(*whole.notes, note),
        protocol=whole.protocol,
        denominators=whole.denominators,
    )


def with_folds(whole: EvaluationSet, count: int) -> EvaluationSet:
    """Cut the images, in their order, into ``count`` equal folds, each evaluated against its own texts alone.

    Raises:
        EvaluationError: the images or the texts do not divide equally (the mean of the folds would weigh
            queries differently), or a text belongs to images of two folds.
    """
    images, task = len(whole.images), whole.directions["image to text"].relevance
    if count < 1 or images % count:
        raise EvaluationError(
            f"{images:,} pictures cannot be cut into {count} equal folds; choose another --folds"
        )
    size = images // count
    folds = []
    for start in range(0, images, size):
        texts = np.unique(task.rows[task.offsets[start] : task.offsets[start + size]])
        folds.append(Fold(np.arange(start, start + size), texts))
    sizes = {len(fold.texts) for fold in folds}
    shared = sum(len(fold.texts) for fold in folds) - len(np.unique(np.concatenate([f.texts for f in folds])))
    if len(sizes) > 1 or shared:
        fault = f"{shared} texts belong to two folds" if shared else "the folds have unequal numbers of texts"
        raise EvaluationError(
            f"{whole.name} cannot be averaged over {count} folds: {fault}; "
            + ("leave --folds out" if shared else "take equally many captions a picture (--captions first5)")
        )
    note = (
        f"mean of {count} folds of {size:,} pictures and {folds[0].texts.size:,} texts, in the order "
        f"of the file"
    )
    return replace(whole, folds=tuple(folds), notes=(*whole.notes, note))
