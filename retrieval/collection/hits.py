"""Item ids to hits: one pass over the catalogue for all queries of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from retrieval.collection import schema
from retrieval.collection.catalogue import chunked, parse_attributes
from retrieval.collection.column_types import WrongValue
from retrieval.types import Hit, LinkedText


def read_hits(
    connection: Connection, ranked: Sequence[Sequence[tuple[int, float]]], hidden_texts: NDArray[np.int64]
) -> list[list[Hit]]:
    """Hits of each query, in the order of its (item id, score) pairs; without captions that are hidden."""
    wanted = {item for pairs in ranked for item, _ in pairs}
    rows = _read_rows(connection, wanted)
    if len(rows) < len(wanted):
        raise WrongValue("the catalogue holds items without a content")
    images = (number for number, row in rows.items() if row.kind == "image")
    captions = _read_captions(connection, images, hidden_texts)
    return [
        [_hit(rows[item], rank, score, captions) for rank, (item, score) in enumerate(pairs, start=1)]
        for pairs in ranked
    ]


def read_items(connection: Connection, ids: Iterable[int], hidden_texts: NDArray[np.int64]) -> list[Hit]:
    """Items by id, ascending, as hits of rank 0 and score 0; without captions that are hidden."""
    rows = _read_rows(connection, ids)
    images = (number for number, row in rows.items() if row.kind == "image")
    captions = _read_captions(connection, images, hidden_texts)
    return [_hit(rows[number], 0, 0.0, captions) for number in sorted(rows)]


def _hit(row: Any, rank: int, score: float, captions: dict[int, list[LinkedText]]) -> Hit:
    return Hit(
        rank=rank,
        score=score,
        id=row.id,
        kind=row.kind,
        uri=row.uri,
        key=row.key,
        text=row.text,
        lang=row.lang,
        captions=tuple(captions.get(row.id, ())),
        attributes=parse_attributes(row.attributes),
    )


def _read_rows(connection: Connection, ids: Iterable[int]) -> dict[int, Any]:
    items, contents = schema.items, schema.contents
    statement = select(
        items.c.id, items.c.kind, items.c.uri, items.c.key, items.c.lang, items.c.attributes, contents.c.text
    ).join(contents, contents.c.id == items.c.content_id)
    rows: dict[int, Any] = {}
    for chunk in chunked(sorted(ids)):
        rows.update((row.id, row) for row in connection.execute(statement.where(items.c.id.in_(chunk))))
    return rows


def _read_captions(
    connection: Connection, images: Iterable[int], hidden_texts: NDArray[np.int64]
) -> dict[int, list[LinkedText]]:
    unwanted = set(hidden_texts.tolist())
    links, items, contents = schema.links, schema.items, schema.contents
    statement = (
        select(links.c.image_item, items.c.id, items.c.uri, items.c.lang, contents.c.text)
        .join(items, items.c.id == links.c.text_item)
        .join(contents, contents.c.id == items.c.content_id)
        .order_by(links.c.image_item, links.c.rank, items.c.id)
    )
    captions: dict[int, list[LinkedText]] = {}
    for chunk in chunked(sorted(images)):
        for row in connection.execute(statement.where(links.c.image_item.in_(chunk))):
            if row.id in unwanted:
                continue
            captions.setdefault(row.image_item, []).append(LinkedText(row.id, row.uri, row.text, row.lang))
    return captions
