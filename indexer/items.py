"""Single items under keys of the caller's own: the Python face of the writer, for those who have no corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import quote

import numpy as np
from sqlalchemy import Connection, select

from indexer.building import bound_encoder
from indexer.pipeline.staging import Staged
from indexer.store.changes import Change, NewContent, NewItem, NewLink
from indexer.store.content_rows import find_encoder
from indexer.store.item_rules import attributes_fault, key_fault
from indexer.store.known import drop_encoded, find_encoded
from indexer.store.maintenance import compact_if_due
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.contents import pixel_digest, text_digest, vector_digest
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage, read_encoded
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import UsageError
from retrieval.identity import Identity
from retrieval.locations.fetch import stamp
from retrieval.texts import is_unicode, normalise_text
from retrieval.types import Attribute, FileBytes, InlineBytes, Kind, Limits
from retrieval.unit_rows import first_not_unit
from retrieval.uris import file_uri, hide_passwords

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from PIL.Image import Image

    from retrieval.encoders.base import Encoder

Content: TypeAlias = "str | bytes | Path | Image | None"
"""A ``str`` is a text; encoded bytes, a path or a PIL picture are a picture; None is a picture known by its vector."""

COMMIT_CONTENTS = 1024
_SOURCE = ("api:", "python")


def open_writer(
    collection: str | Path,
    *,
    model: str | Path | Encoder | Identity = "auto",
    limits: Limits | None = None,
    timeout: float = 0.0,
) -> ItemWriter:
    """A collection, made if it is not there, for adding, replacing and deleting single items.

    >>> import indexer, retrieval                                           # doctest: +SKIP
    >>> with indexer.open_writer("shop") as writer:                         # doctest: +SKIP
    ...     writer.add("sku-1", Path("mug.jpg"), attributes={"price": 7.5})
    ...     writer.add("sku-1/title", "a blue mug", describes=["sku-1"])
    ...     writer.delete("sku-0")

    Args:
        collection: its folder.
        model: name, alias or folder of the encoder, or an encoder; ``auto`` keeps the collection's own. It is loaded
            when something has to be encoded. An identity is enough where every item comes with its vector.
        limits: what is accepted of pictures.
        timeout: seconds to wait for another process that writes to the collection; by default none.

    Raises:
        CollectionLocked: another process writes to the collection.
        IdentityMismatch: ``model`` is not the one the collection was built with.
    """
    return ItemWriter(Writer(Path(collection), timeout), model, limits or Limits())


@dataclass(frozen=True, slots=True)
class _Held:
    """The item that a key has; ``id`` is None while it is only staged."""

    id: int | None
    uri: str
    kind: Kind


@dataclass(slots=True)
class _Found:
    """What a look-up found: items by key, the key of the item that has the uri, whether the content has a vector."""

    by_key: dict[str, _Held] = field(default_factory=dict)
    owner: str | None = None
    encoded: bool = False


@dataclass(frozen=True, slots=True)
class _Given:
    """What a caller says of an item beside its key; see :meth:`ItemWriter.add`."""

    content: Content
    vector: ArrayLike | None
    uri: str | None
    lang: str | None
    attributes: Mapping[str, Attribute] | None
    describes: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Content:
    """A content's name, its vector where the caller gave one, and its words, encoded bytes or picture."""

    kind: Kind
    digest: bytes
    vector: NDArray[np.float32] | None
    held: str | bytes | Image | None = None


class ItemWriter:
    """The one writer of a collection; use it in a ``with`` statement, from one thread. Made by :func:`open_writer`.

    What is added becomes visible with :meth:`commit`, which also happens every thousand contents and when the
    ``with`` block ends well. When it ends with an exception, what has not been committed is dropped.
    """

    def __init__(self, writer: Writer, model: str | Path | Encoder | Identity, limits: Limits) -> None:
        self._writer, self._limits = writer, limits
        self._pool = DecodePool(limits, workers=1)
        self._model, self._encoder = model, None if isinstance(model, (str, Path, Identity)) else model
        self._staged = Staged()
        self._keys: dict[str, NewItem] = {}
        try:
            given = model if isinstance(model, Identity) else self._encoder and self._encoder.identity
            if given:
                writer.check_identity(given)
            self._bound = writer.identity
            self._source_id = writer.source_id(*_SOURCE)
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
        describes: Sequence[str] = (),
    ) -> None:
        """Add an item.

        Args:
            key: the caller's own name for it, unique in the collection.
            content: what it is.
            vector: its unit row, (d,) float32, where it is known; nothing is encoded then. A content that the
                collection has a vector of already keeps that one.
            uri: where it is; by default that of the path given, else one made from the key.
            lang: BCP 47 tag of a text.
            attributes: what hits carry; plain JSON values, or lists of texts (tags).
            describes: keys of pictures that this text describes, added before.

        Raises:
            UsageError: the key is taken, or an argument cannot be used; nothing was added.
            ImageError: the picture cannot be read; nothing was added.
        """
        self._put(key, _Given(content, vector, uri, lang, attributes, describes), may_replace=False)

    def upsert(
        self,
        key: str,
        content: Content,
        *,
        vector: ArrayLike | None = None,
        uri: str | None = None,
        lang: str | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        describes: Sequence[str] = (),
    ) -> None:
        """Add an item, or replace the one with this key, which keeps its id; arguments as in :meth:`add`.

        ``describes`` replaces the links that a text had from here; where it is empty they stay.

        Raises:
            UsageError: as :meth:`add`, or the item is of the other kind.
            ImageError: the picture cannot be read; nothing was changed.
        """
        self._put(key, _Given(content, vector, uri, lang, attributes, describes), may_replace=True)

    def set_attributes(self, key: str, attributes: Mapping[str, Attribute]) -> None:
        """Give an item these attributes instead of those that it has; nothing is encoded.

        An item that a corpus lists gets the corpus's own again when that is indexed.

        Raises:
            UsageError: there is no such item, or an attribute cannot be kept.
        """
        checked, staged = _checked(attributes), self._keys.get(key)
        if staged is not None:
            item = replace(staged, attributes=checked)
            self._staged.change.items[item.uri] = self._keys[key] = item
            return
        held = self._look_up([key]).by_key.get(key)
        if held is None:
            raise UsageError(f"there is no item with the key {key!r}; add it first")
        self._staged.change.attributes[held.uri] = checked
        if self._staged.size >= COMMIT_CONTENTS:
            self.commit()

    def delete(self, *keys: str) -> int:
        """Delete items by key, with their links, after committing what was added before; how many there were."""
        held = self._committed(keys)
        if held:
            self._writer.commit_rows(Change(removed=[item.id for item in held if item.id is not None]))
        return len(held)

    def hide(self, *keys: str) -> int:
        """Keep items out of all hits, by key, after committing what was added before; how many there are.

        They stay hidden, whatever becomes of them, until :meth:`unhide` (or ``vlsearch unhide``) names them.
        """
        held = self._committed(keys)
        if held:
            self._writer.commit_rows(Change(hidden=[item.uri for item in held]))
        return len(held)

    def unhide(self, *keys: str) -> int:
        """Let items be found again, by key, after committing what was added before; how many there are."""
        held = self._committed(keys)
        if held:
            self._writer.commit_rows(Change(unhidden=[item.uri for item in held]))
        return len(held)

    def commit(self) -> None:
        """Encode and make visible what was added so far: all of it or, after a failure, nothing."""
        staged, self._staged, self._keys = self._staged, Staged(), {}
        if staged.waiting:
            staged.encode_rest(self._load())
        if not staged.change.items:
            if staged.change:
                self._writer.commit_rows(staged.change)
            return
        identity = self._identity()
        with self._writer.look_up() as connection:
            encoder_id = find_encoder(connection, identity)
            if encoder_id is not None:
                drop_encoded(connection, staged.change.contents, encoder_id)
        self._writer.commit(staged.change, identity)
        self._bound = identity

    def _committed(self, keys: Sequence[str]) -> list[_Held]:
        """The items of keys in the catalogue, after committing what is staged."""
        self.commit()
        return list(self._look_up(keys).by_key.values())

    def _put(self, key: str, given: _Given, *, may_replace: bool) -> None:
        _check_key(key)
        uri = _uri_of(key, given)
        content = self._read(given)
        found = self._look_up([key, *given.describes], uri, content)
        old = found.by_key.get(key)
        if old is not None and not may_replace:
            raise UsageError(f"there is an item with the key {key!r} already; replace it with upsert")
        if old is not None and old.kind != content.kind:
            raise UsageError(f"the item with the key {key!r} is of kind {old.kind}; delete it first")
        if old is not None and given.uri is None and not isinstance(given.content, Path):
            uri = old.uri
        elif found.owner not in (None, key):
            raise UsageError(f"{uri} is the item with the key {found.owner!r}; give {key!r} another uri")
        if old is not None and old.id is None and old.uri != uri:
            raise UsageError(f"the item with the key {key!r} is not committed yet; commit before you move it")
        pictures = [_picture_uri(found, picture) for picture in given.describes]
        item = NewItem(
            uri=uri,
            kind=content.kind,
            sha256=content.digest,
            source_id=self._source_id,
            key=key,
            lang=given.lang,
            attributes=_checked(given.attributes or {}),
            stamp=stamp(FileBytes(given.content)) if isinstance(given.content, Path) else None,
            renames=old.id if old is not None and old.uri != uri else None,
        )
        self._stage_content(content, found.encoded)
        if old is not None:
            self._staged.change.attributes.pop(old.uri, None)
        self._staged.change.items[uri] = self._keys[key] = item
        for picture in pictures:
            self._staged.change.links[picture, uri] = NewLink(picture, uri, self._source_id)
        if self._staged.size >= COMMIT_CONTENTS:
            self.commit()

    def _look_up(
        self, keys: Sequence[str], uri: str | None = None, content: _Content | None = None
    ) -> _Found:
        """What is staged and, in one read transaction, what the catalogue holds."""
        items = schema.items
        found = _Found()
        with self._writer.look_up() as connection:
            for chunk in chunked(dict.fromkeys(keys)):
                named = items.c.key.in_(chunk)
                rows = connection.execute(
                    select(items).where(named if uri is None else named | (items.c.uri == uri))
                )
                for row in rows:
                    if row.key in chunk:
                        found.by_key[row.key] = _Held(row.id, row.uri, row.kind)
                    if row.uri == uri:
                        found.owner = row.key
            if content is not None and content.vector is None:
                found.encoded = self._has_vector(connection, content)
        for key in keys:
            if key in self._keys:
                found.by_key[key] = _Held(None, self._keys[key].uri, self._keys[key].kind)
        staged = self._staged.change.items.get(uri or "")
        found.owner = staged.key if staged is not None else found.owner
        return found

    def _has_vector(self, connection: Connection, content: _Content) -> bool:
        """Whether a content has a vector already, or will have one with the next commit."""
        digest, kind = content.digest, content.kind
        if digest in self._staged.digests[kind] or (kind, digest) in self._staged.change.contents:
            return True
        if self._bound is None:
            return False
        encoder_id = find_encoder(connection, self._bound)
        return bool(find_encoded(connection, kind, [digest], encoder_id))

    def _read(self, given: _Given) -> _Content:
        """A content as it is named and, if need be, encoded; nothing is decoded."""
        row = None if given.vector is None else self._row(given.vector)
        content = given.content
        if isinstance(content, str):
            words = normalise_text(content)
            if not words or not is_unicode(words):
                raise UsageError(f"{content!a} is not a text that can be searched")
            return _Content("text", text_digest(words), row, words)
        if content is None:
            if row is None:
                raise UsageError("an item needs a content or a vector")
            return _Content("image", vector_digest(row), row)
        if isinstance(content, (bytes, Path)):
            place = InlineBytes(content) if isinstance(content, bytes) else FileBytes(content)
            encoded = read_encoded(place, self._limits)
            return _Content("image", encoded.digest, row, encoded.data)
        return _Content("image", pixel_digest(content), row, content)

    def _stage_content(self, content: _Content, encoded: bool) -> None:
        key, held = (content.kind, content.digest), content.held
        words = held if isinstance(held, str) else None
        if content.vector is not None:
            new = NewContent(content.kind, content.digest, content.vector, words)
            self._staged.change.contents.setdefault(key, new)
        elif encoded:
            return
        elif words is not None:
            self._staged.add_text(content.digest, words, self._load())
        else:
            assert not isinstance(held, (str, type(None)))
            encoder = self._load()
            if isinstance(held, bytes):
                read = prepare_for_encoder(self._pool, InlineBytes(held), encoder)
            else:
                read = PreparedImage(content.digest, encoder.prepare_image(held), *held.size)
            self._staged.add_picture(read, encoder)

    def _row(self, vector: ArrayLike) -> NDArray[np.float32]:
        row = np.array(vector, dtype=np.float32)
        dimension = self._identity().dimension
        if row.shape != (dimension,):
            raise UsageError(f"the vector has shape {row.shape}, and the collection's have ({dimension},)")
        if wrong := first_not_unit(row[None]):
            raise UsageError(f"the vector is not finite and of unit length (it is {wrong[1]}); divide by it")
        return row

    def _identity(self) -> Identity:
        if isinstance(self._model, Identity):
            return self._model
        if (
            self._encoder is None
            and self._bound is not None
            and str(self._model) in ("auto", self._bound.name)
        ):
            return self._bound  # what goes by its name is loaded, and checked, only to encode something
        return self._load().identity

    def _load(self) -> Encoder:
        if self._encoder is None:
            if isinstance(self._model, Identity):
                raise UsageError("this writer knows an identity and no encoder; give every item its vector")
            self._encoder = bound_encoder(self._writer, self._model)
        return self._encoder


def _check_key(key: str) -> None:
    if fault := key_fault(key):
        raise UsageError(f"{key!a} is not a key ({fault}); give a text that is not empty")


def _uri_of(key: str, given: _Given) -> str:
    """The uri asked for, or that of the path given, or one made from the key."""
    if given.describes and not isinstance(given.content, str):
        raise UsageError(f"{key!r} is a picture, and only texts describe pictures")
    if given.uri is None and not isinstance(given.content, Path):
        return f"key:{quote(key, safe='')}"
    uri = hide_passwords(given.uri) if given.uri is not None else file_uri(Path(str(given.content)))
    if not uri or not is_unicode(uri):
        raise UsageError(f"{uri!a} is not a uri; percent-encode it")
    return uri


def _picture_uri(found: _Found, key: str) -> str:
    held = found.by_key.get(key)
    if held is None or held.kind != "image":
        raise UsageError(
            f"there is no picture with the key {key!r}; add it before the texts that describe it"
        )
    return held.uri


def _checked(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Attributes as the catalogue keeps them, tuples as lists."""
    kept: dict[str, Attribute] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in attributes.items()
    }
    if fault := attributes_fault(kept):
        raise UsageError(f"{fault}; attributes are named, plain JSON values or lists of texts")
    return kept
