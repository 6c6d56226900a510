"""Each picture once: of hits that show the same picture in other files, the best one stands for all.

Whether two are the same picture is decided as ``vlsearch duplicates`` decides it, from their fingerprints, and never of
pictures that somebody has decided to keep (``indexer.keep``). A hit is left out if it is the same picture as a better
hit that is given: so what is given first does not depend on how many are asked for. Frames of videos, and texts, count
as with ``distinct=True``.

Only hits are looked at, the best ones first, as far as the page needs it. Fingerprints come from the user's cache
folder; of pictures that it does not know at most :data:`MOST_LOOKED_AT` are decoded for one search, for at most
:data:`LOOK_SECONDS`, by the limited worker process, outside the read transaction, and then kept. A picture whose file
is gone or has changed, or that lies on the web or beyond these bounds, is not compared, and counts as one of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from retrieval.collection import View
from retrieval.collection.catalogue_items import ItemRow
from retrieval.decoding.pool import DecodePool
from retrieval.duplicates.fingerprint import Fingerprint
from retrieval.duplicates.fingerprinting import make_fingerprints
from retrieval.duplicates.likeness import FEW, cosine_of_any_two
from retrieval.duplicates.print_cache import find_fingerprints, keep_fingerprints
from retrieval.duplicates.same_picture import same_pictures, stack
from retrieval.locations.extents import location_of
from retrieval.moments import video_of
from retrieval.types import After, Hit, Location, Request

MOST_LOOKED_AT = 256
LOOK_SECONDS = 20.0
_AT_ONCE = 16  # pictures between two looks at the clock
_MORE = 16  # hits beyond those that a page needs, of which some may be copies

T = TypeVar("T")
Places = Mapping[bytes, Location | None]


class NotLookedAt(Exception):
    """A search needs fingerprints of pictures, by sha256, to be made outside the transaction."""

    def __init__(self, places: Places) -> None:
        super().__init__(len(places))
        self.places = places


class LookedAt:
    """The fingerprints that one search knows."""

    def __init__(self) -> None:
        self._found: dict[bytes, Fingerprint | None] = {}
        self._left = MOST_LOOKED_AT
        self._seconds = LOOK_SECONDS

    def of(self, places: Places) -> dict[bytes, Fingerprint]:
        """Give fingerprints by sha256; those of pictures that cannot be compared are left out.

        Raises:
            NotLookedAt: some have not been looked for.
        """
        missing = {digest: place for digest, place in places.items() if digest not in self._found}
        if missing:
            raise NotLookedAt(missing)
        found = ((digest, self._found[digest]) for digest in places)
        return {digest: one for digest, one in found if one is not None}

    def look(self, places: Places, pool: DecodePool) -> None:
        """Look pictures up in the cache, and decode the others, within bounds."""
        known = find_fingerprints(places)
        self._found |= dict.fromkeys(places) | known
        ahead = [(digest, place) for digest, place in places.items() if digest not in known]
        while ahead and self._left > 0 and self._seconds > 0:
            began = time.monotonic()
            some = dict(ahead[: min(_AT_ONCE, self._left)])
            del ahead[: len(some)]
            made = {digest: one for digest, one in make_fingerprints(some, pool) if one is not None}
            keep_fingerprints(made)
            self._found |= made
            self._left -= len(some)
            self._seconds -= time.monotonic() - began


def look_as_needed(answer: Callable[[LookedAt], T], pool: Callable[[], DecodePool]) -> T:
    """Give an answer, made again whenever it has turned out to need fingerprints; each time more of them are known."""
    looked = LookedAt()
    while True:
        try:
            return answer(looked)
        except NotLookedAt as missing:
            looked.look(missing.places, pool())


def distinct_page(
    view: View, request: Request, looked: LookedAt, search: Callable[[Request], Sequence[Hit]]
) -> list[Hit]:
    """Give the hits of a page, each picture once.

    Args:
        view: the generation that is searched.
        request: what the page is of; its order is left to the caller.
        looked: fingerprints.
        search: gives the hits of a request whose contents are distinct, best first.

    Raises:
        NotLookedAt: more fingerprints are needed.
    """
    depth = request.offset + request.k + (0 if request.after is None else request.after.seen) + _MORE
    first = None if request.after is None else replace(request.after, score=math.inf, item=0, seen=0)
    while True:
        whole = replace(request, k=depth, offset=0, distinct=True, sort="score", after=first)
        hits = search(whole)
        page = _fill_page(view, request, hits, looked)
        if len(page) == request.k or len(hits) < depth:
            return page
        depth *= 2


def _fill_page(view: View, request: Request, hits: Sequence[Hit], looked: LookedAt) -> list[Hit]:
    """Leave out copies among ever more of the hits until the page is full."""
    rows = {row.id: row for row in view.rows(hit.id for hit in hits)}
    end = min(len(hits), max(_MORE, request.offset + request.k))
    while True:
        page = _cut(_first_of_copies(view, hits[:end], rows, looked), request)
        if len(page) == request.k or end == len(hits):
            return page
        end = min(len(hits), end + max(_MORE, request.k - len(page)))


def _cut(kept: Sequence[Hit], request: Request) -> list[Hit]:
    """Cut a page out of all hits, best first, and count its ranks."""
    after: After | None = request.after
    if after is None:
        begins, page = request.offset, kept[request.offset : request.offset + request.k]
    else:
        place = (-after.score, after.item)
        begins, page = after.seen, [hit for hit in kept if (-hit.score, hit.id) > place][: request.k]
    return [replace(hit, rank=rank) for rank, hit in enumerate(page, start=begins + 1)]


def _first_of_copies(
    view: View, hits: Sequence[Hit], rows: Mapping[int, ItemRow], looked: LookedAt
) -> list[Hit]:
    """Leave out hits that are the same picture as a better one that is kept."""
    copies = _copies(view, [rows[hit.id] for hit in hits if hit.id in rows], looked)
    kept: list[Hit] = []
    shown: set[int] = set()
    for hit in hits:
        if shown.isdisjoint(copies.get(hit.id, ())):
            kept.append(hit)
            shown.add(hit.id)
    return kept


def _copies(view: View, rows: Iterable[ItemRow], looked: LookedAt) -> dict[int, set[int]]:
    """Find the items that are the same picture, by item id."""
    pictures = [
        row for row in rows if row.text is None and row.encoding is not None and not video_of(row.uri)
    ]
    prints = looked.of({row.sha256: location_of(row.uri, row.extent) for row in pictures})
    # by id, as duplicates takes them: which of two is brought upon the other has a say
    known = sorted((row for row in pictures if row.sha256 in prints), key=lambda row: row.id)
    copies: dict[int, set[int]] = {}
    if len(known) < 2:
        return copies
    vectors = view.vectors("image", [row.encoding for row in known if row.encoding is not None])
    sample, count = view.sample("image")
    base = cosine_of_any_two(sample) if count >= FEW else 0.0
    stacked = stack({number: prints[row.sha256] for number, row in enumerate(known)})
    pairs = same_pictures(stacked, vectors, base, few=count < FEW)
    decided = view.kept_duplicates()
    for one, other in pairs.tolist():
        both = {known[one].sha256, known[other].sha256}
        if not any(both <= kept for kept in decided):
            copies.setdefault(known[one].id, set()).add(known[other].id)
            copies.setdefault(known[other].id, set()).add(known[one].id)
    return copies
