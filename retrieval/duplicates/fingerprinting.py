"""Fingerprints of a collection's pictures: from the cache, or made by worker processes from the files.

Only what was indexed counts: a file with other bytes by now is left out, so that a collection which came from
elsewhere cannot have files of the reader's looked at. No URL is fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.decoding.ordered import READ_AHEAD, map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.duplicates.fingerprint import RULE, Fingerprint, fingerprint_of
from retrieval.duplicates.print_cache import find_fingerprints, keep_fingerprints
from retrieval.errors import ImageError
from retrieval.types import Limits, Location, OnProgress, Progress, UrlBytes

if TYPE_CHECKING:
    from retrieval.decoding.prepare import PreparedImage

_KEPT_AT_ONCE = 500  # what a kill loses at most


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Fingerprints by the sha256 of the picture's bytes, and how many pictures could not be looked at."""

    found: Mapping[bytes, Fingerprint]
    failed: int


def fingerprints(
    places: Mapping[bytes, Location | None], limits: Limits, on_progress: OnProgress
) -> Fingerprints:
    """Give the fingerprints of pictures.

    Args:
        places: where the bytes with each sha256 are; None where that is not known.
        limits: what is accepted of a picture.
        on_progress: called as pictures are looked at.
    """
    found = find_fingerprints(places)
    missing = {digest: place for digest, place in places.items() if digest not in found}
    new: dict[bytes, Fingerprint] = {}
    failed = 0
    for number, (digest, made) in enumerate(_made(missing, limits), start=1):
        if made is None:
            failed += 1
        else:
            found[digest] = new[digest] = made
        if len(new) >= _KEPT_AT_ONCE:
            keep_fingerprints(new)
            new = {}
        on_progress(Progress("looking at pictures", number, len(missing), failed))
    keep_fingerprints(new)
    return Fingerprints(found, failed)


def _made(
    places: Mapping[bytes, Location | None], limits: Limits
) -> Iterator[tuple[bytes, Fingerprint | None]]:
    if not places:
        return
    with DecodePool(limits) as pool:
        yield from make_fingerprints(places, pool)


def make_fingerprints(
    places: Mapping[bytes, Location | None], pool: DecodePool
) -> Iterator[tuple[bytes, Fingerprint | None]]:
    """Make fingerprints of pictures, in their order; None for one that cannot be read, or is not what was indexed."""

    def prepare(task: tuple[bytes, Location | None]) -> PreparedImage:
        digest, place = task
        if place is None or isinstance(place, UrlBytes):
            raise ImageError("its file is not here")
        return pool.prepare(place, RULE, lambda seen: seen == digest)

    tasks = map_in_order(prepare, places.items(), pool.workers, READ_AHEAD, threading.Event())
    for (digest, _), outcome in tasks:
        readable = not isinstance(outcome, ImageError) and outcome.digest == digest
        array = outcome.array if readable and not isinstance(outcome, ImageError) else None
        yield digest, None if array is None else fingerprint_of(array)
