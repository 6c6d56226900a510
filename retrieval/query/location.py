"""The default collection, the same for the command line and for Python."""

from __future__ import annotations

import os
from pathlib import Path

from retrieval.places import CollectionPlace, ServerAddress
from retrieval.postgres_address import place_of, require_folder
from retrieval.uris import expand_home

VARIABLE = "VLSEARCH_COLLECTION"


def collection_path(chosen: str | Path | None = None) -> Path:
    """Give a collection's folder: ``chosen``, else ``$VLSEARCH_COLLECTION``, else one in the user's data folder.

    The folder is not created and need not exist.

    Raises:
        UsageError: what is named is a collection on a server.
    """
    return require_folder(collection_place(chosen))


def collection_place(chosen: str | CollectionPlace | None = None) -> CollectionPlace:
    """Give the place of a collection: its folder, as :func:`collection_path` does, or its address on a server.

    Raises:
        UsageError: an address cannot be read, or is that of a web server.
    """
    if isinstance(chosen, ServerAddress):
        return chosen
    named = os.environ.get(VARIABLE) or None if chosen is None else chosen
    if named is not None:
        place = place_of(named)
        return place if isinstance(place, ServerAddress) else expand_home(named)
    from platformdirs import user_data_path  # late: rarely needed, and the group's help needs it never

    return user_data_path("vlsearch", appauthor=False) / "default"
