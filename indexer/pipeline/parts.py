"""One file, many items: entries of files that may hold several pictures become one entry a picture.

Worker processes list the pictures of a file. Of a file that is as it was, the catalogue knows them: each picture's
stamp says its number and how many there are, and where the items and failures of all numbers are there, nothing is
opened.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from indexer.pipeline.described import stamp_of_files
from indexer.pipeline.look_up import LookUp, Unlisted
from indexer.store.known import find_file_parts
from indexer.store.writer import Writer
from retrieval.collection.engine import driver_connection
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.errors import ImageError
from retrieval.file_kinds import MOST_PARTS
from retrieval.locations.fetch import stamp
from retrieval.types import (
    Attribute,
    CorpusImage,
    Entry,
    Failure,
    FileBytes,
    MemberBytes,
    ObjectBytes,
    PartBytes,
    WholeFile,
    part_of,
)

_BATCH = 256  # entries that wait while files among them are listed
_STAMP = re.compile(
    r"(?P<file>\d+:\d+(?::e[0-9a-f]{16})?(?::\d+\+\d+)?)"
    r":(?P<number>\d{1,6})/(?P<count>\d{1,6})(?:@(?P<rate>[0-9.e+-]+))?(?: |$)"
)


class PartsExpander:
    """Gives entries with those of files that may hold several pictures expanded; on the writer's connection.

    Args:
        writer: of the collection.
        look_up: judges whether a file that failed is worth another try.
        pool: the processes that list.
        reread: list every file again.
    """

    def __init__(self, writer: Writer, look_up: LookUp, pool: DecodePool, reread: bool) -> None:
        self._writer, self._look_up, self._pool, self._reread = writer, look_up, pool, reread

    def entries(
        self, entries: Iterable[Entry | Failure], stop: threading.Event
    ) -> Iterator[Entry | Failure | Unlisted]:
        """Give all entries in their order, until ``stop`` is set.

        Few files are listed at a time, so that the encoder never waits for many.
        """
        batch: list[Entry | Failure | _Listing] = []
        to_list: list[_Listing] = []
        for entry in entries:
            found = self._known(entry) if isinstance(entry, Entry) else entry
            if isinstance(found, list):
                batch += found
            else:
                batch.append(found)
            if isinstance(found, _Listing) and found.must_be_listed:
                to_list.append(found)
            if len(batch) >= _BATCH or len(to_list) >= 2 * self._pool.workers:
                yield from self._listed(batch, to_list, stop)
                batch, to_list = [], []
        yield from self._listed(batch, to_list, stop)

    def _known(self, entry: Entry) -> Entry | list[Entry | Failure] | _Listing:
        """Give an entry of one picture as it is, the pictures of a file that the catalogue knows, or a file to list."""
        image = entry.image
        if image is None or not image.may_be_several:
            return entry
        location = image.location
        if not isinstance(location, WholeFile):
            return entry
        try:
            file_stamp, whole_stamp = stamp(location), stamp_of_files(image)
        except ImageError:
            return replace(entry, image=replace(image, may_be_several=False))  # whoever looks it up says so
        assert file_stamp is not None, "of a file"
        prefix = f"{image.uri}{mark_of(location)}"
        with self._writer.look_up() as connection:
            rows = find_file_parts(driver_connection(connection), image.uri, prefix)
        names = None if self._reread else names_of(file_stamp, rate_of(image), rows, prefix)
        if names is not None:
            return expanded(entry, location, names)
        return _Listing(entry, location, not self._look_up.is_hopeless(image.uri, whole_stamp))

    def _listed(
        self, batch: list[Entry | Failure | _Listing], to_list: list[_Listing], stop: threading.Event
    ) -> Iterator[Entry | Failure | Unlisted]:
        """Give the entries of a batch, once the files among them are listed."""
        threads = self._pool.workers
        for listing, found in map_in_order(self._list, to_list, threads, 2 * threads, stop):
            listing.found = found
        for one in batch:
            if not isinstance(one, _Listing):
                yield one
            elif stop.is_set() and one.must_be_listed and one.found is None:
                return
            elif isinstance(one.found, list):
                yield from expanded(one.entry, one.location, one.found)
            else:
                yield Unlisted(one.entry, one.found)

    def _list(self, listing: _Listing) -> list[str]:
        image = listing.entry.image
        return self._pool.list_parts(listing.location, image.frames_per_minute if image is not None else None)


@dataclass(slots=True)
class _Listing:
    """A file with what a worker process found in it: the names of its pictures, or why they cannot be listed."""

    entry: Entry
    location: WholeFile
    must_be_listed: bool
    found: list[str] | ImageError | None = None


def mark_of(location: WholeFile) -> str:
    """Give what stands in a uri between a file and the name of a picture in it: in a fragment, # is quoted."""
    is_member = isinstance(location, MemberBytes) or (isinstance(location, ObjectBytes) and location.member)
    return quote("#") if is_member else "#"


def file_uri_of(image: CorpusImage) -> str:
    """Give the uri of the file that an image is, or is in."""
    location, part = image.location, part_of(image.location)
    if not part or not isinstance(location, PartBytes | MemberBytes | ObjectBytes):
        return image.uri
    file = FileBytes(location.path) if isinstance(location, PartBytes) else location
    return image.uri.removesuffix(f"{mark_of(file)}{quote(part)}")


def rate_of(image: CorpusImage) -> str | None:
    """Give how many frames a minute are wanted of a video, as a stamp says it; None of anything else."""
    return None if image.frames_per_minute is None else f"{image.frames_per_minute:g}"


def names_of(
    file_stamp: str, rate: str | None, rows: Iterable[tuple[str, str | None, bool]], prefix: str
) -> list[str] | None:
    """Give the names of a file's pictures by what the catalogue holds of the file as it is; None where some lack.

    Args:
        file_stamp: of the file now.
        rate: frames a minute that are wanted of a video.
        rows: uri and stamp of its pictures that the catalogue holds.
        prefix: of their uris, before what names each of them.
    """
    names: dict[int, str] = {}
    counts: set[int] = set()
    for uri, kept, _ in rows:
        found = _STAMP.match(kept or "")
        if found is not None and (found["file"], found["rate"]) == (file_stamp, rate):
            names[int(found["number"])] = unquote(uri.removeprefix(prefix)) if uri.startswith(prefix) else ""
            counts.add(int(found["count"]))
    if len(counts) != 1 or sorted(names) != list(range(1, counts.pop() + 1)):
        return None
    return [names[number] for number in sorted(names)]


def expanded(entry: Entry, location: WholeFile, names: list[str]) -> list[Entry | Failure]:
    """Give an entry for each picture of a file; texts beside the file describe the first."""
    image = entry.image
    assert image is not None, "of a file"
    kept, found = names[:MOST_PARTS], list[Entry | Failure]()
    for number, name in enumerate(kept, start=1):
        part = _part_of(image, location, name, number, len(kept))
        found.append(Entry(part, entry.texts if number == 1 else ()))
    if len(names) >= MOST_PARTS:
        found.append(
            Failure(image.uri, f"holds {MOST_PARTS:,} pictures or more, of which the first are taken")
        )
    return found


def _part_of(image: CorpusImage, location: WholeFile, name: str, number: int, count: int) -> CorpusImage:
    attributes: dict[str, Attribute] = {}
    rate = rate_of(image)
    kind, _, value = name.partition("=")
    if kind == "page" or (not name and count > 1):
        attributes = {"page": int(value or 1), "pages": count}
    place = f"{number}/{count}" + (f"@{rate}" if rate is not None else "")
    return replace(
        image,
        uri=f"{image.uri}{mark_of(location)}{quote(name)}" if name else image.uri,
        location=PartBytes(location.path, name, place)
        if isinstance(location, FileBytes)
        else replace(location, part=name, place=place),
        attributes={**attributes, **image.attributes},
        may_be_several=False,
    )
