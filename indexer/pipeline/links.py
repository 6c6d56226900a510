"""Links that the catalogue holds already: a second run over a corpus states all of them again."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from indexer.store.changes import NewLink
from indexer.store.known import find_links, item_ids_of


def new_links(
    connection: Connection, links: Mapping[tuple[str, str], NewLink], corpus_id: int
) -> dict[tuple[str, str], NewLink]:
    """Give the links of those texts whose links in the catalogue are not as this corpus states them.

    A text whose links all stand there, and of which this corpus stated no others before, needs no writing.
    """
    ids = item_ids_of(connection, {uri for pair in links for uri in pair})
    images_of: dict[str, set[str]] = {}
    for image, text in links:
        images_of.setdefault(text, set()).add(image)
    linked = find_links(connection, (ids[text] for text in images_of if text in ids))
    known: set[str] = set()
    for text, images in images_of.items():
        corpus_of = linked.get(ids[text], {}) if text in ids else {}
        stated_before = {image for image, corpus in corpus_of.items() if corpus == corpus_id}
        if stated_before <= {ids.get(image) for image in images} <= corpus_of.keys():
            known.add(text)
    return {pair: link for pair, link in links.items() if pair[1] not in known}
