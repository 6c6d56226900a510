"""Vectors in a table of PostgreSQL: the server proposes by its own float32 arithmetic, in an exact scan.

Scores are decided on this side, as for every store, so that orders are those of a folder bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_schema import VECTORS
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores.protocols import SAMPLE_ROWS
from retrieval.types import Kind

IDS_A_STATEMENT = 4096  # vectors that are read at a time: 8 MiB at 512 dimensions
DEEPER = 4  # times the rows, where those proposed do not suffice


class ServerStore:
    """The vectors of one kind in a transaction; see :class:`~retrieval.collection.stores.protocols.KindStore`.

    For one thread, and as long as the transaction.

    Args:
        connection: in a read transaction.
        kind: of the vectors.
        dimension: of the vectors.
        chosen: encoding ids, ascending, where the store is of some of the vectors alone.
    """

    def __init__(
        self,
        connection: ServerConnection,
        kind: Kind,
        dimension: int,
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        self._connection, self._kind, self.dimension, self._chosen = connection, kind, dimension, chosen
        self._rows: int | None = None

    @property
    def rows(self) -> int:
        """Number of vectors, masked ones included."""
        if self._rows is None:
            self._rows = int(self._send("SELECT count(*) FROM {table} WHERE {these}")[0][0])
        return self._rows

    @property
    def ids(self) -> NDArray[np.int64]:
        """Encoding ids of all its vectors, (n,) int64, ascending."""
        return _ids(self._send("SELECT encoding_id FROM {table} WHERE {these} ORDER BY encoding_id"))

    @property
    def last(self) -> int:
        """The highest id of an encoding; 0 where there is none."""
        return int(self._send("SELECT coalesce(max(encoding_id), 0) FROM {table} WHERE {these}")[0][0])

    def ids_after(self, last: int) -> NDArray[np.int64]:
        """Give the ids of the encodings after the one with this id, ascending."""
        sql = "SELECT encoding_id FROM {table} WHERE {these} AND encoding_id > %s ORDER BY encoding_id"
        return _ids(self._send(sql, last))

    def only(self, ids: NDArray[np.int64]) -> ServerStore:
        """Give a store of some of the vectors."""
        chosen = ids if self._chosen is None else np.intersect1d(ids, self._chosen)
        return ServerStore(self._connection, self._kind, self.dimension, chosen)

    def propose(
        self, queries: NDArray[np.float32], depth: int, masked: NDArray[np.int64]
    ) -> list[ServerProposals]:
        """Propose the ``depth`` best rows for each query."""
        return [ServerProposals(self, query, depth, masked) for query in queries]

    def best(
        self, query: NDArray[np.float32], depth: int, masked: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the best rows by the server's arithmetic: ids and scores, the highest first."""
        product = "(vector OPERATOR({extension}.<#>) %s::{extension}.vector)"
        sql = (
            f"SELECT encoding_id, {product} AS product FROM {{table}} "
            "WHERE {these} AND encoding_id <> ALL(%s) ORDER BY product LIMIT %s"
        )
        # decimals of a double that is a float32 are read as that float32
        asked = f"[{','.join(map(repr, query.tolist()))}]"
        rows = self._send(sql, asked, masked.tolist(), depth, first=1)
        ids = np.array([number for number, _ in rows], np.int64)
        return ids, -np.array([product for _, product in rows], np.float32)

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give vectors by encoding id.

        Raises:
            KeyError: the store holds no vector of one of them.
            WrongValue: one of them is not of the encoder's dimension.
        """
        found = np.empty((len(ids), self.dimension), np.float32)
        sql = "SELECT encoding_id, vector FROM {table} WHERE {these} AND encoding_id = ANY(%s)"
        for start in range(0, len(ids), IDS_A_STATEMENT):
            wanted = ids[start : start + IDS_A_STATEMENT]
            rows = dict(self._send(sql, wanted.tolist()))
            stored = [rows[number] for number in wanted.tolist()]  # KeyError: the first that is not there
            found[start : start + len(wanted)] = decoded(stored, self.dimension)
        return found

    def sample(self, masked: NDArray[np.int64]) -> tuple[NDArray[np.float32], int]:
        """Give up to :data:`SAMPLE_ROWS` vectors at even distances, and how many there are in all."""
        live = "FROM {table} WHERE {these} AND encoding_id <> ALL(%s)"
        count = int(self._send(f"SELECT count(*) {live}", masked.tolist())[0][0])
        places = np.linspace(0, count - 1, min(count, SAMPLE_ROWS)).astype(np.int64)
        sql = (
            "SELECT encoding_id FROM (SELECT encoding_id, row_number() OVER (ORDER BY encoding_id) - 1 AS place "
            f"{live}) AS live WHERE place = ANY(%s) ORDER BY encoding_id"
        )
        return self.vectors(_ids(self._send(sql, masked.tolist(), places.tolist()))), count

    def _send(self, sql: str, *parameters: object, first: int = 0) -> list[Any]:
        """Send a statement over the vectors of this store; ``first`` parameters stand before their condition."""
        these = "true" if self._chosen is None else "encoding_id = ANY(%s)"
        chosen = [] if self._chosen is None else [self._chosen.tolist()]
        text = sql.format(table=VECTORS[self._kind], these=these, extension=self._connection.extension)
        given = [*parameters[:first], *chosen, *parameters[first:]]
        return self._connection.send(text, given).fetchall()


class ServerProposals:
    """Rows that a server has proposed for one query; see :class:`~retrieval.collection.stores.protocols.Proposals`."""

    def __init__(
        self, store: ServerStore, query: NDArray[np.float32], depth: int, masked: NDArray[np.int64]
    ) -> None:
        self._store, self._query, self._masked = store, query, masked
        self._propose(depth)

    def _propose(self, depth: int) -> None:
        self._depth = depth
        self.ids, self.scores = self._store.best(self._query, depth, self._masked)
        self.unseen_bound = float(self.scores[-1]) if len(self.ids) == depth else -np.inf

    def deepen(self, floor: float) -> None:
        """Propose more rows, the best first, whatever they score."""
        if self.unseen_bound >= floor and self.unseen_bound != -np.inf:
            self._propose(self._depth * DEEPER)


def decoded(stored: list[bytes], dimension: int) -> NDArray[np.float32]:
    """Decode vectors as the server sends them: the dimension and 0, in 16 bits each, then the floats.

    Raises:
        WrongValue: one is not of the dimension.
    """
    size = 4 + 4 * dimension
    head = dimension.to_bytes(2, "big")
    if any(type(one) is not bytes or len(one) != size or one[:2] != head for one in stored):
        raise WrongValue(f"the server holds a vector whose dimension is not {dimension}")
    rows = np.frombuffer(b"".join(stored), np.uint8).reshape(len(stored), size)[:, 4:]
    return np.ascontiguousarray(rows).view(">f4").astype(np.float32)


def _ids(rows: list[Any]) -> NDArray[np.int64]:
    return np.array([number for (number,) in rows], np.int64)
