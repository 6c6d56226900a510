"""Approximate search on a server: pgvector's inverted file of vectors in half precision proposes, float32 decides.

Vectors lie in lists, each in that of the nearest centre, and a search looks through the lists whose centres are nearest
to the query. It is not a graph (HNSW), because images that a text finds are seldom neighbours of each other: among
200,000 a graph found 0.978 of the 10 best with the longest list that pgvector takes, in three times the time.

It is used where it was measured (``vlsearch optimize``), and where the plan is sure to use it: otherwise vectors are
scanned. A condition that lets few vectors through is always answered by a scan of those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.measurement import IndexMeasurement, parse_measurement
from retrieval.collection.accelerators.planning import IndexCost, is_too_deep, scaled
from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_schema import VECTORS
from retrieval.collection.postgres.server_store import ServerStore
from retrieval.collection.score import exact_scores
from retrieval.collection.search import Candidates, best_of, search
from retrieval.collection.statement import Select, Setting
from retrieval.collection.stored_values import WrongValue
from retrieval.types import KINDS, Kind

LARGEST_DIMENSION = 4000  # that pgvector indexes in half precision
OLDEST_EXTENSION = (0, 8)  # of pgvector, which has iterative scans from there on

EXACT_ROWS = 20_000
"""Vectors that a condition lets through, below which they are scanned: that takes some 30 ms, and misses none."""

LARGEST_PROBES = 32_768  # lists that pgvector takes

MOST_PROPOSED = 4000
"""Candidates of a query, each of which is sent; a search that needs more scans."""

MEASURED: Mapping[Kind, str] = {kind: f"ivf_{kind}" for kind in KINDS}
"""Names of the settings that hold what was measured of an index."""

INDEXES: Mapping[Kind, str] = {kind: f"{table}_ivf" for kind, table in VECTORS.items()}
"""Names of the indexes."""


class IndexFacts(NamedTuple):
    """Vectors in an index, and its bytes on the server's disk."""

    rows: int
    size: int


class ServerIndex:
    """The index of a kind in one generation; safe to share between threads.

    Attributes:
        facts: its size.
        measurement: its measured recall and speed.
    """

    def __init__(self, facts: IndexFacts, measurement: IndexMeasurement) -> None:
        self.facts, self.measurement = facts, measurement

    def search(
        self,
        store: ServerStore,
        queries: NDArray[np.float32],
        k: int,
        masked: NDArray[np.int64],
        some: ServerStore | None = None,
    ) -> list[Candidates]:
        """Find for each query nearly all of its k best encodings, masked ones left out, and all that tie with the last.

        Never fewer than k where there are k: a query that finds fewer is answered by a scan.

        Args:
            store: all vectors of the kind.
            queries: (q, d) float32 unit rows.
            k: >= 1.
            masked: encoding ids that are not to be found, ascending.
            some: those of the vectors that may be found; None is all.
        """
        searched = store if some is None else some
        scan = self.scan(k, searched.rows / max(1, store.rows))
        if scan is None or (some is not None and IndexCost(EXACT_ROWS).saved(some.rows, scan.proposed) < 0):
            return search(searched, queries, k, masked)
        passing = searched.passing(masked)
        found = []
        with scanning(store.connection, scan.probes, scan.most_probes):
            for query in np.ascontiguousarray(queries, np.float32):
                ids, vectors = store.near(query, scan.proposed, passing)
                found.append(best_of(ids, exact_scores(vectors, query), k))
        return [
            one if len(one.ids) >= k else search(searched, queries[number : number + 1], k, masked)[0]
            for number, one in enumerate(found)
        ]

    def scan(self, k: int, share: float) -> Scan | None:
        """Scale what was tuned to k hits among a share of the vectors; None where that is too much.

        The k best of a share are about the k / share best of all.
        """
        tuned = self.measurement
        if share <= 0:
            return None
        probes, _ = scaled(tuned.probes if share == 1 else tuned.filtered_probes, 0, math.ceil(k / share))
        _, proposed = scaled(0, tuned.proposed, k)
        if proposed > MOST_PROPOSED or is_too_deep(probes, tuned.lists):
            return None
        # twice the lists are looked through where too few of the vectors in them may be found
        return Scan(proposed, min(probes, LARGEST_PROBES), min(2 * probes, tuned.lists, LARGEST_PROBES))


class Scan(NamedTuple):
    """What a search asks of an index: candidates, lists, and lists after which it gives up."""

    proposed: int
    probes: int
    most_probes: int


@contextmanager
def scanning(connection: ServerConnection, probes: int, most_probes: int) -> Iterator[None]:
    """Have statements of a block, in a transaction, search through indexes, and none after it.

    Raises:
        WrongValue: the server does not take a setting; pgvector would go on with another value, and say nothing.
    """
    settings = {
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_sort": "off",
        "ivfflat.probes": str(probes),
        "ivfflat.iterative_scan": "relaxed_order",
        "ivfflat.max_probes": str(most_probes),
    }
    connection.driver.execute("SAVEPOINT scanning")
    # settings of a library that is not loaded yet would not be checked
    connection.send(f"SELECT '[1]'::{connection.extension}.vector")
    sets = ", ".join("set_config(%s, %s, true)" for _ in settings)
    connection.send(f"SELECT {sets}", [part for pair in settings.items() for part in pair])
    reads = ", ".join("current_setting(%s)" for _ in settings)
    [found] = connection.send(f"SELECT {reads}", list(settings)).fetchall()
    if list(found) != list(settings.values()):
        raise WrongValue(f"the server has other settings than were set ({', '.join(found)})")
    yield
    connection.driver.execute("ROLLBACK TO SAVEPOINT scanning")  # which takes the settings back
    connection.driver.execute("RELEASE SAVEPOINT scanning")


def read_indexes(connection: ServerConnection, dimension: int) -> dict[Kind, ServerIndex]:
    """Read, in a transaction, which kinds have an index that was measured, is whole, and is used by searches.

    Raises:
        WrongValue: what was measured cannot be read.
    """
    measured = {row.name: row.value for row in _SETTINGS.rows(connection)}
    found: dict[Kind, ServerIndex] = {}
    for kind in KINDS:
        if MEASURED[kind] in measured and (size := index_size(connection, kind)) is not None:
            store = ServerStore(connection, kind, dimension)
            if is_used(store):
                measurement = _parsed(measured[MEASURED[kind]])
                found[kind] = ServerIndex(IndexFacts(store.rows, size), measurement)
    return found


def index_size(connection: ServerConnection, kind: Kind) -> int | None:
    """Measure the index of a kind; None where there is none that is whole."""
    rows = connection.send(
        "SELECT pg_relation_size(indexrelid), indisvalid AND indisready FROM pg_index "
        f"JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = '{VECTORS[kind]}'::regclass AND relname = %s",
        [INDEXES[kind]],
    ).fetchall()
    return int(rows[0][0]) if rows and rows[0][1] is True else None


def index_lists(connection: ServerConnection, kind: Kind) -> int:
    """Read how many lists the index of a kind has; 0 where there is none."""
    rows = connection.send(
        "SELECT substring(option, 7)::bigint FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid, "
        f"unnest(reloptions) AS option WHERE indrelid = '{VECTORS[kind]}'::regclass AND relname = %s "
        "AND option LIKE 'lists=%%'",
        [INDEXES[kind]],
    ).fetchall()
    return int(rows[0][0]) if rows else 0


def is_used(store: ServerStore) -> bool:
    """Whether the plan of a search is one through the index, which is a matter of its expression and of the server."""
    if store.dimension > LARGEST_DIMENSION or not has_iterative_scans(store.connection):
        return False
    with scanning(store.connection, 1, 1):
        plan = store.plan()
    return f" using {INDEXES[store.kind]} " in plan


def has_iterative_scans(connection: ServerConnection) -> bool:
    """Whether pgvector is new enough for searches under a condition."""
    [(version,)] = connection.send("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchall()
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= OLDEST_EXTENSION


def _parsed(stored: str) -> IndexMeasurement:
    try:
        return parse_measurement(IndexMeasurement, stored)
    except ValueError as error:
        raise WrongValue("what was measured of an index cannot be read") from error


_SETTINGS = Select(
    Setting, f"SELECT name, value FROM settings WHERE name IN ('{MEASURED['image']}', '{MEASURED['text']}')"
)
