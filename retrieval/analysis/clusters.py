"""Groups of a collection's pictures by what they show, named by the names that set each apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis.kmeans import MOST, centred, choose_count, simplified_silhouette, spherical_kmeans
from retrieval.analysis.name_probabilities import name_probabilities
from retrieval.analysis.vocabulary import Vocabulary, VocabularyName, find_vocabulary
from retrieval.errors import UsageError

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.collection.kind_vectors import KindVectors
    from retrieval.encoders.base import Encoder
    from retrieval.expressions import Expression

NAMES = 3  # a group
_LIKELY = 0.1  # mean probability, over a group, of a name that it may have

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """Pictures that show the like.

    Attributes:
        number: from 1, the largest group first.
        names: up to three, the one that sets the group apart most first.
        ids: (n,) int64 item ids, the most typical first.
        likeness: (n,) float32, cosine of each with the group's centre, once the mean of all pictures is taken off.
    """

    number: int
    names: tuple[VocabularyName, ...]
    ids: NDArray[np.int64]
    likeness: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clusters:
    """All pictures that were looked at, in groups.

    Attributes:
        groups: the largest first; each picture is in one.
        silhouette: simplified silhouette in [-1, 1]: how much nearer pictures are to their own group than to the next.
        generation: of the collection that was looked at.
    """

    groups: tuple[Cluster, ...]
    silhouette: float
    generation: int


def cluster_pictures(
    collection: Collection,
    load_encoder: Callable[[], Encoder],
    count: int | None = None,
    where: Expression | None = None,
    vocabulary: str | Path | Sequence[str] | None = None,
) -> Clusters:
    """Put the pictures of a collection into groups by what they show, and name these; nothing is changed.

    Stored vectors are compared, by spherical k-means with a fixed seed: the same pictures give the same groups, on
    one machine with the same packages.

    Args:
        collection: that is looked at.
        load_encoder: gives its encoder, which is needed for the names.
        count: of groups, 1 to 1,000; by default chosen by the simplified silhouette, up to 50.
        where: which pictures; by default all that are not hidden.
        vocabulary: names for the groups, as ``indexer.tag`` takes them; by default bundled ones.

    Raises:
        CollectionEmpty: nothing has been indexed.
        FilterError: ``where`` names a field that no item has.
        UsageError: ``count`` is out of range, or the vocabulary is not one.
    """
    check_count(count)
    names, encoder = find_vocabulary(vocabulary), load_encoder()
    with collection.reading() as view:
        found, generation = view.vectors_of_kind("image", where), view.generation
    return find_clusters(found, count, names, encoder, generation)


def find_clusters(
    found: KindVectors, count: int | None, vocabulary: Vocabulary, encoder: Encoder, generation: int
) -> Clusters:
    """Put pictures into groups and name these; the same on one machine each time.

    Args:
        found: the pictures.
        count: of groups; None chooses.
        vocabulary: names to choose from.
        encoder: of the vectors.
        generation: that they are of.
    """
    if not len(found.ids):
        return Clusters((), 0.0, generation)
    rows = centred(found.vectors)
    labels, centres = spherical_kmeans(rows, choose_count(rows) if count is None else count)
    likeness = np.einsum("nd,nd->n", rows, centres[labels])
    names = _names(labels, len(centres), found.vectors, vocabulary, encoder)
    of_item = labels[found.rows]
    sizes = np.bincount(of_item, minlength=len(centres))
    groups = []
    for number, group in enumerate(np.argsort(-sizes, kind="stable").tolist(), start=1):
        members = np.flatnonzero(of_item == group)
        near = likeness[found.rows[members]]
        order = np.lexsort((found.ids[members], -near))
        groups.append(
            Cluster(number, names[group], found.ids[members[order]], near[order].astype(np.float32))
        )
    return Clusters(tuple(groups), simplified_silhouette(rows, labels, centres), generation)


def check_count(count: int | None) -> None:
    """Refuse a number of groups that there cannot be.

    Raises:
        UsageError: it is not from 1 to 1,000.
    """
    if count is not None and not 1 <= count <= MOST:
        raise UsageError(f"{count:,} groups cannot be made; give 1 to {MOST:,}")


def _names(
    labels: Labels, groups: int, images: NDArray[np.float32], vocabulary: Vocabulary, encoder: Encoder
) -> list[tuple[VocabularyName, ...]]:
    """Name each group by what stands out: the z-score of its mean score among all pictures, of the likely names."""
    rows = np.stack([one.mean(axis=0) for one in vocabulary.vectors(encoder)])
    weights = np.eye(groups, dtype=np.float64)[labels]
    weights /= np.maximum(weights.sum(axis=0), 1)
    centred_images = images - images.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = (centred_images.T @ centred_images).astype(np.float64) / len(images)
    deviation = np.sqrt(np.maximum(np.einsum("nd,nd->n", rows @ covariance, rows), 1e-12))
    standing_out = (weights.T @ centred_images) @ rows.T / deviation
    likely = np.zeros((groups, len(rows)))
    start = 0
    for chunk in name_probabilities(vocabulary, images, encoder):
        likely += weights[start : start + len(chunk)].T @ chunk
        start += len(chunk)
    return [_chosen(vocabulary.names, *pair) for pair in zip(standing_out, likely, strict=True)]


def _chosen(
    names: Sequence[VocabularyName], standing_out: NDArray[np.float64], likely: NDArray[np.float64]
) -> tuple[VocabularyName, ...]:
    """Take the likely names that stand out most; where none is likely, the one that stands out most."""
    order = np.argsort(-standing_out, kind="stable").tolist()
    kept = [at for at in order if likely[at] >= _LIKELY and standing_out[at] > 0][:NAMES]
    return tuple(names[at] for at in kept or order[:1])
