"""The default collection, the same for the command line and for Python."""

from __future__ import annotations

import os
from pathlib import Path

from retrieval.uris import expand_home

VARIABLE = "VLSEARCH_COLLECTION"


def collection_path(chosen: str | Path | None = None) -> Path:
    """Give a collection's folder: ``chosen``, else ``$VLSEARCH_COLLECTION``, else one in the user's data folder.

    The folder is not created and need not exist.
    """
    if chosen is not None:
        return expand_home(chosen)
    named = os.environ.get(VARIABLE)
    if named:
        return expand_home(named)
    from platformdirs import user_data_path  # late: rarely needed, and the group's help needs it never

    return user_data_path("vlsearch", appauthor=False) / "default"
