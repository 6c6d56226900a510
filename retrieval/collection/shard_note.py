"""Which part of its corpus a collection holds, where ``vlsearch index --shard`` made it; kept in the settings."""

from __future__ import annotations

import re

from retrieval.collection.statement import ReadConnection, Select, Setting

SHARD = "shard"
"""The setting's name; its value is ``i/n``."""

_VALUE = re.compile(r"[0-9]{1,9}/[0-9]{1,9}")


def read_shard(connection: ReadConnection) -> str | None:
    """Read which shard a collection is, as ``i/n``; None where it is not one."""
    settings = _SHARD.rows(connection, SHARD)
    return settings[0].value if settings and _VALUE.fullmatch(settings[0].value) else None


_SHARD = Select(Setting, "SELECT name, value FROM settings WHERE name = ?")
