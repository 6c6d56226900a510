"""Totals of one generation, as ``info`` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from retrieval.collection.accelerators.asked import why_scanned
from retrieval.collection.accelerators.measurement import Measurement
from retrieval.collection.image_texts import count_image_texts, reads_text
from retrieval.collection.left_out import read_left_out
from retrieval.collection.migrations import IMAGE_TEXTS_SINCE
from retrieval.collection.moved import relative_to
from retrieval.collection.shard_note import read_shard
from retrieval.collection.snapshot import Snapshot
from retrieval.collection.statement import VERSION, Number, ReadConnection, Select
from retrieval.places import CollectionPlace
from retrieval.types import Kind


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """Totals of one generation.

    ``images`` and ``texts`` count hidden items too, ``hidden`` those alone; ``dead`` counts masked rows that the next
    compaction drops; ``image_texts`` counts the image contents that have a text that is no caption, by its origin
    and maker (``read by ...``); ``left_out`` counts, by kind (``RAW picture``, ``hidden file``, see
    :mod:`retrieval.corpora.left_out`), what the last run over each corpus skipped; ``relative_to`` is the uri of the
    folder that paths count from where they move with the collection; ``reads_text`` says whether the text in new images
    is read after each run over a corpus; ``shard`` says which part of its corpus it holds,
    as in ``2/4``, where it is not the whole; ``scans`` says of the kinds for which ``optimize`` was asked for no
    accelerator, or found none that reaches the recall, why all their vectors are scanned.
    """

    path: str
    generation: int
    model: str | None
    dimension: int | None
    images: int
    texts: int
    links: int
    contents: int
    failures: int
    sources: int
    segments: int
    rows: int
    dead: int
    unencoded: int
    hidden: int
    vector_bytes: int
    catalogue_bytes: int
    schema_version: int
    precision: str | None = None
    runtime: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    accelerators: Mapping[Kind, AcceleratorInfo] = field(default_factory=dict)
    scans: Mapping[Kind, str] = field(default_factory=dict)
    image_texts: Mapping[str, int] = field(default_factory=dict)
    regions: RegionsInfo | None = None
    relative_to: str | None = None
    reads_text: bool = False
    shard: str | None = None


@dataclass(frozen=True, slots=True)
class AcceleratorInfo:
    """An accelerator: vectors that it covers, bytes on disk, its measured recall and speed."""

    rows: int
    bytes: int
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class RegionsInfo:
    """Regions of images: images that have any, their vectors in all, bytes on disk."""

    images: int
    vectors: int
    bytes: int


def read_totals(connection: ReadConnection, path: CollectionPlace, snapshot: Snapshot) -> CollectionInfo:
    """Count what a generation holds."""
    identity = snapshot.identity
    counts = _COUNTS.rows(connection)[0]
    storage = snapshot.storage(connection, snapshot.encoder_id)
    return CollectionInfo(
        path=str(path),
        generation=snapshot.generation,
        model=None if identity is None else identity.name,
        dimension=None if identity is None else identity.dimension,
        precision=None if identity is None else identity.precision,
        runtime=None if identity is None else identity.runtime,
        **counts._asdict(),
        **storage._asdict(),
        unencoded=_UNENCODED.rows(connection, snapshot.encoder_id)[0].number,
        rows=sum(store.rows for store in snapshot.stores.values()),
        dead=len(snapshot.dead),
        hidden=sum(len(of_kind) for of_kind in snapshot.hidden.values()),
        schema_version=VERSION.rows(connection)[0].number,
        left_out=read_left_out(connection),
        relative_to=relative_to(connection) if snapshot.move is None else snapshot.move.new,
        image_texts=count_image_texts(connection) if snapshot.schema >= IMAGE_TEXTS_SINCE else {},
        reads_text=reads_text(connection),
        regions=_regions(snapshot),
        shard=read_shard(connection),
        scans=why_scanned(connection, snapshot.encoder_id),
        accelerators={
            kind: AcceleratorInfo(one.facts.rows, one.facts.size, one.measurement)
            for kind, one in snapshot.accelerators.items()
        }
        | {
            kind: AcceleratorInfo(index.facts.rows, index.facts.size, index.measurement)
            for kind, index in snapshot.indexes.items()
        },
    )


def _regions(snapshot: Snapshot) -> RegionsInfo | None:
    store = snapshot.regions
    return None if store is None else RegionsInfo(store.images, store.rows, store.bytes)


class _Counts(NamedTuple):
    images: int
    texts: int
    links: int
    contents: int
    failures: int
    sources: int


_COUNTS = Select(
    _Counts,
    "SELECT (SELECT count(*) FROM items WHERE kind = 'image'), (SELECT count(*) FROM items WHERE kind = 'text'), "
    "(SELECT count(*) FROM links), (SELECT count(*) FROM contents), (SELECT count(*) FROM failures), "
    "(SELECT count(*) FROM sources)",
)
_UNENCODED = Select(
    Number,
    "SELECT count(*) FROM items WHERE NOT EXISTS (SELECT 1 FROM encodings "
    "WHERE encodings.content_id = items.content_id AND encodings.encoder_id = ?)",
)
