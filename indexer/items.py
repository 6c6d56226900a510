"""Single items under keys of the caller's own: the Python face of the writer, for those who have no corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from indexer.pipeline.pace import ITEM_PACE, CommitPace
from indexer.pipeline.staging import Staged
from indexer.single_items.found import FoundItems, KeyedItem, find_by_key, find_image_content
from indexer.single_items.given import (
    Content,
    GivenContent,
    GivenItem,
    check_key,
    check_lang,
    check_without_nul,
    checked_attributes,
    keys_of,
    read_content,
    uri_of,
)
from indexer.single_items.lazy_encoder import LazyEncoder
from indexer.store.changes import Change, NewContent, NewImageText, NewItem
from indexer.store.content_rows import find_encoder
from indexer.store.item_rules import image_text_fault
from indexer.store.known import drop_encoded, find_encoded
from indexer.store.maintenance import compact_if_due
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import EncodedImage, PreparedImage
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import UsageError
from retrieval.identity import Identity
from retrieval.locations.fetch import stamp
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.types import Attribute, Box, FileBytes, InlineBytes, Limits, Origin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from sqlalchemy import Connection

    from retrieval.encoders.base import Encoder

_CORPUS = ("api:", "python")


def open_writer(
    collection: str | CollectionPlace,
    *,
    model: str | Path | Encoder | Identity = "auto",
    limits: Limits | None = None,
    timeout: float = 0.0,
    pace: CommitPace = ITEM_PACE,
) -> ItemWriter:
    """Open a collection, made if it is not there, for adding, replacing and deleting single items.

    >>> import indexer, retrieval                                           # doctest: +SKIP
    >>> with indexer.open_writer("shop") as writer:                         # doctest: +SKIP
    ...     writer.add("sku-1", Path("mug.jpg"), attributes={"price": 7.5})
    ...     writer.add("sku-1/title", "a blue mug", describes=["sku-1"])
    ...     writer.delete("sku-0")

    Args:
        collection: its folder.
        model: name, alias or folder of the encoder, or an encoder; ``auto`` keeps the collection's own. It is loaded
            when something has to be encoded. An identity is enough where every item comes with its vector.
        limits: what is accepted of images.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        pace: when to commit on the way; by default every thousand items or contents.

    Raises:
        CollectionLocked: another process writes to the collection.
        IdentityMismatch: ``model`` is not the one the collection was built with.
    """
    return ItemWriter(open_place(collection, timeout), model, limits or Limits(), pace)


class ItemWriter:
    """The one writer of a collection; use it in a ``with`` statement, from one thread. Made by :func:`open_writer`.

    What is added becomes visible with :meth:`commit`, which also happens every thousand contents and when the
    ``with`` block ends well. When it ends with an exception, what has not been committed is dropped.
    """

    def __init__(
        self, writer: Writer, model: str | Path | Encoder | Identity, limits: Limits, pace: CommitPace
    ) -> None:
        self._writer, self._pace = writer, pace
        self._pool = DecodePool(limits, workers=1)
        self._staged = Staged()
        self._keys: dict[str, NewItem] = {}
        try:
            self._encoder = LazyEncoder(writer, model)
            self._corpus_id = writer.ensure_corpus(*_CORPUS)
        except BaseException:
            writer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
                compact_if_due(self._writer)
        finally:
            self._pool.close()
            self._writer.close()

    def add(
        self,
        key: str,
        content: Content,
        *,
        vector: ArrayLike | None = None,
        uri: str | None = None,
        lang: str | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        describes: str | Sequence[str] = (),
    ) -> None:
        """Add an item.

        Args:
            key: the caller's own name for it, unique in the collection.
            content: what it is: a ``str`` is a text; encoded bytes, a path or a PIL image are an image; None is an
                image known by its vector alone.
            vector: its unit row, (d,) float32, where it is known; nothing is encoded then. A content that the
                collection has a vector of already keeps that one.
            uri: where it is; by default that of the path given, else one made from the key.
            lang: BCP 47 tag of a text.
            attributes: what hits carry; plain JSON values, or lists of texts (tags).
            describes: key or keys of images that this text describes, added before.

        Raises:
            UsageError: the key is taken, or an argument cannot be used; nothing was added.
            ImageError: the image cannot be read; nothing was added.
        """
        self._put(
            GivenItem(key, content, vector, uri, lang, attributes, keys_of(describes)), may_replace=False
        )

    def upsert(
        self,
        key: str,
        content: Content,
        *,
        vector: ArrayLike | None = None,
        uri: str | None = None,
        lang: str | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        describes: str | Sequence[str] = (),
    ) -> None:
        """Add an item, or replace the one with this key, which keeps its id; arguments as in :meth:`add`.

        ``describes`` replaces the links that a text had from here; where it is empty they stay.

        Raises:
            UsageError: as :meth:`add`, or the item is of the other kind.
            ImageError: the image cannot be read; nothing was changed.
        """
        self._put(
            GivenItem(key, content, vector, uri, lang, attributes, keys_of(describes)), may_replace=True
        )

    def set_attributes(self, key: str, attributes: Mapping[str, Attribute]) -> None:
        """Give an item these attributes instead of those that it has; nothing is encoded.

        An item that a corpus lists gets the corpus's own again when that is indexed.

        Raises:
            UsageError: there is no such item, or an attribute cannot be kept.
        """
        checked, staged = checked_attributes(attributes), self._keys.get(key)
        if staged is not None:
            self._stage(replace(staged, attributes=checked))
            return
        item = self._look_up([key]).by_key.get(key)
        if item is None:
            raise UsageError(f"there is no item with the key {key!r}; add it first")
        self._staged.change.attributes[item.uri] = checked
        self._commit_if_due()

    def set_text(self, key: str, text: str, *, origin: Origin, maker: str, boxes: Sequence[Box] = ()) -> None:
        """Commit what was added before, and give an image a text that is not a caption, in place of one of this origin.

        Words find the image by it; hits carry it apart from captions, and no evaluation and no training sees it. It
        belongs to the image's content: each item with equal bytes has it, and one that gets other bytes has it no more.

        Args:
            key: of the image.
            text: lines; an empty text says that there is none.
            origin: where the text comes from.
            maker: the reader or the model that made it, with its version.
            boxes: where each line stands in the image.

        Raises:
            UsageError: there is no such image, or the text cannot be kept.
        """
        if fault := image_text_fault(origin, maker, text, boxes):
            raise UsageError(f"the text of {key!r} cannot be kept: {fault}")
        if isinstance(self._writer.place, ServerAddress) and "\0" in text + maker:
            raise UsageError(
                f"the text of {key!r} or its maker holds a NUL character, which PostgreSQL cannot hold; take it out"
            )
        self.commit()
        with self._writer.look_up() as connection:
            content = find_image_content(connection, key)
        if content is None:
            raise UsageError(f"there is no picture with the key {key!r}; add it before its texts")
        self._staged.change.texts[content, origin] = NewImageText(maker, text, tuple(boxes))
        self._commit_if_due()

    def delete(self, *keys: str) -> int:
        """Commit what was added before, delete items by key with their links, and return how many."""
        items = self._committed(keys)
        if items:
            self._writer.commit_rows(Change(removed=[item.id for item in items if item.id is not None]))
        return len(items)

    def hide(self, *keys: str) -> int:
        """Commit what was added before, hide items by key, and return how many.

        They stay hidden, whatever becomes of them, until :meth:`unhide` (or ``vlsearch unhide``) names them.
        """
        items = self._committed(keys)
        if items:
            self._writer.commit_rows(Change(hidden=[item.uri for item in items]))
        return len(items)

    def unhide(self, *keys: str) -> int:
        """Commit what was added before, unhide items by key, and return how many."""
        items = self._committed(keys)
        if items:
            self._writer.commit_rows(Change(unhidden=[item.uri for item in items]))
        return len(items)

    def commit(self) -> None:
        """Encode and make visible what was added so far: all of it or, after a failure, nothing."""
        staged, self._staged, self._keys = self._staged, Staged(), {}
        if staged.waiting:
            staged.encode_rest(self._encoder.load())
        if not staged.change.items:
            if staged.change:
                self._writer.commit_rows(staged.change)
            return
        identity = self._encoder.identity
        with self._writer.look_up() as connection:
            encoder_id = find_encoder(connection, identity)
            if encoder_id is not None:
                drop_encoded(connection, staged.change.contents, encoder_id)
        self._writer.commit(staged.change, identity)
        self._encoder.bound = identity

    def _commit_if_due(self) -> None:
        if self._staged.is_due(self._pace):
            self.commit()

    def _committed(self, keys: Sequence[str]) -> list[KeyedItem]:
        """Commit what is staged, and give the items of keys."""
        self.commit()
        return list(self._look_up(keys).by_key.values())

    def _put(self, given: GivenItem, *, may_replace: bool) -> None:
        check_key(given.key)
        check_lang(given.lang)
        if isinstance(self._writer.place, ServerAddress):
            check_without_nul(given)
        uri = uri_of(given)
        attributes = checked_attributes(given.attributes or {})
        vector = None if given.vector is None else self._encoder.checked_row(given.vector)
        content = read_content(given.content, vector, self._pool.limits)
        found = self._look_up([given.key, *given.describes], uri, content)
        old = found.by_key.get(given.key)
        if old is not None:
            _check_replaceable(given.key, old, content, may_replace)
        uri = _place_of(given, uri, old, found)
        images = [found.image_uri(key) for key in given.describes]
        item = NewItem(
            uri=uri,
            kind=content.kind,
            sha256=content.digest,
            corpus_id=self._corpus_id,
            key=given.key,
            lang=given.lang,
            attributes=attributes,
            stamp=stamp(FileBytes(given.content)) if isinstance(given.content, Path) else None,
            renames=self._renamed_by(old, uri),
        )
        if not found.has_vector:
            self._stage_content(content)
        if old is not None:
            self._staged.change.attributes.pop(old.uri, None)
            self._staged.move_links(old.uri, uri)
        if images:
            self._staged.replace_links(uri, images, self._corpus_id)
        self._stage(item)
        self._commit_if_due()

    def _renamed_by(self, old: KeyedItem | None, uri: str) -> int | None:
        """Give the id of the committed item that moves to ``uri`` with the next commit; None where none does."""
        if old is None:
            return None
        if old.id is None:  # staged, perhaps as a move, which replacing its content does not undo
            staged = self._staged.change.items.get(old.uri)
            return None if staged is None else staged.renames
        return old.id if old.uri != uri else None

    def _stage(self, item: NewItem) -> None:
        assert item.key is not None, "single items have keys"
        self._staged.add_item(item)
        self._keys[item.key] = item

    def _stage_content(self, content: GivenContent) -> None:
        source = content.source
        if content.vector is not None:
            words = source if isinstance(source, str) else None
            self._staged.add_vector(NewContent(content.kind, content.digest, content.vector, words))
            return
        encoder = self._encoder.load()
        if isinstance(source, str):
            self._staged.add_text(content.digest, source, encoder)
        elif isinstance(source, EncodedImage):
            prepared = prepare_for_encoder(self._pool, InlineBytes(source.data), encoder)
            self._staged.add_image(prepared, encoder)
        else:
            assert source is not None, "a content without a vector has what one is made from"
            array = encoder.prepare_image(source)
            self._staged.add_image(PreparedImage(content.digest, array, *source.size), encoder)

    def _look_up(
        self, keys: Sequence[str], uri: str | None = None, content: GivenContent | None = None
    ) -> FoundItems:
        """Find what is staged and, in one read transaction, what the catalogue holds."""
        with self._writer.look_up() as connection:
            found = find_by_key(connection, keys, uri)
            if content is not None and content.vector is None:
                found.has_vector = self._has_vector(connection, content)
        for key in keys:
            if key in self._keys:
                found.by_key[key] = KeyedItem(None, self._keys[key].uri, self._keys[key].kind)
        staged = self._staged.change.items.get(uri or "")
        found.owner = staged.key if staged is not None else found.owner
        return found

    def _has_vector(self, connection: Connection, content: GivenContent) -> bool:
        """Whether a content has a vector already, or will have one with the next commit."""
        if content.digest in self._staged.digests[content.kind]:
            return True
        if self._encoder.bound is None:
            return False
        encoder_id = find_encoder(connection, self._encoder.bound)
        return bool(find_encoded(connection, content.kind, [content.digest], encoder_id))


def _check_replaceable(key: str, old: KeyedItem, content: GivenContent, may_replace: bool) -> None:
    """Refuse to put a content in the place of an item that it must not replace.

    Raises:
        UsageError: with the reason.
    """
    if not may_replace:
        raise UsageError(f"there is an item with the key {key!r} already; replace it with upsert")
    if old.kind != content.kind:
        raise UsageError(f"the item with the key {key!r} is of kind {old.kind}; delete it first")


def _place_of(given: GivenItem, uri: str, old: KeyedItem | None, found: FoundItems) -> str:
    """Give the uri that an item gets: the one given, or the one that it has.

    Raises:
        UsageError: that uri belongs to another item, or the item that would move is not committed yet.
    """
    if old is not None and given.uri is None and not isinstance(given.content, Path):
        return old.uri
    if found.owner not in (None, given.key):
        raise UsageError(f"{uri} is the item with the key {found.owner!r}; give {given.key!r} another uri")
    if old is not None and old.id is None and old.uri != uri:
        raise UsageError(
            f"the item with the key {given.key!r} is not committed yet; commit before you move it"
        )
    return uri
