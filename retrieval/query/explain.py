"""Why an item has its score with a query: parts and words of the query, and where in the picture. Changes no score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from retrieval.collection import View
from retrieval.decoding.preparations import Fit
from retrieval.encoders.relevance import ExplainingTowers, ImageExplainer
from retrieval.errors import ImageError, MissingExtra, QueryError
from retrieval.query.explanation import Explanation, PictureShare
from retrieval.query.leave_one_out import leave_one_out
from retrieval.query.overlay import SIDE, draw_overlay
from retrieval.query.parts import ItemPart, Query
from retrieval.query.picture_shares import picture_share
from retrieval.query.pictures import Picture, find_pictures, prepare_indexed
from retrieval.query.stored_items import stored_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.collection.catalogue_items import ItemRow
    from retrieval.collection.stored import StoredVector
    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder
    from retrieval.query.explanation import PartShare
    from retrieval.query.resources import QueryResources


COMPARED = 256
"""Items whose mean stands for the collection."""


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedItem:
    """What is read of an item to explain it: its vector, the mean of many of its kind, and its picture if it is one."""

    vector: NDArray[np.float32]
    mean: NDArray[np.float32]
    picture: Picture | None


def explain(resources: QueryResources, number: int, query: Query) -> Explanation:
    """Explain the score of an item, by id, with a query that is taken literally.

    Raises:
        QueryError, CollectionError, IdentityMismatch: as :meth:`~retrieval.query.engine.SearchEngine.explain`.
    """
    left_out = leave_one_out(query, resources.encoder)
    vectors = resources.vectors_of(left_out.queries)

    def read(view: View) -> tuple[NDArray[np.float32], ExplainedItem]:
        stored = stored_vectors(view, [*left_out.queries, Query((ItemPart(number),))])
        return vectors.compose(view, stored), read_item(view, number, stored[number])

    rows, item = resources.reading(vectors, read)
    row, score, parts = left_out.shares(rows, item.vector, item.mean)
    return explanation_of(number, row, score, parts, item.picture, resources.encoder, resources.decode_pool())


def draw(
    resources: QueryResources, explanation: Explanation, file_format: Literal["PNG", "JPEG"] = "PNG"
) -> bytes:
    """Draw an explanation over its picture, as the bytes of a file.

    Raises:
        ImageError: the explanation says nothing of a picture, or the picture cannot be read any more.
    """
    with resources.collection.reading() as view:
        picture = find_picture(view, explanation.id)
    if picture is None or explanation.picture is None:
        raise ImageError(explanation.reason or f"item {explanation.id} is not a picture of the collection")
    array = prepare_indexed(resources.decode_pool(), picture, Fit(SIDE)).array
    assert array is not None, "every picture is wanted"
    return draw_overlay(array, explanation.picture, file_format)


def read_item(view: View, number: int, stored: StoredVector) -> ExplainedItem:
    """Read what is needed of an item.

    Raises:
        QueryError: it has no vector.
    """
    if stored.vector is None:
        raise QueryError(f"item {number} has no vector yet; index its corpus again")
    page: list[ItemRow] = next(iter(view.pages(stored.kind, COMPARED)), [])
    others = view.vectors(stored.kind, [row.encoding for row in page if row.encoding is not None])
    mean = others.mean(axis=0) if len(others) else stored.vector
    return ExplainedItem(stored.vector, mean, find_picture(view, number))


def find_picture(view: View, number: int) -> Picture | None:
    """Find where the picture of an item is; None for a text."""
    return find_pictures(view, [number]).get(number)


def explanation_of(
    number: int,
    query: NDArray[np.float32],
    score: float,
    parts: tuple[PartShare, ...],
    picture: Picture | None,
    encoder: Encoder,
    pool: DecodePool,
) -> Explanation:
    """Explain an item's score; a picture that cannot be explained has the reason in its place.

    Args:
        number: the item's id.
        query: (d,) unit vector.
        score: of the item with it.
        parts: what they do.
        picture: where it is; None for a text.
        encoder: of the collection.
        pool: decodes it.
    """
    if picture is None:
        return Explanation(number, score, parts, None)
    try:
        return Explanation(number, score, parts, _share(query, score, picture, encoder, pool))
    except (ImageError, MissingExtra) as error:
        return Explanation(number, score, parts, None, str(error))


def _share(
    query: NDArray[np.float32], score: float, picture: Picture, encoder: Encoder, pool: DecodePool
) -> PictureShare:
    """Look where in a picture its score comes from.

    Raises:
        ImageError: the picture cannot be read, or the model cannot tell.
        MissingExtra: what the model needs to tell is not installed.
    """
    explainer = _explainer_of(encoder)
    arrays, size = [], (1, 1)
    for preparation in explainer.preparations:
        prepared = prepare_indexed(pool, picture, preparation)
        assert prepared.array is not None, "every picture is wanted"
        assert prepared.width, "it was decoded"
        assert prepared.height, "it was decoded"
        arrays.append(prepared.array)
        size = (prepared.width, prepared.height)
    return picture_share(explainer, explainer.explain(arrays, query), *size, score)


def _explainer_of(encoder: Encoder) -> ImageExplainer:
    towers = getattr(encoder, "towers", None)
    explainer = towers.image_explainer() if isinstance(towers, ExplainingTowers) else None
    if explainer is None:
        raise ImageError(
            f"the model {encoder.identity.name} cannot tell where in a picture a score comes from"
        )
    return explainer
