"""Vectors in a table of PostgreSQL: the server proposes by its own float32 arithmetic, in an exact scan.

Scores are decided on this side, as for every store, so that orders are those of a folder bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_schema import VECTORS
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores.protocols import SAMPLE_ROWS
from retrieval.types import Kind

IDS_A_STATEMENT = 4096  # vectors that are read at a time: 8 MiB at 512 dimensions
MOST_LISTED = 20_000  # ids that a statement lists; more are sent as bits
DEEPER = 4  # times the rows, where those proposed do not suffice


class ServerStore:
    """The vectors of one kind in a transaction; see :class:`~retrieval.collection.stores.protocols.KindStore`.

    For one thread, and as long as the transaction.

    Args:
        connection: in a read transaction.
        kind: of the vectors.
        dimension: of the vectors.
        chosen: encoding ids, ascending, where the store is of some of the vectors alone.
        counts: how many vectors there are of each kind, as far as it was counted in this generation.
    """

    def __init__(
        self,
        connection: ServerConnection,
        kind: Kind,
        dimension: int,
        chosen: NDArray[np.int64] | None = None,
        counts: dict[Kind, int] | None = None,
    ) -> None:
        self.connection, self.kind, self.dimension, self._chosen = connection, kind, dimension, chosen
        self._counts: dict[Kind, int] = ({} if counts is None else counts) if chosen is None else {}

    @property
    def rows(self) -> int:
        """Number of vectors, masked ones included."""
        if self.kind not in self._counts:
            self._counts[self.kind] = int(self._send("SELECT count(*) FROM {table} WHERE {these}")[0][0])
        return self._counts[self.kind]

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
        return ServerStore(self.connection, self.kind, self.dimension, chosen)

    def on(self, other: ServerStore) -> ServerStore:
        """Give this store, whose ids and number of rows are known, for the transaction of another one."""
        store = ServerStore(other.connection, self.kind, self.dimension, self._chosen)
        store._counts = self._counts
        return store

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
        rows = self._send(sql, _written(query), masked.tolist(), depth, first=1)
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

    def passing(self, masked: NDArray[np.int64]) -> Passing | None:
        """Give those of its vectors that are not masked, as a condition; None where these are all of the kind."""
        if self._chosen is None and not len(masked):
            return None
        return Passing.of(self._all_ids() if self._chosen is None else self._chosen, masked)

    def _all_ids(self) -> NDArray[np.int64]:
        return np.arange(self.last + 1, dtype=np.int64)

    def near(
        self, query: NDArray[np.float32], count: int, passing: Passing | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find vectors near a query through an index: ids, and the vectors, (n, d) float32.

        Args:
            query: (d,) float32.
            count: of vectors.
            passing: those that may be found; None is all.
        """
        condition, parameters = ("true", []) if passing is None else passing.condition()
        rows = self._send(_NEAR, *parameters, _written(query), count, passing=condition)
        ids = np.array([number for number, _ in rows], np.int64)
        return ids, decoded([vector for _, vector in rows], self.dimension)

    def plan(self) -> str:
        """Give the plan of :meth:`near`."""
        query = np.zeros(self.dimension, np.float32)
        rows = self._send(f"EXPLAIN {_NEAR}", _written(query), 10, passing="true")
        return "\n".join(str(line) for (line,) in rows)

    def _send(self, sql: str, *parameters: object, first: int = 0, passing: str = "") -> list[Any]:
        """Send a statement over the vectors of this store; ``first`` parameters stand before their condition."""
        these, chosen = self._these()
        text = sql.format(
            table=VECTORS[self.kind],
            these=these,
            extension=self.connection.extension,
            dimension=self.dimension,
            passing=passing,
        )
        given = [*parameters[:first], *chosen, *parameters[first:]]
        return self.connection.send(text, given).fetchall()

    def _these(self) -> tuple[str, list[object]]:
        """Write the condition of the vectors of this store, with its parameters."""
        if self._chosen is None:
            return "true", []
        if len(self._chosen) <= MOST_LISTED:
            return "encoding_id = ANY(%s)", [self._chosen.tolist()]
        return Passing.of(self._chosen, np.empty(0, np.int64)).condition()


_NEAR = (
    "SELECT encoding_id, vector FROM {table} WHERE {passing} "
    "ORDER BY (vector::{extension}.halfvec({dimension})) "
    "OPERATOR({extension}.<#>) %s::{extension}.halfvec({dimension}) LIMIT %s"
)


@dataclass(frozen=True, slots=True)
class Passing:
    """Encodings as bits, by id: a test of a row takes no search, and a million of them 125 kB."""

    bits: bytes

    @classmethod
    def of(cls, ids: NDArray[np.int64], but: NDArray[np.int64]) -> Passing:
        """Make it of ids, ascending, without some others."""
        is_in = np.zeros(int(ids[-1]) + 1 if len(ids) else 0, bool)
        is_in[ids] = True
        is_in[but[but < len(is_in)]] = False
        return cls(np.packbits(is_in, bitorder="little").tobytes())

    def condition(self) -> tuple[str, list[object]]:
        """Write it as SQL, with its parameters."""
        return (
            "CASE WHEN encoding_id < %s THEN get_bit(%s, encoding_id) = 1 ELSE false END",
            [8 * len(self.bits), self.bits],
        )


def _written(query: NDArray[np.float32]) -> str:
    """Write a query; decimals of a double that is a float32 are read as that float32."""
    return f"[{','.join(map(repr, query.tolist()))}]"


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
