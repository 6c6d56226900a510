"""One evaluation from start to end: encode, rank, search, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.encoders.batches import QUERYING
from retrieval.errors import IdentityMismatch, UsageError
from retrieval.evaluation.comparison import compare_models
from retrieval.evaluation.embedding import PLAIN, Embedded, check_templates, embed
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet
from retrieval.evaluation.figures import PAPER_CUTS, Figures, evaluate_lists, evaluate_vectors
from retrieval.evaluation.metrics import check_cut
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.significance import Comparison
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.types import Limits, OnProgress

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.encoders.base import Encoder
    from retrieval.evaluation.indexes import IndexFigures
    from retrieval.evaluation.searching import Latency


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What an evaluation measures, and how.

    Attributes:
        cuts: the Ks; None for 1, 5 and 10, as far as the galleries reach.
        templates: what each text is put into, in place of ``{}``; of several, vectors are averaged.
        ann: compare approximate indexes with exact search.
        indexes: which ones (:attr:`retrieval.evaluation.indexes.IndexFigures.name`); none for a usual range.
        seed: of bootstrap and permutation test.
        limits: what is accepted of an image.
    """

    cuts: tuple[int, ...] | None = None
    templates: tuple[str, ...] = (PLAIN,)
    ann: bool = False
    indexes: tuple[str, ...] = ()
    seed: int = 0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.cuts is not None and (not self.cuts or min(self.cuts) < 1):
            raise UsageError(f"K counts from 1, not {min(self.cuts, default=0)}; give --k 1,5,10")
        check_templates(self.templates)


@dataclass(frozen=True, slots=True, eq=False)
class EngineFigures:
    """Figures of the same queries answered by a collection.

    Attributes:
        collection: where it is.
        items: images and texts that it holds, those outside the evaluation included.
        figures: figures of its answers.
        latency: of single queries, without their encoding, by direction.
    """

    collection: CollectionPlace
    items: tuple[int, int]
    figures: Figures
    latency: Mapping[Direction, Latency]


@dataclass(frozen=True, slots=True, eq=False)
class ModelFigures:
    """Results of one model; ``embedded`` holds the vectors that they were computed from."""

    model: str
    identity: Identity
    embedded: Embedded
    figures: Figures
    engine: EngineFigures | None
    indexes: tuple[IndexFigures, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One or more models on one evaluation set; ``comparisons`` holds every pair of models."""

    evaluated: EvaluationSet
    options: EvaluationOptions
    cuts: tuple[int, ...]
    models: tuple[ModelFigures, ...]
    comparisons: tuple[Comparison, ...]


def evaluate_models(
    evaluated: EvaluationSet,
    encoders: Mapping[str, Encoder],
    options: EvaluationOptions = EvaluationOptions(),
    collection: Collection | None = None,
    cache: Path | None = None,
    advance: OnProgress | None = None,
) -> Evaluation:
    """Evaluate encoders, by name, on the same images and texts.

    Args:
        evaluated: images, texts and relevance.
        encoders: one or more; with several, every two are compared.
        options: what is measured.
        collection: a collection to answer the same queries; its encoder must be the only one of ``encoders``.
        cache: folder of embeddings; the user's cache folder by default.
        advance: told of progress.

    Raises:
        EvaluationError: an image cannot be decoded, a K exceeds a gallery, or the collection lacks items.
        IdentityMismatch: the collection was built with another encoder.
        UsageError: a template has no ``{}``, or a collection is given with several models.
    """
    cuts = chosen_cuts(evaluated, options)
    if options.seed < 0:
        raise UsageError(f"the seed is {options.seed}; give 0 or more")
    if options.ann:
        from retrieval.evaluation.indexes import check_index_names  # faiss

        for encoder in encoders.values():
            check_index_names(options.indexes, encoder.identity.dimension)
    if collection is not None:
        evaluated = _checked_collection(collection, encoders, evaluated)
    models = []
    for name, encoder in encoders.items():
        embedded = embed(encoder, evaluated, options.templates, cache, advance, options.limits)
        figures = evaluate_vectors(evaluated, embedded.images, embedded.texts, cuts, options.seed)
        engine = (
            None
            if collection is None
            else _ask(collection, evaluated, encoder, options, cuts, cache, advance)
        )
        indexes = _indexes(evaluated, embedded, options.indexes, collection, advance) if options.ann else ()
        models.append(ModelFigures(name, encoder.identity, embedded, figures, engine, indexes))
    comparisons = compare_models({model.model: model.figures for model in models}, options.seed)
    return Evaluation(evaluated, options, cuts, tuple(models), tuple(comparisons))


def chosen_cuts(evaluated: EvaluationSet, options: EvaluationOptions) -> tuple[int, ...]:
    """Give the cut-offs in ascending order: those asked for, else those of 1, 5 and 10 within the smallest gallery.

    Raises:
        EvaluationError: one asked for exceeds a gallery.
    """
    part = evaluated.parts()[0]
    galleries = {"text to image": len(part.images), "image to text": len(part.texts)}
    smallest = min(galleries[direction] for direction in evaluated.directions)
    if options.cuts is not None:
        for k in options.cuts:
            check_cut(k, smallest)  # now, and not after hours of encoding
        return tuple(sorted(set(options.cuts)))
    return tuple(k for k in PAPER_CUTS if k <= smallest)


def _checked_collection(
    collection: Collection, encoders: Mapping[str, Encoder], evaluated: EvaluationSet
) -> EvaluationSet:
    """Give the evaluation with notes on what the collection hides of it."""
    from retrieval.evaluation.searching import check_holds, hidden_notes

    if evaluated.folds:
        raise UsageError(
            "a collection is searched whole, so folds cannot be; leave --folds or --collection out"
        )
    if len(encoders) != 1:
        raise UsageError(
            f"a collection answers with its own model, and {len(encoders)} were given; name one --model, or "
            "none"
        )
    given = next(iter(encoders.values())).identity
    bound = collection.identity
    if bound is not None and bound.digest != given.digest:
        raise IdentityMismatch(collection.path, bound.name, given.name, bound.difference(given))
    check_holds(collection, evaluated)
    return replace(evaluated, notes=(*evaluated.notes, *hidden_notes(collection, evaluated)))


def _ask(
    collection: Collection,
    evaluated: EvaluationSet,
    encoder: Encoder,
    options: EvaluationOptions,
    cuts: Sequence[int],
    cache: Path | None,
    advance: OnProgress | None,
) -> EngineFigures:
    from retrieval.evaluation.searching import search_collection

    depth = max(*cuts, *PAPER_CUTS)
    asked = embed(encoder, evaluated, options.templates, cache, advance, options.limits, QUERYING)
    found = search_collection(collection, evaluated, asked.images, asked.texts, depth, advance)
    figures = evaluate_lists(evaluated, found.lists, depth, cuts, options.seed)
    items = collection.count("image"), collection.count("text")
    return EngineFigures(collection.path, items, figures, found.latency)


def _indexes(
    evaluated: EvaluationSet,
    embedded: Embedded,
    names: Sequence[str],
    collection: Collection | None,
    advance: OnProgress | None,
) -> tuple[IndexFigures, ...]:
    """Indexes over the images of the evaluation, or over all that a collection holds, with its own if it has one."""
    from retrieval.evaluation.indexes import OWN, measure_indexes, usual_indexes
    from retrieval.evaluation.searching import CollectionIndex, collection_images

    task = evaluated.directions["text to image"]
    relevance = task.relevance.restricted(task.query_rows, np.arange(task.relevance.items))
    queries = np.ascontiguousarray(embedded.texts[task.query_rows])
    gallery, own = embedded.images, None
    if collection is not None:
        images = collection_images(collection)
        gallery, own = images.vectors, CollectionIndex.of(collection, images)
        relevance = _moved(relevance, [image.uri for image in evaluated.images], images.uris)
    names = names or (*usual_indexes(len(gallery)), *([] if own is None else [OWN]))
    return tuple(measure_indexes(names, queries, gallery, relevance, advance=advance, own=own))


def _moved(relevance: Relevance, uris: Sequence[str], places: Sequence[str]) -> Relevance:
    """Renumber the images of a relevance by their rows in another gallery; one that is not in it answers nothing."""
    row_of = {uri: row for row, uri in enumerate(places)}
    pairs = zip(relevance.query_of_pair.tolist(), relevance.rows.tolist(), strict=True)
    moved = [(query, row_of[uris[row]]) for query, row in pairs if uris[row] in row_of]
    return Relevance.of_pairs(moved, relevance.queries, len(places))
