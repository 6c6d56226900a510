"""npy and Parquet files (indexer/exchange.py says which) into a collection: vectors as they are, nothing encoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.changes import Change, NewContent, NewFailure, NewItem, NewLink, normalise_text, text_digest
from indexer.exchange import (
    COLUMNS,
    HIDING_VERSION,
    IMAGES,
    MANIFEST,
    MANIFEST_VERSION,
    METADATA,
    NUMBERS,
    TEXTS,
)
from indexer.known import drop_encoded
from indexer.rows import ensure_encoder, item_ids_of
from indexer.writer import Writer
from retrieval.collection.segments import UNIT_TOLERANCE
from retrieval.encoders.registry import load_encoder
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.identity import Identity
from retrieval.types import Scalar
from retrieval.uris import file_uri, hide_passwords

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

CHUNK_ROWS = 8192
FORMAT = "clip-retrieval"


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in: items and links that the collection holds now, and rows that could not be taken."""

    images: int
    captions: int
    links: int
    failed: int


def import_collection(
    folder: str | Path, collection: str | Path, *, model: str | Path | Encoder | None = None
) -> Imported:
    """Take a folder that :func:`indexer.export_collection` or clip-retrieval wrote into a collection.

    A folder of vlsearch's own says which model made its vectors; for any other, ``model`` says it. Vectors that are
    not of unit length (clip-retrieval writes float16) are brought to it; a row that is all zeros is no vector. Run
    again, it changes nothing. Killed, it has kept whole chunks of rows, and is run again.

    Args:
        folder: holds ``img_emb`` and/or ``text_emb``, and ``metadata``.
        collection: folder of the collection, made if it is not there.
        model: name, alias or folder of the model that made the vectors, or its encoder.

    Raises:
        CorpusFormatError: files are missing, damaged, or do not fit each other.
        UsageError: nothing says which model made the vectors.
        IdentityMismatch: the collection holds vectors of another model.
    """
    source = Path(folder)
    partitions = _partitions(source)
    identity = _identity(source, model)
    with Writer(Path(collection)) as writer:
        writer.check_identity(identity)
        if hidden := _hidden_uris(source):  # first, so that a killed import shows none of them
            writer.commit_rows(Change(hidden=hidden))
        run = _Import(writer, identity, writer.source_id(file_uri(source), FORMAT))
        for partition in partitions:
            run.take(partition)
        return Imported(len(run.pictures), len(run.texts), len(run.links), run.failed)


@dataclass(frozen=True, slots=True)
class _Partition:
    """Three files with the same rows; either array may be missing."""

    metadata: Path
    images: Path | None
    texts: Path | None


def _partitions(folder: Path) -> list[_Partition]:
    found = []
    for metadata in sorted((folder / METADATA).glob(f"{METADATA}_*.parquet")):
        number = metadata.stem.removeprefix(f"{METADATA}_")
        arrays = [folder / kind / f"{kind}_{number}.npy" for kind in (IMAGES, TEXTS)]
        there = [path if path.is_file() else None for path in arrays]
        if there == [None, None]:
            raise CorpusFormatError(
                str(metadata), f"has neither {arrays[0]} nor {arrays[1]} beside it", "Copy the folder again"
            )
        found.append(_Partition(metadata, there[0], there[1]))
    if not found:
        fault = f"holds no {METADATA}/{METADATA}_*.parquet"
        raise CorpusFormatError(
            str(folder), fault, "Name a folder that vlsearch export or clip-retrieval inference wrote"
        )
    return found


def _identity(folder: Path, model: str | Path | Encoder | None) -> Identity:
    if model is not None:
        return (load_encoder(model) if isinstance(model, (str, Path)) else model).identity
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise UsageError(f"{folder} does not say which model made its vectors; name it with --model")
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
        version = facts["version"]
        known = version in (MANIFEST_VERSION, HIDING_VERSION)
        identity = Identity(**facts["identity"]) if known else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorpusFormatError(
            str(manifest), f"is not as export writes it ({error})", "Export again"
        ) from error
    if identity is None:
        fault = f"has version {version}, and this vlsearch reads versions up to {HIDING_VERSION}"
        raise CorpusFormatError(str(manifest), fault, "Upgrade vlsearch")
    return identity


def _hidden_uris(folder: Path) -> list[str]:
    """What an export says is hidden.

    Raises:
        CorpusFormatError: it is not a list of uris.
    """
    manifest = folder / MANIFEST
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
        uris = facts.get("hidden", []) if isinstance(facts, dict) else None
    except (OSError, ValueError, RecursionError):
        uris = None
    if not isinstance(uris, list) or not all(
        isinstance(uri, str) and uri and _is_unicode(uri) for uri in uris
    ):
        raise CorpusFormatError(str(manifest), 'has no list of uris as "hidden"', "Export again")
    return uris


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


class _Import:
    def __init__(self, writer: Writer, identity: Identity, source_id: int) -> None:
        self.writer, self.identity, self.source_id = writer, identity, source_id
        self.pictures: set[str] = set()
        self.texts: set[str] = set()
        self.links: set[tuple[str, str]] = set()
        self.failed = 0

    def take(self, partition: _Partition) -> None:
        """Commit a partition, chunk by chunk."""
        images, texts = self._array(partition.images), self._array(partition.texts)
        start = 0
        for rows in _metadata_chunks(partition.metadata):
            stop = start + len(rows)
            for array, path in ((images, partition.images), (texts, partition.texts)):
                if array is not None and len(array) < stop:
                    raise CorpusFormatError(
                        str(path),
                        f"has {len(array)} rows, fewer than {partition.metadata}",
                        "Copy both again",
                    )
            change = Change()
            self._stage(
                change, partition, rows, start, _units(images, start, stop), _units(texts, start, stop)
            )
            self._leave_out(change)
            if change:
                self.writer.commit(change, self.identity)
            self.links |= change.links.keys()
            start = stop

    def _array(self, path: Path | None) -> NDArray[Any] | None:
        if path is None:
            return None
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise CorpusFormatError(
                str(path), f"cannot be read ({error.strerror})", "Copy it again"
            ) from error
        except (ValueError, EOFError) as error:  # their words advise to load pickles
            raise CorpusFormatError(str(path), "is no whole .npy file of numbers", "Copy it again") from error
        if array.ndim != 2 or array.dtype.kind != "f" or array.shape[1] != self.identity.dimension:
            raise CorpusFormatError(
                str(path),
                f"holds {array.dtype} of shape {array.shape}, not rows of {self.identity.dimension} floats, as "
                f"{self.identity.name} makes them",
                "Name the model that made the vectors with --model",
            )
        return array

    def _stage(
        self,
        change: Change,
        partition: _Partition,
        rows: list[dict[str, Any]],
        start: int,
        images: list[NDArray[np.float32] | None],
        texts: list[NDArray[np.float32] | None],
    ) -> None:
        for at, (row, image, text) in enumerate(zip(rows, images, texts, strict=True), start=start):
            place = file_uri(partition.metadata, f"row={at}")
            picture = row.get("image_uri") or _picture_uri(row) or (place if image is not None else None)
            words = normalise_text(row.get("caption") or "")
            if image is not None:
                self._stage_picture(change, row, picture or place, image, words if text is None else "")
            if text is not None and words:
                uri = row.get("caption_uri") or f"{place}/caption"
                self._stage_text(change, row, uri, words, text)
                if picture is not None:
                    change.links[picture, uri] = NewLink(picture, uri, self.source_id)
            elif image is None:
                self.failed += 1
                change.failures[place] = NewFailure(place, "the row has no vector", self.source_id)

    def _stage_picture(
        self, change: Change, row: dict[str, Any], uri: str, vector: NDArray[np.float32], caption: str
    ) -> None:
        digest = _digest(row.get("image_sha256")) or vector_digest(vector)
        attributes = _attributes(row, "image_attributes") | ({"caption": caption} if caption else {})
        change.contents.setdefault(
            ("image", digest),
            NewContent("image", digest, vector, None, row.get("image_width"), row.get("image_height")),
        )
        change.items[uri] = NewItem(
            uri=uri,
            kind="image",
            sha256=digest,
            source_id=self.source_id,
            key=row.get("image_key"),
            attributes=attributes,
            stamp=row.get("image_stamp"),
            extent=row.get("image_extent"),
        )
        self.pictures.add(uri)

    def _stage_text(
        self, change: Change, row: dict[str, Any], uri: str, words: str, vector: NDArray[np.float32]
    ) -> None:
        digest = text_digest(words)
        change.contents.setdefault(("text", digest), NewContent("text", digest, vector, words))
        change.items[uri] = NewItem(
            uri=uri,
            kind="text",
            sha256=digest,
            source_id=self.source_id,
            key=row.get("caption_key"),
            lang=row.get("caption_lang"),
            attributes=_attributes(row, "caption_attributes") if "caption_attributes" in row else {},
        )
        self.texts.add(uri)

    def _leave_out(self, change: Change) -> None:
        """Leave out contents that have a vector, and links to pictures that no row has brought."""
        pictures = {picture for picture, _ in change.links} - change.items.keys()
        with self.writer.read() as connection:
            encoder_id = ensure_encoder(connection, self.identity, activate=False)
            drop_encoded(connection, change.contents, encoder_id)
            missing = pictures - item_ids_of(connection, pictures).keys()
        for pair in [pair for pair in change.links if pair[0] in missing]:
            del change.links[pair]
            self.failed += 1
            change.failures[pair[1]] = NewFailure(
                pair[1], f"no row brings its picture {pair[0]}", self.source_id
            )


def _metadata_chunks(path: Path) -> Iterator[list[dict[str, Any]]]:
    import pyarrow  # late: slow to come up
    import pyarrow.parquet

    try:
        with path.open("rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
            for batch in file.iter_batches(CHUNK_ROWS):
                rows = batch.to_pylist()
                for row in rows:
                    _check_types(path, row)
                yield rows
    except (OSError, ValueError, pyarrow.ArrowException) as error:  # ValueError: text that is no UTF-8
        raise CorpusFormatError(str(path), f"cannot be read ({error})", "Copy it again") from error


def _check_types(path: Path, row: Mapping[str, Any]) -> None:
    """Refuse a file whose known columns hold something else than their name says."""
    for column in COLUMNS:
        value, wanted = row.get(column), int if column in NUMBERS else str
        if value is not None and not isinstance(value, wanted):
            fault = f"has {value!r} in column {column}, where {wanted.__name__} values belong"
            raise CorpusFormatError(str(path), fault, "Rename the column")
        if column.endswith("_attributes") and value:
            try:
                held = json.loads(str(value))
            except ValueError:
                held = None
            if not isinstance(held, dict):
                raise CorpusFormatError(str(path), f"has no JSON object in column {column}", "Export again")


def _units(array: NDArray[Any] | None, start: int, stop: int) -> list[NDArray[np.float32] | None]:
    """Unit float32 rows; None for those that are missing, all zeros or not finite. Unit rows keep their bits."""
    if array is None:
        return [None] * (stop - start)
    rows = np.array(array[start:stop], np.float32)  # a copy: the file is mapped
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.linalg.norm(rows.astype(np.float64), axis=1)
        usable = np.isfinite(norms) & (norms > UNIT_TOLERANCE)
        far = usable & (np.abs(norms - 1.0) > UNIT_TOLERANCE)
    rows[far] = (rows[far] / norms[far, None]).astype(np.float32)
    return [row if good else None for row, good in zip(rows, usable, strict=True)]


def vector_digest(vector: NDArray[np.float32]) -> bytes:
    """The sha256 that names a picture of which nothing but the vector is known."""
    return hashlib.sha256(b"vlsearch vector\0" + vector.astype("<f4").tobytes()).digest()


def _digest(spelt: object) -> bytes | None:
    try:
        digest = bytes.fromhex(spelt) if isinstance(spelt, str) else b""
    except ValueError:
        return None
    return digest if len(digest) == 32 else None


def _picture_uri(row: Mapping[str, Any]) -> str | None:
    """The uri of a row that vlsearch did not write: its URL, or its path where that is absolute."""
    url, path = row.get("url"), row.get("image_path")
    if isinstance(url, str) and url:
        return hide_passwords(url)
    if isinstance(path, str) and path:
        return path if "://" in path else file_uri(Path(path)) if Path(path).is_absolute() else None
    return None


def _attributes(row: Mapping[str, Any], column: str) -> dict[str, Scalar]:
    """The attributes that our column holds, or, in a foreign file, every other plain value."""
    if column in row:
        return dict(json.loads(row[column])) if row[column] else {}
    return {
        name: value
        for name, value in row.items()
        if name not in COLUMNS and isinstance(value, (str, int, float, bool)) and value == value
    }
