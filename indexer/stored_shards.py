"""Finished shards in an S3 store: sent whole by the machines that made them, checked by the one that merges.

A shard's files go first, as objects of at most 8 MiB below a name that is made of what they hold; then its manifest,
one object that lists them with their sizes and hashes. So a manifest that is there is of a shard that is whole,
whatever was killed and whoever sends the same shard twice; what no manifest lists counts for nothing.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from indexer.pipeline.shards import finished_shard
from indexer.shard_transfer import PIECE_BYTES, Piece, pieces_of, receive
from retrieval.catalogue_name import is_collection
from retrieval.corpora import Shard
from retrieval.errors import ClusterError, UsageError
from retrieval.extras import require
from retrieval.locations.object_store import (
    StoredFolder,
    StoreFault,
    check_bucket,
    find_object,
    list_folder,
    read_object,
    write_object,
)
from retrieval.types import OnProgress, Progress, StoredObject

_FORMAT = 1
_MANIFEST_BYTES = 16 * 2**20
_PIECE_SECONDS = 120.0
_NAME = re.compile(r"shard-([0-9]{1,5})-of-([0-9]{1,5})\.json")
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _File:
    """A file of a shard: its name in the collection's folder, its size in bytes and its hash."""

    name: str
    size: int
    sha256: str

    @property
    def pieces(self) -> list[int]:
        """Sizes of the objects that it is sent as: at least one."""
        whole, rest = divmod(self.size, PIECE_BYTES)
        return [PIECE_BYTES] * whole + ([rest] if rest or not whole else [])


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What a store holds of a shard.

    Attributes:
        shard: which it is.
        corpus: uri of its corpus.
        files: in the order in which they are written; the catalogue is the last.
    """

    shard: Shard
    corpus: str
    files: tuple[_File, ...]

    @property
    def id(self) -> str:
        """A name made of what the files hold."""
        return sha256(json.dumps([asdict(one) for one in self.files]).encode()).hexdigest()[:32]

    def to_json(self) -> bytes:
        """Write it as :func:`_manifest_in` reads it."""
        whole = {
            "format": _FORMAT,
            "shard": str(self.shard),
            "corpus": self.corpus,
            "id": self.id,
            "files": [asdict(one) for one in self.files],
        }
        return json.dumps(whole, indent=1).encode()


class StoredShards:
    """The shards below an address ``s3://BUCKET/PREFIX`` in a store.

    Raises:
        MissingExtra: the client of stores is not installed.
        UsageError: it is not such an address.
    """

    def __init__(self, address: str) -> None:
        require("s3", "shards in an S3 store")
        self.address = f"{address.rstrip('/')}/"
        self._bucket, _, prefix = self.address.removeprefix("s3://").partition("/")
        check_bucket(self._bucket)
        self._prefix = prefix

    def check(self) -> None:
        """Ask whether the place can be listed, before hours are spent on what is to be sent there.

        Raises:
            ClusterError: it cannot.
        """
        self._listed()

    def send(self, collection: Path, on_progress: OnProgress | None = None) -> str:
        """Send a finished shard, and give the address of its manifest; one that is there already is not sent again.

        Raises:
            UsageError: the collection is not a shard that was indexed to its end.
            ClusterError: the store does not take it, or it is written to meanwhile.
        """
        shard, corpus = finished_shard(collection)
        manifest = _Manifest(shard, corpus, tuple(_files_of(collection)))
        name = _name_of(shard)
        try:
            if self._manifest(find_object(self._bucket, f"{self._prefix}{name}.json"), name) != manifest:
                self._write(collection, manifest, on_progress)
        except StoreFault as fault:
            raise ClusterError(f"shard {shard} cannot be sent to {self.address} ({fault})") from fault
        return f"{self.address}{name}.json"

    def fetch(self, folder: Path, on_progress: OnProgress | None = None) -> list[Path]:
        """Fetch all shards into folders of their own, checked; those that are there already stay.

        Raises:
            UsageError: shards are missing, or of several splits.
            ClusterError: one cannot be fetched, or is not what its manifest says.
        """
        manifests = self._manifests()
        places = {name: folder / f"{name}-{one.id}" for name, one in manifests.items()}
        missing = {name: one for name, one in manifests.items() if not is_collection(places[name])}
        folder.mkdir(parents=True, exist_ok=True)
        size, free = (
            sum(file.size for one in missing.values() for file in one.files),
            shutil.disk_usage(folder).free,
        )
        if size > free:
            raise ClusterError(
                f"the shards take {size:,} bytes, and {free:,} are free in {folder}; make room"
            )
        for done, (name, manifest) in enumerate(missing.items()):
            if on_progress is not None:
                on_progress(Progress("fetching shards", done, len(missing), 0))
            try:
                receive(self._pieces(name, manifest), places[name])
            except StoreFault as fault:
                raise ClusterError(
                    f"shard {manifest.shard} cannot be read from {self.address} ({fault})"
                ) from fault
        return list(places.values())

    def _write(self, collection: Path, manifest: _Manifest, on_progress: OnProgress | None) -> None:
        name = _name_of(manifest.shard)
        keys = [key for key, _ in self._objects(name, manifest)]
        sent: dict[str, list[int | str]] = {}
        digests = {file.name: sha256() for file in manifest.files}
        for number, (file, data) in enumerate(pieces_of(collection)):
            if number >= len(keys) or file not in digests:
                break
            digests[file].update(data)
            write_object(self._bucket, keys[number], data)
            sent.setdefault(file, []).append(len(data))
            if on_progress is not None:
                on_progress(Progress("sending the shard", number + 1, len(keys), 0))
        if {name: one.hexdigest() for name, one in digests.items()} != {
            file.name: file.sha256 for file in manifest.files
        }:
            raise ClusterError(f"shard {collection} was written to while it was sent; run this again")
        write_object(self._bucket, f"{self._prefix}{name}.json", manifest.to_json())

    def _objects(self, name: str, manifest: _Manifest) -> Iterator[tuple[str, int]]:
        """Give the keys of the objects that hold a shard's files, in their order, and the sizes of these."""
        for number, file in enumerate(manifest.files):
            for piece, size in enumerate(file.pieces):
                yield f"{self._prefix}{name}/{manifest.id}/{number:05d}-{piece:06d}", size

    def _pieces(self, name: str, manifest: _Manifest) -> Iterator[Piece]:
        """Read the pieces of a shard, each file checked before the next one begins."""
        objects = self._objects(name, manifest)
        for file in manifest.files:
            digest = sha256()
            for _ in file.pieces:
                key, size = next(objects)
                data = self._read(StoredObject(self._bucket, key, size), PIECE_BYTES)
                digest.update(data)
                yield file.name, data
            if digest.hexdigest() != file.sha256:
                raise ClusterError(
                    f"{file.name} of shard {manifest.shard} in {self.address} is not what its manifest says; "
                    "send the shard again"
                )

    def _manifests(self) -> dict[str, _Manifest]:
        objects = self._listed().objects
        named = [name for one in objects if (name := _NAME.fullmatch(one))]
        counts = {int(name[2]) for name in named}
        if not counts:
            raise UsageError(
                f"there are no shards in {self.address}; send them with vlsearch index --shard i/n --send-to"
            )
        if len(counts) > 1:
            raise UsageError(
                f"{self.address} holds shards of splits into {' and '.join(map(str, sorted(counts)))}; "
                "keep those of one"
            )
        (count,) = counts
        missing = sorted(set(range(1, count + 1)) - {int(name[1]) for name in named})
        if missing:
            shown = ", ".join(f"{number}/{count}" for number in missing[:_SHOWN])
            more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
            raise UsageError(
                f"{self.address} has no shard {shown}{more}; send what is missing, then merge again"
            )
        names = [_name_of(Shard(number, count)) for number in range(1, count + 1)]
        return {name: self._checked(objects.get(f"{name}.json"), name) for name in names}

    def _checked(self, at: StoredObject | None, name: str) -> _Manifest:
        try:
            manifest = self._manifest(at, name)
        except StoreFault as fault:
            raise ClusterError(f"{self.address}{name}.json cannot be read ({fault})") from fault
        if manifest is None:
            raise ClusterError(f"{self.address}{name}.json is not a shard's manifest; send the shard again")
        return manifest

    def _manifest(self, at: StoredObject | None, name: str) -> _Manifest | None:
        """Read the manifest of a shard; None where there is none, or it is not one.

        Raises:
            StoreFault: it cannot be read.
        """
        if at is None or (at.size or 0) > _MANIFEST_BYTES:
            return None
        manifest = _manifest_in(self._read(at, _MANIFEST_BYTES))
        return manifest if manifest is not None and _name_of(manifest.shard) == name else None

    def _read(self, at: StoredObject, most: int) -> bytes:
        try:
            return read_object(at, most, _PIECE_SECONDS)
        except TimeoutError as error:
            raise StoreFault("the store gives it too slowly") from error

    def _listed(self) -> StoredFolder:
        try:
            return list_folder(self._bucket, self._prefix)
        except StoreFault as fault:
            raise ClusterError(f"{self.address} cannot be listed ({fault})") from fault


def _name_of(shard: Shard) -> str:
    return f"shard-{shard.number}-of-{shard.count}"


def _files_of(collection: Path) -> Iterator[_File]:
    name, size, digest = "", 0, sha256()
    for file, data in pieces_of(collection):
        if file != name:
            if name:
                yield _File(name, size, digest.hexdigest())
            name, size, digest = file, 0, sha256()
        size += len(data)
        digest.update(data)
    yield _File(name, size, digest.hexdigest())


def _manifest_in(data: bytes) -> _Manifest | None:
    """Read a manifest; None for what no version has written: it may come from strangers."""
    try:
        whole = json.loads(data)
        if whole["format"] != _FORMAT:
            return None
        number, _, count = whole["shard"].partition("/")
        files = tuple(_file_in(one) for one in whole["files"])
        manifest = _Manifest(Shard(int(number), int(count)), str(whole["corpus"]), files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
        return None
    return manifest if files and whole["id"] == manifest.id else None


def _file_in(one: Mapping[str, object]) -> _File:
    name, size, digest = one["name"], one["size"], one["sha256"]
    if not (isinstance(name, str) and type(size) is int and isinstance(digest, str)):
        raise TypeError("a file of another shape")
    if not (0 <= size < 2**50 and _HASH.fullmatch(digest)):
        raise ValueError("no size or no hash")
    return _File(name, size, digest)


def send_shard(collection: str | Path, address: str, *, on_progress: OnProgress | None = None) -> str:
    """Send a finished shard to an S3 store, from where :func:`indexer.merge` takes it.

    The files go first and a manifest last, so that a shard is there as a whole or not at all. One that is there already
    is not sent again; a changed one takes its place, though the objects of the old one stay.

    Args:
        collection: folder of the shard, indexed to its end, that nobody writes to.
        address: ``s3://BUCKET/PREFIX`` of all shards of the corpus.
        on_progress: called after each piece of at most 8 MiB.

    Returns:
        The address of its manifest.

    Raises:
        MissingExtra: the client of stores is not installed.
        UsageError: it is not a shard, was not indexed to its end, or the address is none.
        CollectionNotFound: there is no collection.
        ClusterError: the store does not take it.
    """
    return StoredShards(address).send(Path(collection), on_progress)
