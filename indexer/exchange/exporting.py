"""A collection as plain npy and Parquet files (indexer/exchange/layout.py says which), in one generation."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError

from indexer.exchange.layout import (
    COLUMNS,
    EMPTY_ROW,
    HIDING_VERSION,
    IMAGES,
    MANIFEST,
    MANIFEST_VERSION,
    METADATA,
    NUMBERS,
    TEXTS,
)
from retrieval.collection import schema
from retrieval.collection.catalogue import check_readable, connect, damaged, read_generation
from retrieval.collection.snapshot import Snapshot, read_identity, read_snapshot
from retrieval.errors import CollectionError, UsageError
from retrieval.identity import Identity
from retrieval.types import Kind
from retrieval.uris import split_file_uri

PARTITION_ROWS = 65_536  # 128 MiB an array at 512 dimensions
PAGE = 4096  # items a catalogue look-up


@dataclass(frozen=True, slots=True)
class Exported:
    """What went out; ``left_out`` counts items that have no vector (index or reindex encodes them)."""

    images: int
    texts: int
    rows: int
    left_out: int


def export_collection(collection: str | Path, folder: str | Path, *, hidden: bool = False) -> Exported:
    """Write a collection into a new folder that :func:`indexer.import_collection` and clip-retrieval read.

    The folder appears when it is whole. Vectors are the collection's own bits, as little-endian float32.
    With ``hidden`` hidden items go out too, and an import hides them again; without it they do not go out.

    Raises:
        UsageError: ``folder`` is there already, and not empty.
        CollectionError: the collection is empty, or cannot be read.
    """
    path, target = Path(collection), Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already; export into a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    engine = connect(path, "read")
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with engine.connect() as connection, connection.begin():
            check_readable(connection, path)
            snapshot = read_snapshot(connection, path, read_generation(connection), None)
            if snapshot.encoder_id is None:
                raise CollectionError(f"collection {path} is empty; there is nothing to export")
            identity = read_identity(connection, path, snapshot.encoder_id)
            done = _Export(connection, snapshot, identity, building, hidden).run()
        if target.exists():
            target.rmdir()
        building.chmod(0o755)  # mkdtemp makes folders that only their owner sees
        building.rename(target)
        return done
    except DatabaseError as error:
        raise damaged(path, error) from error
    except FileNotFoundError as error:
        raise CollectionError(
            f"collection {path} keeps changing; export it when no writer is at work"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        engine.dispose()


@dataclass(slots=True)
class _Partition:
    """Rows on their way into the next three files."""

    images: list[NDArray[np.float32]] = field(default_factory=list)
    texts: list[NDArray[np.float32]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


class _Export:
    def __init__(
        self, connection: Connection, snapshot: Snapshot, identity: Identity, folder: Path, with_hidden: bool
    ) -> None:
        self.connection, self.snapshot, self.folder = connection, snapshot, folder
        self.identity = identity
        self.zeros = np.zeros(self.identity.dimension, np.float32)
        self.hidden_uris = _hidden_uris(connection) if with_hidden else []
        hidden = () if with_hidden else snapshot.hidden.values()
        self.unwanted = {item for of_kind in hidden for item in of_kind.tolist()}
        self.partition = _Partition()
        self.partitions = self.images = self.texts = self.total = self.left_out = 0

    def run(self) -> Exported:
        for name in (IMAGES, TEXTS, METADATA):
            (self.folder / name).mkdir()
        for page in self._pages("image"):
            self._add_pictures(page)
        for page in self._pages("text"):
            self._add_unlinked(page)
        self._flush()
        manifest = {
            "format": "vlsearch export",
            "version": HIDING_VERSION if self.hidden_uris else MANIFEST_VERSION,
            "generation": self.snapshot.generation,
            "identity": json.loads(self.identity.to_json()),
        }
        if self.hidden_uris:
            manifest["hidden"] = self.hidden_uris
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (self.folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
        return Exported(self.images, self.texts, self.total, self.left_out)

    def _pages(self, kind: Kind) -> Iterator[list[Any]]:
        """Items of a kind by id, with their content and the place of its vector; those that have none left out."""
        items, contents, encodings = schema.items, schema.contents, schema.encodings
        statement = (
            select(
                items,
                contents.c.sha256,
                contents.c.text,
                contents.c.width,
                contents.c.height,
                encodings.c.segment_id,
                encodings.c.row,
            )
            .join(contents, contents.c.id == items.c.content_id)
            .join(
                encodings,
                (encodings.c.content_id == contents.c.id)
                & (encodings.c.encoder_id == self.snapshot.encoder_id)
                & (encodings.c.part == 0),
            )
            .where(items.c.kind == kind)
            .order_by(items.c.id)
            .limit(PAGE)
        )
        count = select(func.count()).select_from(items).where(items.c.kind == kind)
        self.left_out += int(self.connection.execute(count).scalar_one())
        last = 0
        while page := list(self.connection.execute(statement.where(items.c.id > last))):
            self.left_out -= len(page)
            last = page[-1].id
            yield [item for item in page if item.id not in self.unwanted]

    def _add_pictures(self, page: list[Any]) -> None:
        vectors = self._vectors("image", page)
        captions = self._captions([item.id for item in page])
        for item, vector in zip(page, vectors, strict=True):
            self.images += 1
            facts = _picture_facts(item)
            linked = captions.get(item.id, [])
            self._add(vector, linked[0][1] if linked else None, facts, linked[0][0] if linked else None)
            for caption, text_vector in linked[1:]:
                self._add(None, text_vector, facts, caption)

    def _add_unlinked(self, page: list[Any]) -> None:
        self.texts += len(page)
        """Texts that no row of a picture has brought."""
        links, items, encodings = schema.links, schema.items, schema.encodings
        with_vector = (
            (encodings.c.content_id == items.c.content_id)
            & (encodings.c.encoder_id == self.snapshot.encoder_id)
            & (encodings.c.part == 0)
        )
        pairs = self.connection.execute(
            select(links)
            .join(items, items.c.id == links.c.image_item)
            .join(encodings, with_vector)
            .where(links.c.text_item.in_([item.id for item in page]))
        )
        linked = {pair.text_item for pair in pairs if pair.image_item not in self.unwanted}
        alone = [item for item in page if item.id not in linked]
        for item, vector in zip(alone, self._vectors("text", alone), strict=True):
            self._add(None, vector, {}, item)

    def _captions(self, image_ids: list[int]) -> dict[int, list[tuple[Any, NDArray[np.float32]]]]:
        """Linked texts that have a vector, by picture, in the order of their links."""
        links, items, contents, encodings = schema.links, schema.items, schema.contents, schema.encodings
        rows = list(
            self.connection.execute(
                select(links.c.image_item, items, contents.c.text, encodings.c.segment_id, encodings.c.row)
                .join(items, items.c.id == links.c.text_item)
                .join(contents, contents.c.id == items.c.content_id)
                .join(encodings, encodings.c.content_id == contents.c.id)
                .where(
                    links.c.image_item.in_(image_ids),
                    encodings.c.encoder_id == self.snapshot.encoder_id,
                    encodings.c.part == 0,
                )
                .order_by(links.c.image_item, links.c.rank, items.c.id)
            )
        )
        rows = [row for row in rows if row.id not in self.unwanted]
        found: dict[int, list[tuple[Any, NDArray[np.float32]]]] = {}
        for row, vector in zip(rows, self._vectors("text", rows), strict=True):
            found.setdefault(row.image_item, []).append((row, vector))
        return found

    def _vectors(self, kind: Kind, rows: list[Any]) -> NDArray[np.float32]:
        """Vectors of rows with a ``segment_id`` and a ``row``, (n, d), in their order; one read a segment."""
        vectors = np.empty((len(rows), self.identity.dimension), np.float32)
        places: dict[int, list[int]] = {}
        for at, row in enumerate(rows):
            places.setdefault(row.segment_id, []).append(at)
        for segment_id, of_segment in places.items():
            numbers = np.array([rows[at].row for at in of_segment], np.int64)
            vectors[of_segment] = self.snapshot.segment(kind, segment_id).vectors(numbers)
        return vectors

    def _add(
        self,
        image: NDArray[np.float32] | None,
        text: NDArray[np.float32] | None,
        facts: dict[str, Any],
        caption: Any | None,
    ) -> None:
        self.partition.images.append(self.zeros if image is None else image)
        self.partition.texts.append(self.zeros if text is None else text)
        row = EMPTY_ROW | facts | ({} if caption is None else _caption_facts(caption))
        self.partition.rows.append(
            {name: EMPTY_ROW[name] if value is None else value for name, value in row.items()}
        )
        if len(self.partition.rows) == PARTITION_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow  # late: slow to come up, and only exports and Parquet corpora need it
        import pyarrow.parquet

        rows = self.partition.rows
        if not rows:
            return
        name = f"{self.partitions:04}"
        for kind, vectors in ((IMAGES, self.partition.images), (TEXTS, self.partition.texts)):
            array = np.stack(vectors).astype("<f4", copy=False)
            np.save(self.folder / kind / f"{kind}_{name}.npy", array, allow_pickle=False)
        columns = pyarrow.schema(
            [(column, pyarrow.int64() if column in NUMBERS else pyarrow.string()) for column in COLUMNS]
        )
        table = pyarrow.Table.from_pylist(rows, columns)
        # an open file: a name that is not UTF-8 cannot be passed to pyarrow
        with (self.folder / METADATA / f"{METADATA}_{name}.parquet").open("wb") as file:
            pyarrow.parquet.write_table(table, file)
        self.partitions += 1
        self.total += len(rows)
        self.partition = _Partition()


def _hidden_uris(connection: Connection) -> list[str]:
    if schema.schema_version(connection) < schema.HIDDEN_SINCE:
        return []
    return list(connection.execute(select(schema.hidden.c.uri).order_by(schema.hidden.c.uri)).scalars())


def _picture_facts(item: Any) -> dict[str, Any]:
    split = split_file_uri(item.uri)
    facts = {
        "image_uri": item.uri,
        "image_key": item.key,
        "image_sha256": item.sha256.hex(),
        "image_width": item.width,
        "image_height": item.height,
        "image_attributes": item.attributes,
        "image_stamp": item.stamp,
        "image_extent": item.extent,
    }
    if split is not None:
        path = str(split[0]) + ("" if split[1] is None else f"#{split[1]}")
        facts["image_path"] = path.encode(
            errors="replace"
        ).decode()  # a name that is no UTF-8 is in image_uri
    elif item.uri.startswith(("http://", "https://")):
        facts["url"] = item.uri
    return facts


def _caption_facts(item: Any) -> dict[str, Any]:
    return {
        "caption": item.text,
        "caption_uri": item.uri,
        "caption_key": item.key,
        "caption_lang": item.lang,
        "caption_attributes": item.attributes,
    }
