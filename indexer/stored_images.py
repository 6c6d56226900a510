"""Contents of a collection, and where their bytes may be: for what reads pictures again that were indexed before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select

from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.preparations import Preparation
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError
from retrieval.locations.extents import location_of
from retrieval.types import Location

PAGE_CONTENTS = 256  # a catalogue look-up


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A content of items, and where its bytes may be: (uri, location); ``text`` is None for an image."""

    id: int
    sha256: bytes
    text: str | None
    places: tuple[tuple[str, Location | None], ...]

    @property
    def uri(self) -> str:
        """The uri of the first item that has it."""
        return self.places[0][0]


class StoredContents:
    """The contents of items that meet some conditions, as they are when it is iterated; in the order of their ids."""

    def __init__(self, writer: Writer, *conditions: ColumnElement[bool]) -> None:
        contents, items = schema.contents, schema.items
        has_item = select(items.c.id).where(items.c.content_id == contents.c.id).exists()
        self._writer, self._conditions = writer, (*conditions, has_item)

    def count(self) -> int:
        """How many there are."""
        statement = select(func.count()).select_from(schema.contents).where(*self._conditions)
        with self._writer.look_up() as connection:
            return int(connection.execute(statement).scalar_one())

    def __iter__(self) -> Iterator[StoredContent]:
        last = 0
        while page := self._page_after(last):
            yield from page
            last = page[-1].id

    def _page_after(self, last: int) -> list[StoredContent]:
        contents, items = schema.contents, schema.items
        after = select(contents).where(contents.c.id > last, *self._conditions)
        with self._writer.look_up() as connection:
            page = connection.execute(after.order_by(contents.c.id).limit(PAGE_CONTENTS)).all()
            places: dict[int, list[tuple[str, Location | None]]] = {row.id: [] for row in page}
            for item in connection.execute(
                select(items.c.content_id, items.c.uri, items.c.extent)
                .where(items.c.content_id.in_(places))
                .order_by(items.c.id)
            ):
                places[item.content_id].append((item.uri, location_of(item.uri, item.extent)))
        return [StoredContent(row.id, row.sha256, row.text, tuple(places[row.id])) for row in page]


def prepare_again(pool: DecodePool, content: StoredContent, rule: Preparation) -> PreparedImage:
    """Prepare an image by a rule, as :func:`read_again` does."""

    def prepare(location: Location) -> PreparedImage:
        return pool.prepare(location, rule, content.sha256.__eq__)

    return read_again(content, prepare)


def read_again(content: StoredContent, prepare: Callable[[Location], PreparedImage]) -> PreparedImage:
    """Prepare an image from the first of its places that still holds the same bytes.

    Args:
        content: of an image.
        prepare: gives the image at a place, without its array where its bytes are others.

    Raises:
        ImageError: none of its places does.
    """
    reason = "was given as a vector or as bytes, and lies nowhere"
    for _, location in content.places:
        if location is None:
            continue
        try:
            read = prepare(location)
            if read.array is not None and read.digest == content.sha256:
                return read
            reason = "has changed since it was indexed; index its corpus first"
        except ImageError as error:
            reason = str(error)
    raise ImageError(reason)
