"""Words of captions, the texts that are linked to images: which images have captions, and which are found by them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import fulltext
from retrieval.collection.statement import Number, ReadConnection, Select, SelectIds, id_list


def has_caption_words(connection: ReadConnection) -> bool:
    """Whether images have captions whose words can be looked for."""
    return (
        bool(_ANY_LINK.rows(connection)[0].number)
        and fulltext.has_words(connection)
        and fulltext.has_fts5(connection)
    )


def images_by_words(connection: ReadConnection, text: str, hidden: NDArray[np.int64]) -> dict[int, float]:
    """Find the images with a caption that holds any rare word of a text; each has the BM25 score of its best caption.

    Args:
        connection: to a collection with :func:`has_caption_words`.
        text: whose words count, but for those that very many items, or half of the texts, hold.
        hidden: ids of texts that do not count.
    """
    found = fulltext.find_rare(connection, text)
    seen = ~np.isin(found.ids, hidden)
    matches = fulltext.Matches(found.ids[seen], found.scores[seen])
    return fulltext.images_of_texts(connection, matches) if len(matches.ids) else {}


def with_captions(
    connection: ReadConnection, images: Iterable[int], hidden: NDArray[np.int64]
) -> frozenset[int]:
    """Give those of some images that have a caption, other than the hidden texts."""
    found = _CAPTIONED.array(connection, id_list(images), id_list(hidden.tolist()))
    return frozenset(found.tolist())


_ANY_LINK = Select(Number, "SELECT count(*) FROM (SELECT 1 FROM links LIMIT 1)")
_CAPTIONED = SelectIds(
    "SELECT DISTINCT image_item FROM links WHERE image_item IN (SELECT value FROM json_each(?)) "
    "AND NOT text_item IN (SELECT value FROM json_each(?)) ORDER BY image_item"
)
