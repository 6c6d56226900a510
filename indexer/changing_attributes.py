"""Change attributes of items that are in a collection; nothing is read or encoded."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from indexer.named import GivenNames, existing_writer, find_named
from indexer.single_items.given import checked_attributes
from indexer.store.changes import Change
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.stored_values import parse_attributes
from retrieval.places import CollectionPlace
from retrieval.types import Attribute


def set_attributes(
    collection: str | CollectionPlace,
    names: GivenNames,
    attributes: Mapping[str, Attribute],
    *,
    timeout: float = 0.0,
) -> int:
    """Set attributes of items by key, uri, path or id, and return how many items they were set of.

    Other attributes of the items stay, and one that is set to None goes. An item that a corpus lists gets the corpus's
    own attributes again, in place of all, when an index run finds that its file or what the corpus says has changed.
    ``timeout`` is how many seconds to wait for another process that writes to the collection.

    Raises:
        UsageError: a name is empty or none, or an attribute cannot be kept.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    wanted = checked_attributes(attributes)
    with existing_writer(collection, names, timeout) as (writer, checked):
        change = Change()
        with writer.look_up() as connection:
            items = schema.items
            for chunk in chunked(list(find_named(connection, checked))):
                stored = select(items.c.uri, items.c.attributes).where(items.c.id.in_(chunk))
                for uri, text in connection.execute(stored):
                    joined = {**parse_attributes(text), **wanted}
                    change.attributes[uri] = {
                        name: value for name, value in joined.items() if value is not None
                    }
        if change:
            writer.commit_rows(change)
        return len(change.attributes)
