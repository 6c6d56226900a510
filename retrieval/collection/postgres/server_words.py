"""Words of items on a server: PostgreSQL finds the items that hold tokens, and scores are FTS5's, computed here.

The writer keeps the tokens of each item (:mod:`indexer.store.postgres.token_rows`), as FTS5 cuts them, by the ids of a
table of tokens. A GIN index finds the items that hold all tokens of a phrase; whether they follow each other is told by
their ids as text. PostgreSQL's own full text (tsvector) cuts other words, counts positions to 16,383 and keeps 256 of a
word in a text, so that answers could differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.postgres.bm25 import bm25, frequencies_of
from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_schema import WORDS_SINCE
from retrieval.collection.postgres.word_tokens import cut
from retrieval.collection.statement import ReadConnection
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.word_index import Joined

_TOTALS = "SELECT coalesce(sum(items), 0)::bigint, coalesce(sum(tokens), 0)::bigint FROM word_totals"
_INT4 = 23  # PostgreSQL's number of the type of the tokens


class ServerWords:
    """The words of a collection, in a read transaction; see :class:`retrieval.collection.word_index.WordIndex`."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._known: dict[str, list[int] | None] = {}

    @classmethod
    def on(cls, connection: ReadConnection) -> ServerWords:
        """Give the words of a collection that a connection reads."""
        assert isinstance(connection, ServerConnection)
        return cls(connection)

    def are_there(self) -> bool:
        """Whether the collection has words: an earlier version wrote none."""
        (number,) = self._connection.send("SELECT max(number) FROM migrations").fetchall()[0]
        return bool(number >= WORDS_SINCE)

    def matching(self, phrases: Sequence[str], joined: Joined) -> NDArray[np.int64]:
        """Find the items that hold all or any of some phrases."""
        condition, parameters = self._condition(phrases, joined)
        sql = f"SELECT item_id FROM item_words WHERE {condition} ORDER BY item_id"
        ids = [number for (number,) in self._connection.send(sql, parameters)]
        if not all(type(number) is int for number in ids):
            raise WrongValue("the server holds words of something that is not an item")
        return np.array(ids, np.int64)

    def scores(self, phrases: Sequence[str], joined: Joined, ids: NDArray[np.int64]) -> list[float]:
        """Score the first items that match."""
        tokens, lengths = self._tokens_of(ids)
        frequencies = np.zeros((len(phrases), len(ids)), np.int64)
        for place, phrase in enumerate(self._ids_of(phrases)):
            if phrase:
                frequencies[place] = frequencies_of(phrase, tokens, lengths)
        holding = self._counts(phrases, None)
        ((items, total),) = self._connection.send(_TOTALS).fetchall()
        if len(lengths) != len(ids) or items < max(holding) or total < len(tokens):
            raise WrongValue("the server holds other numbers of words than its items have")
        return list(bm25(frequencies, lengths, holding, items, total).tolist())

    def counts(self, phrases: Sequence[str], most: int) -> list[int]:
        """Count the items that hold each phrase, up to so many."""
        return self._counts(phrases, most)

    def any_holds(self, phrases: Sequence[str], ids: Iterable[int]) -> bool:
        """Whether one of some items holds all phrases."""
        condition, parameters = self._condition(phrases, "AND")
        sql = f"SELECT EXISTS (SELECT 1 FROM item_words WHERE item_id = ANY(%s) AND ({condition}))"
        return bool(self._connection.send(sql, [list(ids), *parameters]).fetchall()[0][0])

    def _counts(self, phrases: Sequence[str], most: int | None) -> list[int]:
        """Count in one statement, which is one way to the server."""
        if not phrases:
            return []
        columns, parameters = [], []
        for phrase in phrases:
            condition, given = self._condition([phrase], "AND")
            columns.append(f"(SELECT count(*) FROM (SELECT 1 FROM item_words WHERE {condition} LIMIT %s))")
            parameters += [*given, most]
        return list(self._connection.send(f"SELECT {', '.join(columns)}", parameters).fetchall()[0])

    def _condition(self, phrases: Sequence[str], joined: Joined) -> tuple[str, list[object]]:
        """Write the condition of items that hold phrases, with its parameters."""
        conditions: list[str] = []
        parameters: list[object] = []
        for phrase in self._ids_of(phrases):
            if not phrase:
                conditions.append("false")
                continue
            conditions.append("tokens @> %s::integer[]")
            parameters.append(phrase)
            if len(phrase) > 1:
                conditions[-1] += " AND strpos(' ' || array_to_string(tokens, ' ') || ' ', %s) > 0"
                parameters.append(f" {' '.join(map(str, phrase))} ")
        return f" {joined} ".join(f"({one})" for one in conditions), parameters

    def _ids_of(self, phrases: Sequence[str]) -> list[list[int] | None]:
        """Give the ids of the tokens of each phrase; None where it has none, or one that no item ever held."""
        new = [phrase for phrase in phrases if phrase not in self._known]
        if new:
            tokens_of = cut(new)
            asked = sorted({token for tokens in tokens_of for token in tokens})
            sql = "SELECT token, id FROM word_tokens WHERE token = ANY(%s)"
            id_of = dict(self._connection.send(sql, [asked]).fetchall())
            for phrase, tokens in zip(new, tokens_of, strict=True):
                ids = [id_of[token] for token in tokens if token in id_of]
                self._known[phrase] = ids if ids and len(ids) == len(tokens) else None
        return [self._known[phrase] for phrase in phrases]

    def _tokens_of(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read the tokens of items, one item after the other, and how many each has."""
        sql = "SELECT array_send(tokens) FROM item_words WHERE item_id = ANY(%s) ORDER BY item_id"
        return decoded_tokens([sent for (sent,) in self._connection.send(sql, [ids.tolist()])])


def decoded_tokens(sent: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Decode arrays of integers as the server sends them: (t,) int64, one after the other, and the length of each.

    An array has the number of dimensions, a flag for nulls, its type, the length and first place of its dimension, then
    each value behind its size; one without values ends after the type.

    Raises:
        WrongValue: one is anything else.
    """
    if not all(type(one) is bytes for one in sent):
        raise WrongValue("the server holds an item without words")
    heads = np.frombuffer(b"".join((one[:20] if len(one) > 12 else one + bytes(8)) for one in sent), ">i4")
    heads = heads.reshape(len(sent), 5)
    lengths = heads[:, 3].astype(np.int64)
    sizes = np.array([len(one) for one in sent])
    is_sound = (heads[:, 1] == 0) & (heads[:, 2] == _INT4) & (heads[:, 0] == (lengths > 0))
    if not np.all(is_sound & (sizes == np.where(lengths > 0, 20, 12) + 8 * lengths)):
        raise WrongValue("the server holds words that are not a list of tokens")
    values = np.frombuffer(b"".join(one[20:] for one in sent), ">i4")
    return values[1::2].astype(np.int64), lengths
