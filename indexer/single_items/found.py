"""What the catalogue holds under the keys and the uri of a single item, in one look-up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from indexer.store.item_rules import key_fault
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.errors import UsageError
from retrieval.types import Kind


@dataclass(frozen=True, slots=True)
class KeyedItem:
    """The item that has a key; ``id`` is None while it is only staged."""

    id: int | None
    uri: str
    kind: Kind


@dataclass(slots=True)
class FoundItems:
    """What a look-up found.

    Attributes:
        by_key: items by key.
        owner: key of the item that has the uri asked for.
        has_vector: whether the content asked for has a vector, or will have one with the next commit.
    """

    by_key: dict[str, KeyedItem] = field(default_factory=dict)
    owner: str | None = None
    has_vector: bool = False

    def image_uri(self, key: str) -> str:
        """Give the uri of the image with a key.

        Raises:
            UsageError: there is none.
        """
        found = self.by_key.get(key)
        if found is None or found.kind != "image":
            raise UsageError(
                f"there is no picture with the key {key!r}; add it before the texts that describe it"
            )
        return found.uri


def find_by_key(connection: Connection, keys: Iterable[str], uri: str | None = None) -> FoundItems:
    """Find the items with these keys, and the owner of a uri, in the catalogue; what cannot be a key is no item's."""
    items = schema.items
    found = FoundItems()
    for chunk in chunked(dict.fromkeys(key for key in keys if key_fault(key) is None)):
        named = items.c.key.in_(chunk)
        for row in connection.execute(
            select(items).where(named if uri is None else named | (items.c.uri == uri))
        ):
            if row.key in chunk:
                found.by_key[row.key] = KeyedItem(row.id, row.uri, row.kind)
            if row.uri == uri:
                found.owner = row.key
    return found


def find_image_content(connection: Connection, key: str) -> bytes | None:
    """Read the sha256 of the content of the image with a key; None where there is no such image."""
    if key_fault(key) is not None:
        return None
    items, contents = schema.items, schema.contents
    of_key = select(contents.c.sha256).join(items, items.c.content_id == contents.c.id)
    return connection.execute(of_key.where(items.c.key == key, items.c.kind == "image")).scalar_one_or_none()
