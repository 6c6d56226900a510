"""Images decoded once, in parallel, into one memory-mapped file of uint8 pixels.

The file is written under another name and switched by a rename, its table last; so a killed run leaves either a
whole cache or none. Of runs that need the same one, the first makes it and the others wait. Equal images (by bytes)
become one row that has the captions of all, so that none of them is ever a negative of another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from indexer.training.listing import Caption, CaptionedImage, Listing
from indexer.training.messages import writing
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.preparations import Preparation
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError
from retrieval.types import Failure, Limits, OnProgress, Progress

LONGEST = 2.0  # times the short side: what a panorama has beyond that is left out of training
_WINDOW = 64  # pictures under way, as in indexing
_ASK_EVERY_S = 1.0  # whether another run with the same pictures is done with them


@dataclass(frozen=True, slots=True)
class CacheRule:
    """The rule by which an image is prepared before it is stored.

    Attributes:
        preparation: what is done.
        name: tells two rules apart, in the cache's name.
    """

    preparation: Preparation
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ImageCache:
    """Decoded images with their captions, one row a distinct image.

    Attributes:
        pixels: all pictures one behind another, uint8, memory-mapped.
        starts: (n,) int64: where each begins in ``pixels``.
        shapes: (n, d) int64: the shape of each, (height, width, 3) unless the rule says otherwise.
        captions: of each row, from all pictures with those bytes; none is empty.
        rows: of each row, the places of its pictures in the corpus: rows of a teacher's file.
        digests: sha256 (hex) of each picture's bytes.
        failures: pictures that could not be read or decoded.
    """

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    shapes: NDArray[np.int64]
    captions: tuple[tuple[Caption, ...], ...]
    rows: tuple[tuple[int, ...], ...]
    digests: tuple[str, ...]
    failures: tuple[Failure, ...]

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        start, shape = int(self.starts[row]), self.shapes[row]
        return self.pixels[start : start + int(shape.prod())].reshape(shape)

    def without(self, digests: set[str]) -> ImageCache:
        """Select the rows whose image is not among ``digests``; shares the pixels."""
        kept = [row for row, digest in enumerate(self.digests) if digest not in digests]
        return replace(
            self,
            starts=self.starts[kept],
            shapes=self.shapes[kept],
            captions=tuple(self.captions[row] for row in kept),
            rows=tuple(self.rows[row] for row in kept),
            digests=tuple(self.digests[row] for row in kept),
        )


def cache_images(
    listing: Listing,
    rule: CacheRule,
    folder: Path,
    limits: Limits,
    workers: int,
    on_progress: OnProgress,
    stop: Event,
) -> ImageCache:
    """Decode the images of a listing by a rule, or open them in ``folder`` where they are unchanged.

    A picture that cannot be decoded is a failure and left out.

    Raises:
        KeyboardInterrupt: ``stop`` was set before all were decoded.
        TrainingError: the cache cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(json.dumps([rule.name, listing.digest(), *_accepted(limits)]).encode()).hexdigest()[
        :16
    ]
    pixels, table = folder / f"{key}.u8", folder / f"{key}.json"
    with _only_one(folder / f"{key}.lock", stop):
        if not table.is_file():
            temporary = pixels.with_suffix(".tmp")
            with writing(pixels):
                facts = _decode_all(listing, rule, temporary, limits, workers, on_progress, stop)
                temporary.replace(pixels)
            draft = table.with_suffix(".draft")
            with writing(table):
                draft.write_text(json.dumps(facts), encoding="utf-8")
                draft.replace(table)
    return _open(pixels, table)


@contextmanager
def _only_one(path: Path, stop: Event) -> Iterator[None]:
    """Run a block in one process at a time; the others wait for it, and for nothing once ``stop`` is set."""
    lock = FileLock(path)
    while not lock.is_locked:
        if stop.is_set():
            raise KeyboardInterrupt
        with writing(path), suppress(Timeout):
            lock.acquire(timeout=_ASK_EVERY_S)
    try:
        yield
    finally:
        lock.release()


def _decode_all(
    listing: Listing,
    rule: CacheRule,
    target: Path,
    limits: Limits,
    workers: int,
    on_progress: OnProgress,
    stop: Event,
) -> dict[str, Any]:
    """Write the pixels to ``target``; return the table, as JSON values."""
    place: dict[str, int] = {}  # by digest
    table: dict[str, list[Any]] = {"shapes": [], "captions": [], "rows": [], "digests": [], "failures": []}
    with target.open("wb") as out, DecodePool(limits, workers) as pool:

        def read(one: CaptionedImage) -> PreparedImage:
            return pool.prepare(
                one.image.location, rule.preparation, lambda digest: digest.hex() not in place
            )

        outcomes = map_in_order(read, listing.entries, pool.workers, _WINDOW, stop)
        for done, (one, outcome) in enumerate(outcomes, start=1):
            if isinstance(outcome, ImageError):
                table["failures"].append([one.image.uri, str(outcome)])
            else:
                digest, array = outcome.digest.hex(), outcome.array
                if digest not in place:
                    assert array is not None
                    place[digest] = len(place)
                    out.write(np.ascontiguousarray(array).tobytes())
                    table["shapes"].append(array.shape)
                    table["digests"].append(digest)
                    table["captions"].append([])
                    table["rows"].append([])
                table["captions"][place[digest]] += one.captions
                table["rows"][place[digest]].append(one.row)
            on_progress(Progress("decoding", done, len(listing.entries), len(table["failures"])))
        if stop.is_set():
            raise KeyboardInterrupt  # nothing is kept of a cache that is not whole
        out.flush()
        os.fsync(out.fileno())
    return table


def _accepted(limits: Limits) -> list[object]:
    """List the limits that decide which images a cache holds."""
    return [limits.file_bytes, limits.pixels, limits.seconds, limits.memory]


def _open(pixels: Path, table: Path) -> ImageCache:
    facts = json.loads(table.read_text(encoding="utf-8"))
    shapes = np.array(facts["shapes"] or np.zeros((0, 3)), np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(shapes.prod(axis=1))])[: len(shapes)]
    return ImageCache(
        np.memmap(pixels, np.uint8, "r") if len(shapes) else np.zeros(0, np.uint8),
        starts,
        shapes,
        tuple(tuple(Caption(*one) for one in own) for own in facts["captions"]),
        tuple(tuple(rows) for rows in facts["rows"]),
        tuple(facts["digests"]),
        tuple(Failure(*one) for one in facts["failures"]),
    )
