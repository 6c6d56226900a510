"""Collections that move together with their pictures, as on a drive that is mounted somewhere else.

Such a collection keeps the uri of the folder that it lay in when it was last written. Where it lies elsewhere now,
readers see uris below that folder as lying below the folder of today; the next writer rewrites them.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from retrieval.collection.migrations import HIDDEN_SINCE
from retrieval.collection.statement import ReadConnection, Select, Setting
from retrieval.uris import file_uri, split_file_uri

RELATIVE_TO = "relative_to"
"""Name of the setting: uri of the folder that holds the collection's own; absent where uris stay as they are."""


@dataclass(frozen=True, slots=True)
class Move:
    """A folder, or an archive, with all in it, that lies elsewhere now; both as uris.

    Attributes:
        old: where the catalogue has it.
        new: where it is.
    """

    old: str
    new: str

    def uri(self, uri: str) -> str:
        """Give the uri of today for one of the catalogue."""
        old = self.old.removesuffix("/")
        if uri == self.old:
            return self.new
        return self.new.removesuffix("/") + uri[len(old) :] if uri.startswith((f"{old}/", f"{old}#")) else uri

    def path(self, path: str) -> str:
        """Give the absolute path of today for one in the spec of a corpus, which may hold braces."""
        old, new = _path(self.old), _path(self.new)
        if path == old:
            return new
        stem = old.rstrip(os.sep)
        return new.rstrip(os.sep) + path[len(stem) :] if path.startswith(stem + os.sep) else path


def folders_of(collection: Path) -> tuple[str, ...]:
    """Give the uris of the folder that holds a collection: as the collection is named, and without links."""
    named = Path(os.path.abspath(collection)).parent  # noqa: PTH100  resolve() would follow links
    return tuple(dict.fromkeys([file_uri(named), file_uri(collection.resolve().parent)]))


def relative_to(connection: ReadConnection) -> str | None:
    """Read the folder that a collection's uris count from; None where they do not, or the setting is not ours."""
    rows = _SETTING.rows(connection, RELATIVE_TO)
    value = rows[0].value if rows else ""
    split = None if "\0" in value else split_file_uri(value)
    return value if split is not None and split[1] is None and split[0].is_absolute() else None


def find_move(connection: ReadConnection, collection: Path) -> Move | None:
    """Find out whether a collection has been moved since it was last written; None where it has not, or stays put."""
    old = relative_to(connection)
    if old is None:
        return None
    here = folders_of(collection)
    return None if old in here else Move(old, here[-1])


def show_moved(connection: sqlite3.Connection, move: Move, schema: int) -> None:
    """Have a connection's statements see the uris of today.

    Temporary views take the place of the tables with uris. The catalogue stays as it is.

    Args:
        connection: in its read transaction.
        move: what is seen.
        schema: the catalogue's.
    """
    hide_moved(connection)
    connection.execute(
        "CREATE TEMP TABLE moved (old TEXT, new TEXT, low TEXT, high TEXT, kept TEXT, start INTEGER)"
    )
    stem = move.old.removesuffix("/")
    values = (
        move.old,
        move.new,
        f"{stem}/",
        f"{stem}0",
        len(stem) + 1,
        move.new.removesuffix("/"),
    )  # "0" is after "/"
    connection.execute(
        "INSERT INTO moved (old, new, low, high, start, kept) VALUES (?, ?, ?, ?, ?, ?)", values
    )
    for table in _TABLES:
        if table != "hidden" or schema >= HIDDEN_SINCE:
            names = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            columns = ", ".join(_TODAY if name == "uri" else f'"{name}"' for name in names)
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT {columns} FROM main.{table}")


def hide_moved(connection: sqlite3.Connection) -> None:
    """Have a connection's statements see the uris that the catalogue has."""
    for table in _TABLES:
        connection.execute(f"DROP VIEW IF EXISTS temp.{table}")
    connection.execute("DROP TABLE IF EXISTS temp.moved")


def _path(uri: str) -> str:
    split = split_file_uri(uri)
    assert split is not None, "a move has uris of files"
    return str(split[0])


_TABLES = ("items", "sources", "failures", "hidden")  # with a column uri
_TODAY = (
    "CASE WHEN uri = (SELECT old FROM moved) THEN (SELECT new FROM moved) "
    "WHEN uri >= (SELECT low FROM moved) AND uri < (SELECT high FROM moved) "
    "THEN (SELECT kept FROM moved) || substr(uri, (SELECT start FROM moved)) ELSE uri END AS uri"
)
_SETTING = Select(Setting, "SELECT name, value FROM settings WHERE name = ?")
