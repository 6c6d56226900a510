"""Follow the corpora of a collection: what changes in them on disk is indexed within seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.store.writers import writable_place
from indexer.text_recognition import TextReading, TextsRead, reads_text
from indexer.updating import Updated, readable_corpora, update
from retrieval.catalogue_name import is_collection
from retrieval.collection import KnownCorpus
from retrieval.corpora.left_out import is_hidden_or_system
from retrieval.errors import CollectionLocked, CollectionUnreachable, MissingExtra, UsageError
from retrieval.extras import is_installed, require
from retrieval.places import CollectionPlace
from retrieval.types import Limits
from retrieval.uris import is_object_uri, split_file_uri

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder
    from retrieval.ocr import TextReader

SETTLED_S = 1.5
"""Seconds without a change after which what has changed is indexed: a file that is being copied goes on changing."""

LONGEST_S = 60.0
"""Seconds after which it is indexed though changes go on."""

LOOK_S = 15.0
"""Seconds between looks for corpora whose drive has come or gone, and for a server that does not answer."""

POLL_S = 5.0
"""Seconds between looks at all files, where the system gives no notice of changes."""

READ_S = 60.0
"""Seconds for which text in new images is read before changes are taken again."""

_LOCKED_S = 60.0  # to wait for another writer before trying again later


@dataclass(frozen=True, slots=True)
class Watching:
    """What is told while corpora are followed.

    Attributes:
        updated: what became of a corpus, after each update of one.
        note: a sentence of anything else: that changes are looked for instead of told, that a drive is missing.
        texts: what a reader of text found in new images, of a collection that asks for it.
    """

    updated: Updated | None = None
    note: str | None = None
    texts: TextsRead | None = None


def watch(
    collection: str | CollectionPlace,
    *,
    model: str | Path | Encoder = "auto",
    limits: Limits | None = None,
    prune: bool = True,
    workers: int | None = None,
    poll: bool = False,
    settled: float = SETTLED_S,
    reader: TextReader | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Watching]:
    """Bring a collection up to date with its corpora, and go on as they change, until ``stop`` is set.

    Each round of changes is one run of :func:`indexer.update` over the corpora that they lie in, so that a collection
    that was followed equals one that was indexed anew. Corpora whose drive is missing are waited for, and so are a
    writer that holds the collection and a server that goes away later. After a round the text in new images is read, if
    the collection asks for it (:func:`indexer.set_reads_text`); in between, other changes are taken.

    Args:
        collection: its folder, or its address on a server; it must have been indexed from corpora.
        model: as for :func:`indexer.build`, as are ``limits`` and ``workers``.
        limits: as there.
        prune: drop items whose files are gone.
        workers: as there.
        poll: look at all files every few seconds, for file systems that tell of no changes; otherwise that is done
            only where the system cannot watch so many folders.
        settled: seconds without a change before a round.
        reader: as for :func:`indexer.read_texts`.
        stop: ends the iteration, within a second or after the round that is under way.

    Raises:
        MissingExtra: watchfiles is not installed.
        CollectionNotFound: there is no collection.
        CollectionUnreachable: its server does not answer when this begins.
        UsageError: it is not known how any of its corpora is read, or all of them lie in an S3 store.
    """
    require("watch", "following folders")
    stop, place = stop or threading.Event(), writable_place(collection)
    yield from _in_stores(place)  # what cannot be followed is no reason to wait
    texts = _TextsOfNewImages(TextReading(place, reader, limits, workers, _LOCKED_S), stop)
    yield from _round(place, model, limits, prune, workers, None, stop)
    yield from texts.read()
    missing: set[str] = set()
    while not stop.is_set():
        try:
            places = _places(place)
        except CollectionUnreachable as error:
            yield from _waiting(error, stop)
            continue
        present = {uri: path for uri, path in places.items() if path.exists()}
        missing, told = places.keys() - present.keys(), missing
        for uri in missing - told:
            yield Watching(note=f"{places[uri]} is missing; it is looked for every {LOOK_S:g} seconds")
        if not present:
            stop.wait(LOOK_S)
            continue
        try:
            for changed in _changes(place, places, present, poll, settled, stop):
                if changed:
                    yield from _round(place, model, limits, prune, workers, changed, stop)
                if changed or texts.are_left:
                    yield from texts.read()
        except OSError as error:  # too few watches, or a file system without them
            if poll:
                raise
            poll = True
            looked = f"all files are looked at every {POLL_S:g} seconds"
            yield Watching(note=f"the system cannot tell of changes ({error}); {looked}")


class _TextsOfNewImages:
    """Reads the text in new images of a collection that asks for it, a limited time at once.

    Attributes:
        are_left: there are images that the last time was too short for.
    """

    def __init__(self, reading: TextReading, stop: threading.Event) -> None:
        self._reading, self._stop = reading, stop
        self._has_told_of_extra = False
        self.are_left = False

    def read(self) -> Iterator[Watching]:
        """Read for some time, and tell what was found."""
        self.are_left = False
        end = time.monotonic() + READ_S
        try:
            if self._stop.is_set() or not reads_text(self._reading.collection):
                return
            if self._reading.reader is None and not is_installed("ocr"):
                if not self._has_told_of_extra:
                    yield Watching(note=str(MissingExtra("reading the text in new images", "ocr")))
                self._has_told_of_extra = True
                return
            read = self._reading.read_unread(is_over=lambda: self._stop.is_set() or time.monotonic() > end)
        except (CollectionLocked, CollectionUnreachable) as error:
            self.are_left = True
            yield from _waiting(error, self._stop)
            return
        self.are_left = read.left > 0
        if read.interrupted:
            self._stop.set()
        yield Watching(texts=read)


def _waiting(error: CollectionLocked | CollectionUnreachable, stop: threading.Event) -> Iterator[Watching]:
    """Tell that something is tried again, and wait before it is, where that was not waited for already."""
    yield Watching(note=f"{error}; trying again")
    if isinstance(error, CollectionUnreachable):
        stop.wait(LOOK_S)


def _in_stores(collection: CollectionPlace) -> Iterator[Watching]:
    """Say which corpora are not followed, because a store does not tell when something changes.

    Raises:
        UsageError: none is left.
    """
    known = readable_corpora(collection)
    stored = [spec.source for _, spec in known if is_object_uri(spec.source)]
    remedy = "a store does not tell what changes; run vlsearch index now and then"
    if len(stored) == len(known):
        raise UsageError(f"{stored[0]} cannot be followed: {remedy}")
    for source in stored:
        yield Watching(note=f"{source} is not followed: {remedy}")


def _places(collection: CollectionPlace) -> dict[str, Path]:
    """Give the folder or file of each corpus on this machine; that of several tars is their folder."""
    places = {}
    for corpus, spec in readable_corpora(collection):
        if is_object_uri(spec.source):
            continue
        split = split_file_uri(corpus.uri)
        source = Path(spec.source)
        path = source if source.exists() or split is None else split[0]
        places[corpus.uri] = path.parent if "{" in path.name else path
    return places


def _changes(
    collection: CollectionPlace,
    places: Mapping[str, Path],
    present: Mapping[str, Path],
    poll: bool,
    settled: float,
    stop: threading.Event,
) -> Iterator[frozenset[str]]:
    """Give the uris of corpora in which something has changed, each time that changes come to rest.

    The first time gives all corpora: something may have changed before the system was asked to tell. While nothing
    changes, it gives none every few seconds. Ends when a corpus's place has come or gone, so that what is watched is
    chosen anew.
    """
    import watchfiles

    watched = {place if place.is_dir() else place.parent for place in present.values()}
    state = _state(places)
    batches = watchfiles.watch(
        *watched,
        watch_filter=lambda _, path: _is_of_interest(Path(path), collection),
        debounce=round(LONGEST_S * 1000),
        step=round(settled * 1000),
        stop_event=stop,
        rust_timeout=round(LOOK_S * 1000),
        yield_on_timeout=True,
        force_polling=poll or None,
        poll_delay_ms=round(POLL_S * 1000),
        raise_interrupt=True,
        ignore_permission_denied=True,
    )
    for number, batch in enumerate(batches):
        paths = [Path(path) for _, path in batch]
        changed = frozenset(
            uri for uri, place in present.items() if any(_lies_in(path, place) for path in paths)
        )
        yield changed if number else frozenset(places)
        if _state(places) != state:
            return


def _state(places: Mapping[str, Path]) -> dict[str, tuple[int, int] | None]:
    """Tell which places are there, and which folder or file each is."""
    found: dict[str, tuple[int, int] | None] = {}
    for uri, place in places.items():
        try:
            facts = place.stat()
        except OSError:
            found[uri] = None
        else:
            found[uri] = facts.st_dev, facts.st_ino if place.is_dir() else 0
    return found


def _is_of_interest(path: Path, collection: CollectionPlace) -> bool:
    """Whether a change may matter: not in a collection, and not of hidden files and those of systems."""
    if isinstance(collection, Path) and (path == collection or collection.absolute() in path.parents):
        return False
    if is_hidden_or_system(path.name, False) is not None:
        return False
    return not is_collection(path.parent) and not is_collection(path.parent.parent)


def _lies_in(path: Path, place: Path) -> bool:
    return path == place or place in path.parents


def _round(
    collection: CollectionPlace,
    model: str | Path | Encoder,
    limits: Limits | None,
    prune: bool,
    workers: int | None,
    changed: frozenset[str] | None,
    stop: threading.Event,
) -> Iterator[Watching]:
    """Update the corpora that have changed; all of them for None."""
    wanted: Callable[[KnownCorpus], bool] = lambda corpus: changed is None or corpus.uri in changed  # noqa: E731
    while not stop.is_set():
        try:
            for updated in update(
                collection,
                model=model,
                limits=limits,
                prune=prune,
                workers=workers,
                timeout=_LOCKED_S,
                is_wanted=wanted,
            ):
                yield Watching(updated)
                if updated.report is not None and updated.report.interrupted:
                    stop.set()
        except (CollectionLocked, CollectionUnreachable) as error:
            yield from _waiting(error, stop)
            continue
        return
