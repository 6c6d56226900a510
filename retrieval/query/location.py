"""Which collection is meant where none is named: one answer for the command line and for Python."""

from __future__ import annotations

import os
from pathlib import Path

from retrieval.uris import expand_home

VARIABLE = "VLSEARCH_COLLECTION"


def collection_path(chosen: str | Path | None = None) -> Path:
    """The folder of a collection: ``chosen``, else ``$VLSEARCH_COLLECTION``, else one among the user's data.

    Nothing is created, and nothing need be there.
    """
    if chosen is not None:
        return expand_home(chosen)
    named = os.environ.get(VARIABLE)
    if named:
        return expand_home(named)
    from platformdirs import user_data_path  # late: rarely needed, and the group's help needs it never

    return user_data_path("vlsearch", appauthor=False) / "default"
