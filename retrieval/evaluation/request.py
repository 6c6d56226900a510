"""What an evaluation is asked for: the keywords of callers, and the frozen value that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from retrieval.corpora import CorpusOptions
from retrieval.evaluation.embedding import PLAIN
from retrieval.evaluation.protocols.protocol import Captions
from retrieval.evaluation.run import EvaluationOptions
from retrieval.keywords import checked_keywords
from retrieval.places import CollectionPlace
from retrieval.types import Limits


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """Which models are measured, on what, and how.

    Attributes:
        models: names, aliases or folders; by default the collection's model, else the best one at hand.
        protocol: a published one (:data:`retrieval.evaluation.protocols.PROTOCOLS`); None for all of the corpus.
        options: how to read the corpus.
        captions: ``first5`` keeps the first five captions of each image, ``all`` keeps all.
        folds: number of equal parts that are evaluated separately and averaged.
        k: where lists are cut; None for 1, 5 and 10, as far as the galleries reach.
        templates: each holds ``{}``, where a text goes; of several, vectors are averaged.
        collection: asked the same queries too, if given: a folder, or an address on a PostgreSQL server.
        ann: compare approximate indexes with exact search, on the text queries.
        indexes: which ones (:attr:`retrieval.evaluation.indexes.IndexFigures.name`); by default a range.
        seed: of intervals and tests.
        limits: what is accepted of an image.
        cache: folder of embeddings; None for one in the user's cache folder.
    """

    models: Sequence[str | Path] = ()
    protocol: str | None = None
    options: CorpusOptions = field(default_factory=CorpusOptions)
    captions: Captions = "all"
    folds: int | None = None
    k: Sequence[int] | None = None
    templates: Sequence[str] = ()
    collection: str | CollectionPlace | None = None
    ann: bool = False
    indexes: Sequence[str] = ()
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    cache: Path | None = None

    @property
    def measured(self) -> EvaluationOptions:
        """What is measured, and how."""
        return EvaluationOptions(
            None if self.k is None else tuple(self.k),
            tuple(self.templates) or (PLAIN,),
            self.ann or bool(self.indexes),
            tuple(self.indexes),
            self.seed,
            self.limits,
        )


class EvaluateOptions(TypedDict, total=False):
    """Keywords of :func:`retrieval.evaluate`; :class:`EvaluationRequest` explains them."""

    models: Sequence[str | Path]
    protocol: str | None
    options: CorpusOptions | None
    captions: Captions
    folds: int | None
    k: Sequence[int] | None
    templates: Sequence[str]
    collection: str | CollectionPlace | None
    ann: bool
    indexes: Sequence[str]
    seed: int
    limits: Limits | None
    cache: Path | None


OF_EVALUATE = EvaluateOptions.__optional_keys__


def evaluation_request(options: EvaluateOptions) -> EvaluationRequest:
    """Make the request of the keywords of an evaluation; None stands for the default.

    Raises:
        TypeError: an evaluation does not take one of them.
    """
    return EvaluationRequest(**checked_keywords(options, OF_EVALUATE))
