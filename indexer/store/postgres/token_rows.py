"""The tokens of the words that items on a server are found by, kept true with the items in every commit.

They are cut from the documents that a folder's full text has (:mod:`indexer.store.word_rows`), by its tokenizer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np
from psycopg import sql

from indexer.store.postgres.bulk import copy_rows
from indexer.store.word_rows import document_from
from retrieval.collection.fulltext import has_fts5
from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_words import decoded_tokens
from retrieval.collection.postgres.word_tokens import cut
from retrieval.collection.statement import ReadConnection, Select, id_list
from retrieval.collection.stored_values import WrongValue
from retrieval.errors import CollectionError
from retrieval.places import ServerAddress
from retrieval.types import Kind

PAGE_ITEMS = 2000


class _Item(NamedTuple):
    id: int
    content: int
    kind: Kind
    uri: str
    text: str | None
    attributes: str


class _OtherText(NamedTuple):
    content: int
    text: str


_COLUMNS = (
    "SELECT items.id, content_id, items.kind, uri, contents.text, attributes FROM items "
    "JOIN contents ON contents.id = content_id"
)
_BY_ID = Select(_Item, f"{_COLUMNS} WHERE items.id IN (SELECT value FROM json_each(?)) ORDER BY items.id")
_AFTER = Select(_Item, f"{_COLUMNS} WHERE items.id > ? ORDER BY items.id LIMIT ?")
_OTHER_TEXTS = Select(
    _OtherText,
    "SELECT content_id, text FROM image_texts WHERE content_id IN (SELECT value FROM json_each(?)) "
    "AND text <> '' ORDER BY content_id, origin",
)


def check_cutting(address: ServerAddress) -> None:
    """Refuse to write to a collection on a server where its words cannot be kept true.

    Raises:
        CollectionError: the SQLite of this Python has no FTS5.
    """
    with closing(sqlite3.connect(":memory:")) as memory:
        if not has_fts5(memory):
            raise CollectionError(
                f"collection {address} has an index of words, which the SQLite of this Python cannot keep (it lacks "
                "FTS5); write to it with another Python"
            )


def replace_tokens(server: ServerConnection, rows: ReadConnection, changed: Iterable[int]) -> None:
    """Make the tokens of some items those of their words, in a transaction.

    Args:
        server: where they are written.
        rows: has the rows of the items.
        changed: ids of items, also of those that are gone.
    """
    ids = sorted(changed)
    for start in range(0, len(ids), PAGE_ITEMS):
        page = ids[start : start + PAGE_ITEMS]
        gone = server.send(
            "WITH gone AS (DELETE FROM item_words WHERE item_id = ANY(%s) RETURNING cardinality(tokens) AS number) "
            "SELECT count(*), coalesce(sum(number), 0)::bigint FROM gone",
            [page],
        ).fetchall()[0]
        _add_to_totals(server, -gone[0], -gone[1])
        _write(server, _documents(rows, _BY_ID.rows(rows, id_list(page))))


def rebuild_tokens(server: ServerConnection) -> None:
    """Make the tokens of all items of a collection anew, in a transaction."""
    for table in ("item_words", "word_tokens"):
        server.driver.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    server.driver.execute("DELETE FROM word_totals")
    server.driver.execute("INSERT INTO word_totals (items, tokens) VALUES (0, 0)")
    for page in _pages(server):
        _write(server, _documents(server, page))


def wrong_tokens(server: ServerConnection) -> list[str]:
    """Compare the tokens of all items with their words; a sentence for each kind of fault."""
    try:
        return _compared(server)
    except WrongValue as error:
        return [str(error)]


def _compared(server: ServerConnection) -> list[str]:
    wrong, items, total, last = 0, 0, 0, -(2**63)
    for page in _pages(server):
        documents = _documents(server, page)
        stored = _stored(server, last, page[-1].id)
        expected = dict(zip(documents, cut(documents.values()), strict=True))
        wrong += sum(expected.get(item) != stored.get(item) for item in expected.keys() | stored.keys())
        items, total, last = items + len(expected), total + sum(map(len, expected.values())), page[-1].id
    wrong += len(_stored(server, last, 2**63 - 1))
    faults = [f"{wrong} items are found by other words than they have"] if wrong else []
    if server.send("SELECT items, tokens FROM word_totals").fetchall() != [(items, total)]:
        faults.append("the numbers of all words are not those of its items")
    return faults


def _pages(server: ServerConnection) -> Iterator[list[_Item]]:
    last = 0
    while page := _AFTER.rows(server, last, PAGE_ITEMS):
        yield page
        last = page[-1].id


def _documents(rows: ReadConnection, items: list[_Item]) -> dict[int, str]:
    """Give what the words of items are taken from, by id."""
    others: dict[int, list[str]] = {}
    images = {item.content for item in items if item.kind == "image"}
    for row in _OTHER_TEXTS.rows(rows, id_list(images)) if images else []:
        others.setdefault(row.content, []).append(row.text)
    return {
        item.id: document_from(
            item.kind, item.uri, item.text, item.attributes, "\n".join(others.get(item.content, []))
        )
        for item in items
    }


def _write(server: ServerConnection, documents: dict[int, str]) -> None:
    tokens_of = cut(documents.values())
    id_of = _token_ids(server, {token for tokens in tokens_of for token in tokens})
    rows = [
        (item, f"{{{','.join([id_of[token] for token in tokens])}}}")
        for item, tokens in zip(documents, tokens_of, strict=True)
    ]
    copy_rows(server, sql.Identifier("item_words"), ("item_id", "tokens"), [rows], "items")
    _add_to_totals(server, len(rows), sum(map(len, tokens_of)))


def _add_to_totals(server: ServerConnection, items: int, tokens: int) -> None:
    server.send("UPDATE word_totals SET items = items + %s, tokens = tokens + %s", [items, tokens])


def _token_ids(server: ServerConnection, wanted: set[str]) -> dict[str, str]:
    """Give the ids of tokens, as decimals; add those that are new. There is one writer, so none comes twice."""
    found = server.send(
        "SELECT token, id FROM word_tokens WHERE token = ANY(%s)", [sorted(wanted)]
    ).fetchall()
    id_of = {token: str(number) for token, number in found}
    if new := sorted(wanted - id_of.keys()):
        last = server.send("SELECT coalesce(max(id), 0) FROM word_tokens").fetchall()[0][0]
        rows = list(enumerate(new, last + 1))
        copy_rows(server, sql.Identifier("word_tokens"), ("id", "token"), [rows], "tokens")
        id_of |= {token: str(number) for number, token in rows}
    return id_of


def _stored(server: ServerConnection, after: int, end: int) -> dict[int, list[str | None]]:
    """Read the tokens of items with ids in a range; None for one that the server does not know."""
    rows = server.send(
        "SELECT item_id, array_send(tokens) FROM item_words WHERE item_id > %s AND item_id <= %s",
        [after, end],
    ).fetchall()
    numbers, lengths = decoded_tokens([sent for _, sent in rows])
    used = np.unique(numbers).tolist()
    names = dict(server.send("SELECT id, token FROM word_tokens WHERE id = ANY(%s)", [used]).fetchall())
    tokens = [names.get(number) for number in numbers.tolist()]
    ends = np.cumsum(lengths).tolist()
    return {
        item: tokens[end - length : end]
        for (item, _), end, length in zip(rows, ends, lengths.tolist(), strict=True)
    }
