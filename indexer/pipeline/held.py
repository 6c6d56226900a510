"""What the shards of a corpus hold of its entries: contents with their vectors, or why an item could not be taken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.pipeline.described import by_metadata, files_of, stamp_of_files
from indexer.pipeline.look_up import LookedUp, Unlisted
from indexer.pipeline.parts import expanded, file_uri_of, mark_of, names_of, rate_of
from indexer.pipeline.shards import OpenedShard, OpenedShards
from indexer.store.changes import NewContent, NewImageText
from indexer.store.known import find_file_parts
from retrieval.collection.image_texts import parse_boxes
from retrieval.collection.statement import Select, id_list
from retrieval.collection.stored import read_vectors
from retrieval.collection.stored_values import parse_attributes
from retrieval.collection.stores.protocols import VectorStore
from retrieval.corpora.shard import shard_number
from retrieval.corpora.sharded import name_of
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError, UsageError
from retrieval.locations.fetch import stamp
from retrieval.types import CorpusImage, Entry, Failure, Kind, Origin, WholeFile


class FailedImage(NamedTuple):
    """An image that could not be taken: why, and what must change before another try."""

    uri: str
    reason: str
    stamp: str | None


@dataclass(slots=True)
class Held:
    """What shards hold of some entries.

    Attributes:
        images: contents of images as they would have been read, by the image's uri.
        failures: why images could not be taken, by uri.
        contents: with vectors, of those images and of the entries' texts.
        texts: of the images, by sha256 and origin, that are not captions.
    """

    images: dict[str, PreparedImage] = field(default_factory=dict)
    failures: dict[str, FailedImage] = field(default_factory=dict)
    contents: dict[tuple[Kind, bytes], NewContent] = field(default_factory=dict)
    texts: dict[bytes, dict[Origin, NewImageText]] = field(default_factory=dict)


class HeldEntries:
    """Asks the shards of a corpus for its entries.

    Attributes:
        failure_stamps: of items that could not be taken, by uri; they say when another try is worth it.
    """

    def __init__(self, shards: OpenedShards) -> None:
        self._shards = shards.shards
        self.failure_stamps: dict[str, str | None] = {}

    def entries(self, entries: Iterable[Entry | Failure]) -> Iterator[Entry | Failure | Unlisted]:
        """Give entries with those of files that hold several pictures expanded as their shards have them.

        Raises:
            UsageError: a shard does not know the pictures of a file as it is now.
        """
        for entry in entries:
            if isinstance(entry, Entry) and entry.image is not None and entry.image.may_be_several:
                yield from self._pictures(entry, entry.image)
            else:
                yield entry

    def held(self, entries: Sequence[LookedUp]) -> Held:
        """Read what shards hold of entries that were looked up in the merged collection.

        Raises:
            UsageError: a shard does not hold one, as it is now.
        """
        found = Held()
        by_shard: dict[int, list[LookedUp]] = {}
        for entry in entries:
            if entry.image is not None or entry.texts:
                by_shard.setdefault(self._number(_name_of(entry)), []).append(entry)
        for number, of_shard in by_shard.items():
            _Reading(self._shards[number - 1], found).read(of_shard)
        self.failure_stamps |= {uri: failed.stamp for uri, failed in found.failures.items()}
        return found

    def _number(self, name: str) -> int:
        return shard_number(name, len(self._shards))

    def _pictures(self, entry: Entry, image: CorpusImage) -> Iterator[Entry | Failure | Unlisted]:
        location = image.location
        if not isinstance(location, WholeFile):
            yield entry
            return
        try:
            file_stamp = stamp(location)
        except ImageError:
            yield replace(entry, image=replace(image, may_be_several=False))  # whoever looks it up says so
            return
        assert file_stamp is not None, "of a file"
        shard = self._shards[self._number(name_of(entry)) - 1]
        prefix = f"{image.uri}{mark_of(location)}"
        rows = find_file_parts(shard.connection, image.uri, prefix)
        names = names_of(file_stamp, rate_of(image), rows, prefix)
        if names is not None:
            yield from expanded(entry, location, names)
            return
        failed = _failures_at(shard, [image.uri]).get(image.uri)
        if failed is None or not _fails_as_it_did(image, failed):
            raise _missing(shard, image.uri)
        self.failure_stamps[image.uri] = failed.stamp
        yield Unlisted(entry, ImageError(failed.reason))


def _name_of(entry: LookedUp) -> str:
    """Give the name by which a shard took an entry: that of the file, where it is one of several pictures in it."""
    return entry.texts[0].text.uri if entry.image is None else file_uri_of(entry.image)


def must_be_asked(entry: LookedUp) -> bool:
    """Whether shards are to be asked for the image of an entry: it is not in the merged collection as it is now."""
    if entry.image is None or entry.first is not None or entry.unlisted is not None:
        return False
    return entry.must_be_read or entry.failure is not None


class _Reading:
    """Reads what one shard holds of entries into a :class:`Held`."""

    def __init__(self, shard: OpenedShard, found: Held) -> None:
        self._shard, self._found = shard, found

    def read(self, entries: Sequence[LookedUp]) -> None:
        """Read images, then the vectors of all contents."""
        asked = {entry.uri: entry.image for entry in entries if must_be_asked(entry)}
        sizes = self._images({uri: image for uri, image in asked.items() if image is not None})
        wanted: dict[tuple[Kind, bytes], tuple[str, str | None]] = {
            ("image", image.digest): (uri, None) for uri, image in self._found.images.items() if uri in sizes
        }
        for entry in entries:
            texts = (one for one in entry.texts if not one.encoded)
            wanted |= {("text", one.digest): (one.text.uri, one.normalised) for one in texts}
        vectors = self._vectors(wanted)
        for (kind, digest), (uri, text) in wanted.items():
            vector = vectors.get((kind, digest))
            if vector is None:
                raise _missing(self._shard, uri)
            width, height = (None, None) if kind == "text" else sizes[uri]
            self._found.contents[kind, digest] = NewContent(kind, digest, vector, text, width, height)

    def _vectors(
        self, wanted: Iterable[tuple[Kind, bytes]]
    ) -> Mapping[tuple[Kind, bytes], NDArray[np.float32]]:
        snapshot = self._shard.snapshot
        if snapshot.encoder_id is None:
            return {}

        def store(kind: Kind) -> VectorStore:
            return snapshot.stores[kind]

        return read_vectors(self._shard.connection, snapshot.encoder_id, store, wanted)

    def _images(self, asked: Mapping[str, CorpusImage]) -> dict[str, tuple[int | None, int | None]]:
        """Read images; give width and height, by uri, of those that are there."""
        rows = {row.uri: row for row in _ITEMS.rows(self._shard.connection, json.dumps(list(asked)))}
        failed = _failures_at(self._shard, asked)
        sizes: dict[str, tuple[int | None, int | None]] = {}
        contents: dict[int, bytes] = {}
        for uri, image in asked.items():
            row = rows.get(uri)
            if row is not None and _is_as_it_was(image, row):
                metadata = by_metadata(row.stamp, parse_attributes(row.attributes))
                self._found.images[uri] = PreparedImage(row.sha256, metadata=metadata)
                sizes[uri] = (row.width, row.height)
                contents[row.content_id] = row.sha256
            elif uri in failed and _fails_as_it_did(image, failed[uri]):
                self._found.failures[uri] = failed[uri]
            else:
                raise _missing(self._shard, uri)
        for text in _TEXTS.rows(self._shard.connection, id_list(contents)):
            of_content = self._found.texts.setdefault(contents[text.content_id], {})
            of_content[text.origin] = NewImageText(text.maker, text.text, parse_boxes(text.boxes))
        return sizes


def _is_as_it_was(image: CorpusImage, row: _Item) -> bool:
    """Whether an image's file and sidecars are as a shard took them, as far as that can be told."""
    return row.stamp is None or files_of(row.stamp) == _stamp_now(image)


def _fails_as_it_did(image: CorpusImage, failed: FailedImage) -> bool:
    """Whether an image's file and sidecars are as a shard met them, as far as that can be told."""
    return failed.stamp is None or failed.stamp.startswith(f"{_stamp_now(image)} ")


def _stamp_now(image: CorpusImage) -> str | None:
    try:
        return stamp_of_files(image)
    except ImageError:
        return None


def _missing(shard: OpenedShard, uri: str) -> UsageError:
    return UsageError(
        f"{uri} is not in shard {shard.shard} ({shard.path}) as it is now: it came or changed after that was indexed; "
        "index the shards again, then merge again"
    )


class _Item(NamedTuple):
    """An image of a shard with its content."""

    uri: str
    content_id: int
    sha256: bytes
    stamp: str | None
    attributes: str
    width: int | None
    height: int | None


# The plus keeps SQLite from the index of kinds, through which it would read all images of the shard for each batch.
_ITEMS = Select(
    _Item,
    "SELECT items.uri, contents.id, contents.sha256, items.stamp, items.attributes, contents.width, contents.height"
    " FROM items JOIN contents ON contents.id = items.content_id"
    " WHERE +items.kind = 'image' AND items.uri IN (SELECT value FROM json_each(?))",
)


_FAILED = Select(
    FailedImage, "SELECT uri, reason, stamp FROM failures WHERE uri IN (SELECT value FROM json_each(?))"
)


def _failures_at(shard: OpenedShard, uris: Iterable[str]) -> dict[str, FailedImage]:
    return {row.uri: row for row in _FAILED.rows(shard.connection, json.dumps(list(uris)))}


class _Text(NamedTuple):
    """A text of an image content that is not a caption."""

    content_id: int
    origin: Origin
    maker: str
    text: str
    boxes: str


_TEXTS = Select(
    _Text,
    "SELECT content_id, origin, maker, text, boxes FROM image_texts"
    " WHERE content_id IN (SELECT value FROM json_each(?)) ORDER BY content_id, origin",
)
