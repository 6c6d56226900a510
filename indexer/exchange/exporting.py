"""A collection as plain npy and Parquet files (indexer/exchange/layout.py says which), in one generation."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.exchange.albums import exported_albums
from indexer.exchange.image_texts import texts_json
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
from retrieval.collection import Collection, View
from retrieval.collection.catalogue_items import ItemRow
from retrieval.errors import CollectionError, UsageError
from retrieval.extras import require
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.postgres_address import check_path, place_of
from retrieval.uris import is_url, split_file_uri

PARTITION_ROWS = 65_536  # 128 MiB an array at 512 dimensions


@dataclass(frozen=True, slots=True)
class Exported:
    """Counts of what was exported; ``left_out`` are items that have no vector (index or reindex encodes them)."""

    images: int
    texts: int
    rows: int
    left_out: int


def export_collection(
    collection: str | CollectionPlace, folder: str | Path, *, hidden: bool = False
) -> Exported:
    """Write a collection into a new folder that :func:`indexer.import_collection` and clip-retrieval read.

    The folder appears when it is whole. Vectors are the collection's own bits, as little-endian float32.
    With ``hidden`` hidden items go out too, and an import hides them again; without it they do not go out, nor do
    albums that ask with one, and decisions to keep duplicates of one.

    Raises:
        UsageError: ``folder`` is there already, and not empty, or no folder can have its path.
        CollectionError: the collection is empty, or cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    require("parquet", "an export")
    path, target = place_of(collection) if isinstance(collection, str) else collection, Path(folder)
    check_path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already; export into a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with Collection.open(path) as opened, opened.reading() as view:
            if view.identity is None:
                raise CollectionError(f"collection {path} is empty; there is nothing to export")
            done = _Export(view, view.identity, building, hidden).run()
        if target.exists():
            target.rmdir()
        # mkdtemp makes folders that only their owner sees
        building.chmod(0o755)
        building.rename(target)
        return done
    finally:
        shutil.rmtree(building, ignore_errors=True)


@dataclass(slots=True)
class _Partition:
    """Rows of the next three files."""

    images: list[NDArray[np.float32]] = field(default_factory=list)
    texts: list[NDArray[np.float32]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


class _Export:
    """One export while it is written; see :func:`export_collection`."""

    def __init__(self, view: View, identity: Identity, folder: Path, with_hidden: bool) -> None:
        self.view, self.identity, self.folder = view, identity, folder
        self.with_hidden = with_hidden
        self.zeros = np.zeros(identity.dimension, np.float32)
        self.partition = _Partition()
        self.kept_contents = frozenset[bytes]().union(*view.kept_duplicates())
        self.exported_kept: set[bytes] = set()
        self.partitions = self.images = self.texts = self.total = self.left_out = 0

    def run(self) -> Exported:
        for name in (IMAGES, TEXTS, METADATA):
            (self.folder / name).mkdir()
        for page in self.view.pages("image"):
            self._add_images(self._wanted(page))
        for page in self.view.pages("text"):
            self._add_unlinked(self._wanted(page))
        self._flush()
        self._write_manifest([item.uri for item in self.view.hidden()] if self.with_hidden else [])
        return Exported(self.images, self.texts, self.total, self.left_out)

    def _write_manifest(self, hidden: list[str]) -> None:
        manifest = {
            "format": "vlsearch export",
            "version": HIDING_VERSION if hidden else MANIFEST_VERSION,
            "generation": self.view.generation,
            "identity": json.loads(self.identity.to_json()),
        }
        if hidden:
            manifest["hidden"] = hidden
        if kept := self._exported_decisions():
            manifest["kept_duplicates"] = kept
        if self.view.info().reads_text:
            manifest["reads_text"] = True
        if albums := exported_albums(self.view, self.with_hidden):
            manifest["albums"] = albums
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (self.folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")

    def _exported_decisions(self) -> list[list[str]]:
        """Give the decisions to keep duplicates, as sha256; without hidden items, those about exported contents."""
        decisions = self.view.kept_duplicates()
        if not self.with_hidden:
            decisions = [digests for digests in decisions if digests <= self.exported_kept]
        return sorted(sorted(digest.hex() for digest in digests) for digests in decisions)

    def _wanted(self, page: list[ItemRow]) -> list[tuple[ItemRow, int]]:
        """Choose the items of a page to export, with the ids of their encodings; count those that have none."""
        encoded = self._encoded(page)
        self.left_out += sum(item.encoding is None for item in page)
        return encoded

    def _encoded(self, rows: Iterable[ItemRow]) -> list[tuple[ItemRow, int]]:
        """Choose the items that have a vector; hidden ones only where they are exported too."""
        return [
            (item, item.encoding)
            for item in rows
            if item.encoding is not None and (self.with_hidden or not self.view.hides(item.id))
        ]

    def _add_images(self, items: list[tuple[ItemRow, int]]) -> None:
        """Add a row for each image and its first text, and one for each further text."""
        vectors = self.view.vectors("image", [encoding for _, encoding in items])
        captions = self._captions([item.id for item, _ in items])
        texts = self.view.image_texts([item.id for item, _ in items])
        self.images += len(items)
        self.exported_kept.update(self.kept_contents.intersection(bytes(item.sha256) for item, _ in items))
        for (item, _), vector in zip(items, vectors, strict=True):
            facts = _image_facts(item)
            linked = captions.get(item.id, [])
            own = facts | {"image_texts": texts_json(texts.get(item.id, ()))}
            self._add(vector, linked[0][1] if linked else None, own, linked[0][0] if linked else None)
            for caption, text_vector in linked[1:]:
                self._add(None, text_vector, facts, caption)

    def _add_unlinked(self, items: list[tuple[ItemRow, int]]) -> None:
        """Add a row for each text that no row of an image has brought."""
        self.texts += len(items)
        links = self.view.links("text", [item.id for item, _ in items])
        images = {item.id for item, _ in self._encoded(self.view.rows({link.image for link in links}))}
        linked = {link.text for link in links if link.image in images}
        alone = [(item, encoding) for item, encoding in items if item.id not in linked]
        vectors = self.view.vectors("text", [encoding for _, encoding in alone])
        for (item, _), vector in zip(alone, vectors, strict=True):
            self._add(None, vector, {}, item)

    def _captions(self, image_ids: list[int]) -> dict[int, list[tuple[ItemRow, NDArray[np.float32]]]]:
        """Read linked texts that have a vector, by image, in the order of their links."""
        links = self.view.links("image", image_ids)
        texts = self._encoded(self.view.rows({link.text for link in links}))
        vectors = self.view.vectors("text", [encoding for _, encoding in texts])
        by_id = {item.id: (item, vector) for (item, _), vector in zip(texts, vectors, strict=True)}
        found: dict[int, list[tuple[ItemRow, NDArray[np.float32]]]] = {}
        for link in links:
            if link.text in by_id:
                found.setdefault(link.image, []).append(by_id[link.text])
        return found

    def _add(
        self,
        image: NDArray[np.float32] | None,
        text: NDArray[np.float32] | None,
        facts: dict[str, Any],
        caption: ItemRow | None,
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


def _image_facts(item: ItemRow) -> dict[str, Any]:
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
        # image_uri has the whole of a name that is not UTF-8
        facts["image_path"] = path.encode(errors="replace").decode()
    elif is_url(item.uri):
        facts["url"] = item.uri
    return facts


def _caption_facts(item: ItemRow) -> dict[str, Any]:
    return {
        "caption": item.text,
        "caption_uri": item.uri,
        "caption_key": item.key,
        "caption_lang": item.lang,
        "caption_attributes": item.attributes,
    }
