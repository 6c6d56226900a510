"""Import npy and Parquet files (:mod:`indexer.exchange.layout`) into a collection: nothing is encoded again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from indexer.exchange.albums import add_albums, albums_of
from indexer.exchange.layout import (
    HIDING_VERSION,
    IMAGES,
    MANIFEST,
    MANIFEST_BYTES,
    MANIFEST_VERSION,
    METADATA,
    TEXTS,
)
from indexer.exchange.metadata_rows import MetadataRow, count_rows, read_rows
from indexer.exchange.npy import NpyRows, open_npy, unit_rows
from indexer.pipeline.pace import IMPORT_PACE, CommitPace
from indexer.pipeline.staging import Staged
from indexer.store.changes import Change, NewContent, NewFailure, NewItem
from indexer.store.item_rules import uri_fault
from indexer.store.known import drop_encoded
from indexer.store.settings import set_settings
from indexer.store.text_rows import note_reads_text
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from retrieval.collection import schema
from retrieval.collection.albums import Album
from retrieval.collection.catalogue import chunked
from retrieval.collection.kept_duplicates import digests_in, note_of
from retrieval.contents import text_digest, vector_digest
from retrieval.encoders.registry import load_encoder
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.extras import require
from retrieval.identity import Identity
from retrieval.json_files import read_object
from retrieval.places import CollectionPlace
from retrieval.types import KINDS, Kind
from retrieval.uris import file_uri

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

VECTOR_BYTES = 64 * 2**20  # that a commit holds in memory
FORMAT = "clip-retrieval"


@dataclass(frozen=True, slots=True)
class Imported:
    """Items and links of the import that the collection holds now, and how many rows could not be taken."""

    images: int
    captions: int
    links: int
    failed: int


def import_collection(
    folder: str | Path,
    collection: str | CollectionPlace,
    *,
    model: str | Path | Encoder | None = None,
    timeout: float = 0.0,
    pace: CommitPace = IMPORT_PACE,
) -> Imported:
    """Take a folder that :func:`indexer.export_collection` or clip-retrieval wrote into a collection.

    A folder of vlsearch's own says which model made its vectors; for any other, ``model`` says it. Vectors that are
    not of unit length (clip-retrieval writes float16) are brought to it; a row that is all zeros is not a vector. A
    row that cannot be taken is a failure in the catalogue. Run again, it changes nothing. Killed, it has kept whole
    chunks of rows, and is run again.

    Args:
        folder: holds ``img_emb`` and/or ``text_emb``, and ``metadata``.
        collection: folder of the collection, made if it is not there.
        model: name, alias or folder of the model that made the vectors, or its encoder.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        pace: how many rows, or characters of them, a commit takes.

    Raises:
        CorpusFormatError: files are missing, damaged, or do not fit each other.
        UsageError: nothing says which model made the vectors.
        MissingExtra: pyarrow is not installed.
        IdentityMismatch: the collection holds vectors of another model.
    """
    source = Path(folder)
    files = _files(source)
    require("parquet", "an import")
    manifest = _manifest(source)
    if model is not None:
        identity = (load_encoder(model) if isinstance(model, (str, Path)) else model).identity
    elif manifest is not None:
        identity = manifest.identity
    else:
        raise UsageError(f"{source} does not say which model made its vectors; name it with --model")
    partitions = [_opened(found, identity) for found in files]  # all, before anything is made
    with open_place(collection, timeout) as writer:
        writer.check_identity(identity)
        if manifest is not None and manifest.hidden:  # first, so that a killed import shows none of them
            writer.commit_rows(Change(hidden=manifest.hidden))
        run = _Import(writer, identity, writer.ensure_corpus(file_uri(source), FORMAT), manifest is not None)
        for partition in partitions:
            run.take(partition, pace)
        if manifest is not None:
            add_albums(writer, manifest.albums)
            _note_settings(writer, manifest)
        return run.result()


@dataclass(frozen=True, slots=True)
class _Files:
    """Three files with the same rows; either array may be missing."""

    metadata: Path
    images: Path | None
    texts: Path | None


@dataclass(frozen=True, slots=True)
class _Partition:
    """Three such files, opened, with as many vectors as rows."""

    metadata: Path
    images: NpyRows | None
    texts: NpyRows | None


def _files(folder: Path) -> list[_Files]:
    found = []
    for metadata in sorted((folder / METADATA).glob(f"{METADATA}_*.parquet")):
        number = metadata.stem.removeprefix(f"{METADATA}_")
        arrays = [folder / kind / f"{kind}_{number}.npy" for kind in (IMAGES, TEXTS)]
        there = [path if path.exists() else None for path in arrays]
        if there == [None, None]:
            raise CorpusFormatError(
                str(metadata), f"has neither {arrays[0]} nor {arrays[1]} beside it", "Copy the folder again"
            )
        found.append(_Files(metadata, there[0], there[1]))
    if not found:
        fault = f"does not hold {METADATA}/{METADATA}_*.parquet"
        raise CorpusFormatError(
            str(folder), fault, "Name a folder that vlsearch export or clip-retrieval inference wrote"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What an export says of itself; ``hidden`` are uris, ``kept`` sets of sha256 of duplicates that are kept."""

    identity: Identity
    hidden: list[str]
    albums: list[Album]
    kept: list[frozenset[bytes]]
    reads_text: bool


def _manifest(folder: Path) -> _Manifest | None:
    """Read the manifest of a folder; None where it has none.

    Raises:
        CorpusFormatError: it is not as export writes it.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        facts = read_object(path, MANIFEST_BYTES)
        version, hidden = facts.get("version"), facts.get("hidden", [])
        if type(version) is not int:
            raise ValueError("it does not say its version")
        if version not in (MANIFEST_VERSION, HIDING_VERSION):
            fault = f"has version {version}, and this vlsearch reads versions up to {HIDING_VERSION}"
            raise CorpusFormatError(str(path), fault, "Upgrade vlsearch")
        if not isinstance(hidden, list) or any(uri_fault(uri) for uri in hidden):
            raise ValueError('it has no list of uris as "hidden"')
        albums, kept = albums_of(facts.get("albums", [])), _kept_in(facts.get("kept_duplicates", []))
        reads_text = facts.get("reads_text", False)
        if not isinstance(reads_text, bool):
            raise ValueError('it has no true or false as "reads_text"')
        return _Manifest(Identity.from_facts(facts.get("identity")), hidden, albums, kept, reads_text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CorpusFormatError(
            str(path), f"is not as export writes it ({reason})", "Export again"
        ) from error


def _kept_in(listed: object) -> list[frozenset[bytes]]:
    """Read the decisions to keep duplicates of a manifest.

    Raises:
        ValueError: they are not lists of sha256; the message is a clause.
    """
    decisions = [digests_in(json.dumps(one)) for one in listed] if isinstance(listed, list) else [frozenset()]
    if not all(decisions):
        raise ValueError('it has no list of lists of sha256 as "kept_duplicates"')
    return decisions


def _note_settings(writer: Writer, manifest: _Manifest) -> None:
    """Keep what an export decided: which duplicates stay, and that the text in new images is read."""
    if not manifest.kept and not manifest.reads_text:
        return
    with writer.catalogue.without_generation() as connection:
        set_settings(connection, dict(map(note_of, manifest.kept)))
        if manifest.reads_text:
            note_reads_text(connection, on=True)


def _opened(files: _Files, identity: Identity) -> _Partition:
    """Check three files against each other and against the model.

    Raises:
        CorpusFormatError: they do not fit.
    """
    rows = count_rows(files.metadata)
    arrays: list[NpyRows | None] = []
    for path in (files.images, files.texts):
        array = None if path is None else open_npy(path)
        arrays.append(array)
        if array is None:
            continue
        if array.dimension != identity.dimension:
            raise CorpusFormatError(
                str(path),
                f"holds rows of {array.dimension} floats, not rows of {identity.dimension} floats, as "
                f"{identity.name} makes them",
                "Name the model that made the vectors with --model",
            )
        if array.rows < rows:
            fault = f"has {array.rows} rows, fewer than {files.metadata}"
            raise CorpusFormatError(str(path), fault, "Copy both again")
    return _Partition(files.metadata, arrays[0], arrays[1])


class _Import:
    """One import into a collection; ``exported`` says that a collection was exported."""

    def __init__(self, writer: Writer, identity: Identity, corpus_id: int, exported: bool) -> None:
        self.writer, self.identity, self.corpus_id = writer, identity, corpus_id
        self.exported = exported
        self.ids: dict[Kind, list[NDArray[np.int64]]] = {"image": [], "text": []}
        self.failed = 0

    def take(self, partition: _Partition, pace: CommitPace) -> None:
        """Commit a partition, chunk by chunk."""
        most = max(1, min(pace.rows, pace.contents // 2, VECTOR_BYTES // (4 * self.identity.dimension)))
        start = 0
        for rows in _chunks(read_rows(partition.metadata, self.exported), most, pace.characters):
            stop = start + len(rows)
            for array in (partition.images, partition.texts):
                if array is not None and array.rows < stop:
                    raise CorpusFormatError(
                        str(partition.metadata),
                        f"holds more rows than its own footer states, and more than {array.path}",
                        "Copy both again",
                    )
            with self.writer.look_up() as connection:
                staged = _StagedRows(self.corpus_id, _KnownNames.of(connection, rows))
            images, texts = (_units(array, start, stop) for array in (partition.images, partition.texts))
            for at, (row, image, text) in enumerate(zip(rows, images, texts, strict=True), start=start):
                staged.stage(file_uri(partition.metadata, f"row={at}"), row, image, text)
            self._commit(staged.work.change)
            start = stop

    def result(self) -> Imported:
        """Count what the collection holds now of what this run has brought."""
        links = schema.links
        count = select(func.count()).select_from(links).where(links.c.source_id == self.corpus_id)
        with self.writer.look_up() as connection:
            linked = int(connection.execute(count).scalar_one())
        images, captions = (
            len(np.unique(np.concatenate(self.ids[kind]))) if self.ids[kind] else 0 for kind in KINDS
        )
        return Imported(images, captions, linked, self.failed)

    def _commit(self, change: Change) -> None:
        self._leave_out(change)
        self.failed += len(change.failures)
        if not change:
            return
        ids = self.writer.commit(change, self.identity)
        for kind in KINDS:
            of_kind = [ids[uri] for uri, item in change.items.items() if item.kind == kind]
            self.ids[kind].append(np.array(of_kind, np.int64))

    def _leave_out(self, change: Change) -> None:
        """Leave out contents that have a vector, and links to images that no row has brought."""
        images = {image for image, _ in change.links} - change.items.keys()
        encoder_id = self.writer.ensure_encoder(self.identity)
        with self.writer.look_up() as connection:
            drop_encoded(connection, change.contents, encoder_id)
            kinds = _kinds_of(connection, images)
        missing = {image for image in images if kinds.get(image) != "image"}
        for pair in [pair for pair in change.links if pair[0] in missing]:
            del change.links[pair]
            reason = f"no row brings its picture {pair[0]}"
            change.failures[pair[1]] = NewFailure(pair[1], reason, self.corpus_id)


@dataclass(frozen=True, slots=True)
class _KnownNames:
    """What the collection holds under names that rows give: kinds of items by uri, uris of items by key."""

    kinds: dict[str, Kind]
    keys: dict[str, str]

    @classmethod
    def of(cls, connection: Connection, rows: Iterable[MetadataRow | str]) -> _KnownNames:
        """Look up the names in these rows."""
        parts = [part for row in rows if isinstance(row, MetadataRow) for part in (row.image, row.caption)]
        items = schema.items
        keys: dict[str, str] = {}
        for chunk in chunked({part.key for part in parts if part.key is not None}):
            found = connection.execute(select(items.c.key, items.c.uri).where(items.c.key.in_(chunk)))
            keys |= {row.key: row.uri for row in found}
        return cls(_kinds_of(connection, {part.uri for part in parts if part.uri is not None}), keys)


class _StagedRows:
    """The rows of one commit."""

    def __init__(self, corpus_id: int, known: _KnownNames) -> None:
        self.corpus_id, self.known = corpus_id, known
        self.work = Staged()

    def stage(
        self,
        place: str,
        row: MetadataRow | str,
        image: NDArray[np.float32] | None,
        text: NDArray[np.float32] | None,
    ) -> None:
        """Stage what a row brings, under ``place`` where it does not name it; what cannot be taken is a failure."""
        if isinstance(row, str):
            self._fail(place, row)
            return
        words = row.caption.words
        image_uri = row.image.uri or (place if image is not None else None)
        if image is not None:
            self._stage_image(place, row, image, words if text is None else "")
        if text is not None and words:
            self._stage_text(f"{place}/caption", row, image_uri, text)
        elif image is None:
            self._fail(place, "the row has no vector" if text is None else "the row has no caption")

    def _stage_image(self, place: str, row: MetadataRow, vector: NDArray[np.float32], caption: str) -> None:
        columns, digest = row.image, row.image.sha256 or vector_digest(vector)
        item = NewItem(
            uri=columns.uri or place,
            kind="image",
            sha256=digest,
            corpus_id=self.corpus_id,
            key=columns.key,
            attributes={**columns.attributes, **({"caption": caption} if caption else {})},
            stamp=columns.stamp,
            extent=columns.extent,
        )
        if self._stage_item(place, item):
            self.work.add_vector(NewContent("image", digest, vector, None, columns.width, columns.height))
            self.work.change.texts |= {(digest, origin): text for origin, text in columns.texts.items()}

    def _stage_text(
        self, place: str, row: MetadataRow, image_uri: str | None, vector: NDArray[np.float32]
    ) -> None:
        columns, digest = row.caption, text_digest(row.caption.words)
        item = NewItem(
            uri=columns.uri or place,
            kind="text",
            sha256=digest,
            corpus_id=self.corpus_id,
            key=columns.key,
            lang=columns.lang,
            attributes=columns.attributes,
        )
        if not self._stage_item(place, item):
            return
        self.work.add_vector(NewContent("text", digest, vector, columns.words))
        if image_uri is not None:
            self.work.add_link(image_uri, item.uri, self.corpus_id)

    def _stage_item(self, place: str, item: NewItem) -> bool:
        """Stage an item; where its uri or key is another item's, stage a failure and give False."""
        kind = self.known.kinds.setdefault(item.uri, item.kind)
        if kind != item.kind:
            self._fail(place, f"{item.uri} is an item of kind {kind} already, and here of kind {item.kind}")
            return False
        owner = item.uri if item.key is None else self.known.keys.setdefault(item.key, item.uri)
        if owner != item.uri:
            self._fail(place, f"the key {item.key!r} is that of {owner}")
            return False
        self.work.add_item(item)
        return True

    def _fail(self, place: str, reason: str) -> None:
        self.work.add_failure(NewFailure(place, reason, self.corpus_id))


def _kinds_of(connection: Connection, uris: Iterable[str]) -> dict[str, Kind]:
    items = schema.items
    found: dict[str, Kind] = {}
    for chunk in chunked(sorted(set(uris))):
        rows = connection.execute(select(items.c.uri, items.c.kind).where(items.c.uri.in_(chunk)))
        found.update((row.uri, row.kind) for row in rows)
    return found


def _chunks(
    rows: Iterator[MetadataRow | str], most: int, characters: int
) -> Iterator[list[MetadataRow | str]]:
    """Give rows in lists of at most so many, and of about so many characters."""
    chunk: list[MetadataRow | str] = []
    held = 0
    for row in rows:
        chunk.append(row)
        held += len(row) if isinstance(row, str) else row.size_characters
        if len(chunk) == most or held >= characters:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _units(array: NpyRows | None, start: int, stop: int) -> list[NDArray[np.float32] | None]:
    return [None] * (stop - start) if array is None else unit_rows(array.read(start, stop))
