"""Renamed files: items that are new under their uri while their bytes are those of an item whose file is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, select

from indexer.pipeline.counts import MetItems
from indexer.store.changes import NewItem
from indexer.store.known import find_namesakes
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.stored_values import parse_attributes
from retrieval.errors import MissingExtra
from retrieval.locations.object_store import StoreFault, find_object, is_folder
from retrieval.machine_tags import with_machine_tags
from retrieval.types import KINDS
from retrieval.uris import split_file_uri, split_object_uri

_FOLDERS_KEPT = 10_000


class GoneObjects:
    """Which objects of a store are known to be gone, as far as one run has asked.

    Args:
        met: what the run has met, and so is there.
    """

    def __init__(self, met: MetItems) -> None:
        self._met = met
        self._is_folder = lru_cache(_FOLDERS_KEPT)(is_folder)
        self._is_off = False

    def has(self, item: int, uri: str) -> bool:
        """Whether an item's object is gone; a store that cannot be asked proves nothing, and is asked no more."""
        bucket, key, _ = split_object_uri(uri) or ("", "", None)
        if item in self._met or self._is_off or not key:
            return False
        folder = key.removesuffix(key.rpartition("/")[2])
        try:  # a folder that was renamed costs one request
            return not self._is_folder(bucket, folder) or find_object(bucket, key) is None
        except (StoreFault, MissingExtra):
            self._is_off = True
            return False


def find_renames(
    connection: Connection,
    items: Mapping[str, NewItem],
    candidates: Collection[str],
    gone: GoneObjects | None = None,
) -> dict[str, NewItem]:
    """Find which new items are old ones under another name; they keep their ids.

    An item takes over the first one with equal content whose file is known to be gone. In an archive or a table it
    takes over the one in the same place of the file.

    Args:
        connection: of the writer, in a look-up.
        items: staged items by uri; the order decides who comes first.
        candidates: uris of those whose content has a vector. Others are new, and so had no item before.
        gone: says it of objects; without it they are not looked at.

    Returns:
        The items that are renamed, with ``renames`` set.
    """
    new = [item for uri, item in items.items() if uri in candidates and _split(uri) is not None]
    taken = {item.renames for item in items.values() if item.renames is not None}
    renamed: dict[str, NewItem] = {}
    for kind in KINDS:
        of_kind = [item for item in new if item.kind == kind]
        namesakes = find_namesakes(connection, kind, {item.sha256 for item in of_kind})
        for item in of_kind:
            old = _first_gone(item.uri, namesakes.get(item.sha256, ()), taken, gone)
            if old is not None:
                taken.add(old)
                renamed[item.uri] = replace(item, renames=old)
    return _with_tags(connection, renamed)


def _with_tags(connection: Connection, renamed: Mapping[str, NewItem]) -> dict[str, NewItem]:
    """Let renamed items keep the tags that the tagger gave them."""
    items = schema.items
    known: dict[int, str] = {}
    for chunk in chunked([item.renames for item in renamed.values()]):
        rows = connection.execute(select(items.c.id, items.c.attributes).where(items.c.id.in_(chunk)))
        known |= {row.id: row.attributes for row in rows}
    return {
        uri: replace(
            item, attributes=with_machine_tags(item.attributes, parse_attributes(known[item.renames]))
        )
        if item.renames in known
        else item
        for uri, item in renamed.items()
    }


def _first_gone(
    uri: str, namesakes: Sequence[tuple[int, str]], taken: Collection[int], gone: GoneObjects | None
) -> int | None:
    """Find the first of these (item, uri) whose file is gone, of the same kind of place, and not in ``taken``."""
    place = _split(uri)
    for item, old in namesakes:
        if item in taken or _split(old) != place:
            continue
        if is_gone(old) or (gone is not None and gone.has(item, old)):
            return item
    return None


def _split(uri: str) -> tuple[str, str | None] | None:
    """Give scheme and fragment of a place that can be gone: of a file, or of an object of a store."""
    file, at = split_file_uri(uri), split_object_uri(uri)
    if file is not None:
        return "file", file[1]
    return None if at is None else ("s3", at[2])


def is_gone(uri: str) -> bool:
    """Whether an item's file is known not to be there; an unreadable folder or an absent drive proves nothing."""
    split = split_file_uri(uri)
    if split is None:
        return False
    try:
        Path(split[0]).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
