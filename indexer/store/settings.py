"""Named values of the catalogue, set inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from indexer.store.many_rows import write_rows


def set_settings(connection: Connection, values: Mapping[str, str]) -> None:
    """Set values by their names, in the place of those that were there."""
    upsert = "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    write_rows(connection, upsert, list(values.items()))


def drop_settings(connection: Connection, names: Iterable[str]) -> None:
    """Remove values, of which some may not be there."""
    write_rows(connection, "DELETE FROM settings WHERE name = ?", [(name,) for name in names])
