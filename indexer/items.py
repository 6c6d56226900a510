"""Single items under keys of the caller's own: the Python face of the writer, for those who have no corpus."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import quote

import numpy as np
from sqlalchemy import select

from indexer.building import bound_encoder
from indexer.changes import Change, NewContent, NewItem, NewLink
from indexer.known import drop_encoded, find_encoded
from indexer.maintenance import compact_if_due
from indexer.rows import ensure_encoder
from indexer.staging import ReadPicture, Staged
from indexer.writer import Writer
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.segments import check_rows
from retrieval.contents import normalise_text, picture_digest, pixel_digest, text_digest, vector_digest
from retrieval.errors import UsageError
from retrieval.fetch import read_bytes, stamp
from retrieval.identity import Identity
from retrieval.images import decode, shown_size
from retrieval.types import FileBytes, InlineBytes, Kind, Limits, Scalar
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
    collection: str | Path, *, model: str | Path | Encoder | Identity = "auto", limits: Limits | None = None
) -> ItemWriter:
    """A collection, made if it is not there, for adding, replacing and deleting single items.

    >>> import indexer, retrieval                                           # doctest: +SKIP
    >>> with indexer.open_writer("shop") as writer:                         # doctest: +SKIP
    ...     writer.add("sku-1", Path("mug.jpg"), attributes={"price": 7.5})
    ...     writer.add("sku-1/title", "a blue mug", describes=["sku-1"])
    ...     writer.delete("sku-0")

    Args:
        collection: its folder.
        model: name, alias or folder of the encoder, or an encoder; ``auto`` keeps the collection's own. An identity
            is enough where every item comes with its vector.
        limits: what is accepted of pictures.

    Raises:
        CollectionLocked: another process writes to the collection.
        IdentityMismatch: ``model`` is not the one the collection was built with.
    """
    return ItemWriter(Writer(Path(collection)), model, limits or Limits())


@dataclass(frozen=True, slots=True)
class _Held:
    """The item that a key has; ``id`` is None while it is only staged."""

    id: int | None
    uri: str
    kind: Kind


class ItemWriter:
    """The one writer of a collection; use it in a ``with`` statement, from one thread. Made by :func:`open_writer`.

    What is added becomes visible with :meth:`commit`, which also happens every thousand contents and when the
    ``with`` block ends well. When it ends with an exception, what has not been committed is dropped.
    """

    def __init__(self, writer: Writer, model: str | Path | Encoder | Identity, limits: Limits) -> None:
        self._writer, self._limits = writer, limits
        self._model, self._encoder = model, None if isinstance(model, (str, Path, Identity)) else model
        self._staged = Staged()
        self._keys: dict[str, NewItem] = {}
        try:
            given = model if isinstance(model, Identity) else self._encoder and self._encoder.identity
            if given:
                writer.check_identity(given)
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
            self._writer.close()

    def add(
        self,
        key: str,
        content: Content,
        *,
        vector: ArrayLike | None = None,
        uri: str | None = None,
        lang: str | None = None,
        attributes: Mapping[str, Scalar] | None = None,
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
            attributes: what hits carry; plain JSON values.
            describes: keys of pictures that this text describes, added before.

        Raises:
            UsageError: the key is taken, or an argument cannot be used; nothing was added.
            ImageError: the picture cannot be read; nothing was added.
        """
        if self._find(key) is not None:
            raise UsageError(f"there is an item with the key {key!r} already; replace it with upsert")
        self._put(key, None, content, vector, uri, lang, attributes, describes)

    def upsert(
        self,
        key: str,
        content: Content,
        *,
        vector: ArrayLike | None = None,
        uri: str | None = None,
        lang: str | None = None,
        attributes: Mapping[str, Scalar] | None = None,
        describes: Sequence[str] = (),
    ) -> None:
        """Add an item, or replace the one with this key, which keeps its id; arguments as in :meth:`add`.

        ``describes`` replaces the links that a text had from here; where it is empty they stay.

        Raises:
            UsageError: as :meth:`add`, or the item is of the other kind.
            ImageError: the picture cannot be read; nothing was changed.
        """
        self._put(key, self._find(key), content, vector, uri, lang, attributes, describes)

    def delete(self, *keys: str) -> int:
        """Delete items by key, with their links, after committing what was added before; how many there were."""
        self.commit()
        items = schema.items
        ids: list[int] = []
        with self._writer.read() as connection:
            for chunk in chunked(keys):
                found = select(items.c.id).where(items.c.key.in_(chunk))
                ids += connection.execute(found).scalars().all()
        identity = self._writer.identity
        if ids and identity is not None:
            self._writer.commit(Change(removed=ids), identity)
        return len(ids)

    def commit(self) -> None:
        """Encode and make visible what was added so far: all of it or, after a failure, nothing."""
        staged, self._staged, self._keys = self._staged, Staged(), {}
        if not staged.change.items:
            return
        if staged.waiting:
            staged.encode_rest(self._load())
        identity = self._identity()
        with self._writer.read() as connection:
            encoder_id = ensure_encoder(connection, identity, activate=False)
            drop_encoded(connection, staged.change.contents, encoder_id)
        self._writer.commit(staged.change, identity)

    def _find(self, key: str) -> _Held | None:
        """The item of a key, staged or in the catalogue."""
        if not key or not _is_unicode(key):
            raise UsageError(f"{key!a} is no key; give a text that is not empty")
        if key in self._keys:
            return _Held(None, self._keys[key].uri, self._keys[key].kind)
        items = schema.items
        statement = select(items.c.id, items.c.uri, items.c.kind).where(items.c.key == key)
        with self._writer.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _Held(row.id, row.uri, row.kind)

    def _put(
        self,
        key: str,
        old: _Held | None,
        content: Content,
        vector: ArrayLike | None,
        uri: str | None,
        lang: str | None,
        attributes: Mapping[str, Scalar] | None,
        describes: Sequence[str],
    ) -> None:
        kind: Kind = "text" if isinstance(content, str) else "image"
        if old is not None and old.kind != kind:
            raise UsageError(f"the item with the key {key!r} is of kind {old.kind}; delete it first")
        if describes and kind == "image":
            raise UsageError(f"{key!r} is a picture, and only texts describe pictures")
        if uri is None:
            uri = file_uri(content) if isinstance(content, Path) else old.uri if old is not None else None
        uri = hide_passwords(uri) if uri is not None else f"key:{quote(key, safe='')}"
        if not _is_unicode(uri):
            raise UsageError(f"{uri!a} is no uri; percent-encode it")
        if old is not None and old.id is None and old.uri != uri:
            raise UsageError(f"the item with the key {key!r} is not committed yet; commit before you move it")
        self._check_free(uri, key)
        pictures = [self._picture_uri(picture) for picture in describes]
        item = NewItem(
            uri=uri,
            kind=kind,
            sha256=self._stage_content(content, vector),
            source_id=self._source_id,
            key=key,
            lang=lang,
            attributes=_checked(attributes or {}),
            stamp=stamp(FileBytes(content)) if isinstance(content, Path) else None,
            renames=old.id if old is not None and old.uri != uri else None,
        )
        self._staged.change.items[uri] = self._keys[key] = item
        for picture in pictures:
            self._staged.change.links[picture, uri] = NewLink(picture, uri, self._source_id)
        if self._staged.size >= COMMIT_CONTENTS:
            self.commit()

    def _check_free(self, uri: str, key: str) -> None:
        items = schema.items
        staged = self._staged.change.items.get(uri)
        with self._writer.read() as connection:
            held = connection.execute(select(items.c.key).where(items.c.uri == uri)).scalar_one_or_none()
        other = staged.key if staged is not None else held
        if other is not None and other != key:
            raise UsageError(f"{uri} is the item with the key {other!r}; give {key!r} another uri")

    def _picture_uri(self, key: str) -> str:
        found = self._find(key)
        if found is None or found.kind != "image":
            raise UsageError(
                f"there is no picture with the key {key!r}; add it before the texts that describe it"
            )
        return found.uri

    def _stage_content(self, content: Content, vector: ArrayLike | None) -> bytes:
        row = None if vector is None else self._row(vector)
        if isinstance(content, str):
            return self._stage_text(content, row)
        return self._stage_picture(content, row)

    def _stage_text(self, content: str, row: NDArray[np.float32] | None) -> bytes:
        words = normalise_text(content)
        if not words or not _is_unicode(words):
            raise UsageError(f"{content!a} is no text that can be searched")
        digest = text_digest(words)
        if row is not None:
            self._staged.change.contents.setdefault(("text", digest), NewContent("text", digest, row, words))
        elif not self._is_there("text", digest):
            self._staged.add_text(digest, words, self._load())
        return digest

    def _stage_picture(self, content: bytes | Path | Image | None, row: NDArray[np.float32] | None) -> bytes:
        if content is None:
            if row is None:
                raise UsageError("an item needs a content or a vector")
            digest = vector_digest(row)
            self._staged.change.contents["image", digest] = NewContent("image", digest, row)
            return digest
        data: bytes | None = None
        if isinstance(content, (bytes, Path)):
            place = InlineBytes(content) if isinstance(content, bytes) else FileBytes(content)
            data = read_bytes(place, self._limits)
            digest = picture_digest(data)
        else:
            digest = pixel_digest(content)
        if row is not None:
            self._staged.change.contents.setdefault(("image", digest), NewContent("image", digest, row))
        elif not self._is_there("image", digest):
            encoder = self._load()
            picture = content if data is None else decode(data, self._limits, encoder.image_size)
            assert not isinstance(picture, (bytes, Path))
            width, height = picture.size if data is None else shown_size(data)
            read = ReadPicture(digest, encoder.prepare_image(picture), width, height)
            self._staged.add_picture(read, encoder)
        return digest

    def _is_there(self, kind: Kind, digest: bytes) -> bool:
        """Whether a content has a vector already, or will have one with the next commit."""
        if digest in self._staged.digests[kind] or (kind, digest) in self._staged.change.contents:
            return True
        identity = (
            self._identity()
        )  # before the transaction: it may need one of its own, and there is one connection
        with self._writer.read() as connection:
            encoder_id = ensure_encoder(connection, identity, activate=False)
            return bool(find_encoded(connection, kind, [digest], encoder_id))

    def _row(self, vector: ArrayLike) -> NDArray[np.float32]:
        row = np.array(vector, dtype=np.float32)
        dimension = self._identity().dimension
        if row.shape != (dimension,):
            raise UsageError(f"the vector has shape {row.shape}, and the collection's have ({dimension},)")
        try:
            check_rows(row[None])
        except ValueError:
            length = float(np.linalg.norm(row))
            raise UsageError(
                f"the vector is not finite and of unit length (it is {length}); divide by it"
            ) from None
        return row

    def _identity(self) -> Identity:
        if isinstance(self._model, Identity):
            return self._model
        if self._encoder is None and self._model == "auto":
            bound = self._writer.identity
            if bound is not None:
                return bound
        return self._load().identity

    def _load(self) -> Encoder:
        if self._encoder is None:
            if isinstance(self._model, Identity):
                raise UsageError("this writer knows an identity and no encoder; give every item its vector")
            self._encoder = bound_encoder(self._writer, self._model)
        return self._encoder


def _checked(attributes: Mapping[str, Scalar]) -> dict[str, Scalar]:
    for name, value in attributes.items():
        if not isinstance(name, str) or not isinstance(value, (str, int, float, bool, type(None))):
            raise UsageError(f"the attribute {name!r} is {value!r}; attributes are named, plain JSON values")
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"the attribute {name!r} is {value}, which JSON cannot hold")
        if not _is_unicode(name) or (isinstance(value, str) and not _is_unicode(value)):
            raise UsageError(f"the attribute {name!a} is not valid Unicode")
    return dict(attributes)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
