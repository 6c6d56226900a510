"""Segments written, merged and removed, under the writer's lock; ``segment_rows`` has the rows that name them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.folder import SegmentsFolder
from retrieval.collection.layout import ASIDE_PREFIX, TEMPORARY_PREFIX
from retrieval.collection.stores.protocols import check_rows
from retrieval.collection.stores.segment_files import SegmentFacts, open_segment, vectors_head

BLOCK_BYTES = 2**21
"""Bytes of vectors that a merge reads at a time; it holds two copies."""


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """The two files of a segment, on disk and durable, and what the catalogue must say of them.

    ``ids`` are the encoding ids of its rows, (n,) int64, ascending; sizes are in bytes, digests are sha256 (hex).
    """

    ids: NDArray[np.int64]
    vectors_name: str
    vectors_size: int
    vectors_sha256: str
    ids_name: str
    ids_size: int
    ids_sha256: str

    @property
    def rows(self) -> int:
        """Number of its vectors."""
        return len(self.ids)

    @property
    def names(self) -> tuple[str, str]:
        """Names of its files."""
        return self.vectors_name, self.ids_name


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of an accelerator or of regions, on disk and durable: its rows, name, bytes, sha256 (hex)."""

    rows: int
    name: str
    size: int
    sha256: str


class SegmentWriter:
    """The segments of a collection, for its one writer; see :class:`retrieval.collection.stores.VectorWriter`.

    Args:
        collection: its folder.
        note: called with the names of files before they are made; must keep them durably.
    """

    def __init__(self, collection: Path, note: Callable[[tuple[str, ...]], None]) -> None:
        self._path, self._note = collection, note

    def write(
        self, generation: int, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]
    ) -> WrittenSegment:
        """Write a segment, one block in memory at a time: an index of FAISS's own would hold all rows twice."""
        # Random, so that a name is unique for good; the generation is for people.
        stem = f"{generation}-{secrets.token_hex(8)}"
        vectors_name, ids_name = f"{stem}.faiss", f"{stem}.ids.npy"
        self._note((vectors_name, ids_name))
        with SegmentsFolder(self._path) as folder:
            vectors = _write_file(folder, vectors_name, lambda sink: _write_flat(sink, len(ids), blocks))
            of_ids = _write_file(folder, ids_name, lambda sink: np.save(sink, ids, allow_pickle=False))
            folder.sync()
        return WrittenSegment(ids, vectors_name, *vectors, ids_name, *of_ids)

    def write_file(
        self,
        generation: int,
        suffix: Literal["accelerator", "regions"],
        rows: int,
        pieces: Iterable[bytes | memoryview],
    ) -> WrittenFile:
        """Write the file of an accelerator, or of regions, that holds so many rows, piece by piece."""
        name = f"{generation}-{secrets.token_hex(8)}.{suffix}"
        self._note((name,))

        def write(sink: _Sink) -> None:
            for piece in pieces:
                sink.write(piece)

        with SegmentsFolder(self._path) as folder:
            size, digest = _write_file(folder, name, write)
            folder.sync()
        return WrittenFile(rows, name, size, digest)

    def replace(
        self, generation: int, old: Sequence[SegmentFacts], gone: NDArray[np.int64]
    ) -> WrittenSegment | None:
        """Write the rows of segments again as one segment, without those of the ids that are ``gone``."""
        merged = _Merged(self._path, old, gone)
        return self.write(generation, merged.ids, merged.blocks()) if len(merged.ids) else None

    def remove(self, names: Iterable[str]) -> list[str]:
        """Remove files of segments, finished or not; Windows keeps one that a reader has mapped."""
        return self._change(names, SegmentsFolder.remove)

    def set_aside(self, names: Iterable[str]) -> list[str]:
        """Rename files of segments so that no catalogue finds them; give the names of those renamed."""
        return self._change(names, lambda folder, name: folder.rename(name, ASIDE_PREFIX + name))

    def _change(self, names: Iterable[str], change: Callable[[SegmentsFolder, str], None]) -> list[str]:
        names, changed = sorted(names), []
        if not names:
            return []
        with SegmentsFolder(self._path) as folder:
            for name in names:
                with contextlib.suppress(OSError):
                    change(folder, name)
                    changed.append(name)
            folder.sync()
        return changed


class _Merged:
    """The rows of several segments without those that are ``gone``, in the order of their encoding ids.

    Streams them: of the old segments only those that the block at hand comes from are mapped.
    """

    def __init__(self, path: Path, segments: Sequence[SegmentFacts], gone: NDArray[np.int64]) -> None:
        self.path, self.segments = path, segments
        ids, rows, owners = [], [], []
        for number, facts in enumerate(segments):
            held = np.array(open_segment(path, facts).ids)
            live = np.flatnonzero(~np.isin(held, gone))
            ids.append(held[live])
            rows.append(live)
            owners.append(np.full(len(live), number))
        all_ids = np.concatenate(ids)
        order = np.argsort(all_ids)
        self.ids: NDArray[np.int64] = all_ids[order]
        self._rows, self._owners = np.concatenate(rows)[order], np.concatenate(owners)[order]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Give the vectors, (m, d) float32, :data:`BLOCK_BYTES` at a time."""
        most = max(1, BLOCK_BYTES * self.segments[0].rows // self.segments[0].vectors_size)
        for start in range(0, len(self.ids), most):
            owners, rows = self._owners[start : start + most], self._rows[start : start + most]
            parts = {
                number: open_segment(self.path, self.segments[number]).vectors(rows[owners == number])
                for number in np.unique(owners).tolist()
            }
            block = np.empty((len(rows), next(iter(parts.values())).shape[1]), np.float32)
            for number, vectors in parts.items():
                block[owners == number] = vectors
            yield block


def _write_flat(sink: _Sink, n: int, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write what ``faiss.write_index`` writes of an IndexFlatIP over these rows, byte for byte (docs/format.md)."""
    written = 0
    for block in blocks:
        check_rows(block)
        if not written and len(block):
            sink.write(vectors_head(n, block.shape[1]))
        sink.write(np.ascontiguousarray(block, "<f4").reshape(-1).view(np.uint8).data)
        written += len(block)
    if written != n:
        raise ValueError(f"{written} rows were given for {n} ids")


class _Sink:
    """A file that counts and hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.hash = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self._file.write(data)
        self.hash.update(data)
        self.size += len(data)
        return len(data)


def _write_file(folder: SegmentsFolder, name: str, write: Callable[[_Sink], None]) -> tuple[int, str]:
    """Write a file under a temporary name, make it durable, rename it, and return its size and sha256 (hex)."""
    temporary = f"{TEMPORARY_PREFIX}{name}"
    with open(folder.create(temporary), "wb") as file:  # noqa: PTH123 - a descriptor
        sink = _Sink(file)
        write(sink)
        file.flush()
        sync_file(file.fileno())
    folder.rename(temporary, name)
    return sink.size, sink.hash.hexdigest()


def sync_file(descriptor: int) -> None:
    """Fsync that reaches the platter on macOS too, where plain fsync stops at the drive's cache."""
    try:
        import fcntl

        full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    except ImportError:
        full_sync = None
    if full_sync is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full_sync)
