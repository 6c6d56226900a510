"""Rank the items of a kind by their vectors: candidates of segments, accelerators and regions, then their items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.search import search_accelerated
from retrieval.collection.catalogue_items import read_videos
from retrieval.collection.ranking import DEEPER, Ranked, may_lack_hits, rank_items
from retrieval.collection.region_search import with_regions
from retrieval.collection.search import Candidates, search
from retrieval.collection.snapshot import Snapshot
from retrieval.collection.statement import ReadConnection, Select, id_list
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores import SegmentStore
from retrieval.types import Kind, Request

if TYPE_CHECKING:
    from retrieval.collection.filters.allowed import Allowed


@dataclass(frozen=True, slots=True)
class VectorSearch:
    """A search by vectors in one generation.

    Attributes:
        connection: to the catalogue, in the transaction of the generation.
        snapshot: of it.
        find: the kind of item wanted; that of the request is not looked at.
        request: what is asked.
        allowed: what its condition lets through; None where it has none.
    """

    connection: ReadConnection
    snapshot: Snapshot
    find: Kind
    request: Request
    allowed: Allowed | None

    def rank(self, vectors: NDArray[np.float32]) -> list[list[Ranked]]:
        """Rank the items for each query, (q, d) float32 unit rows.

        More candidates are taken until the hits suffice, where some of them may bring none: where moments of one video
        count once, and behind a page, since contents may have new items alone.
        """
        request = self.request
        seen = 0 if request.after is None else request.after.seen
        depth = request.offset + min(seen, self.snapshot.last_item) + request.k
        found = self._candidates(vectors, depth)
        ranked = self._rank_candidates(found)
        if request.distinct or request.after is not None:
            for number, candidates in enumerate(found):
                deeper = depth
                while may_lack_hits(candidates, deeper, len(ranked[number]), request):
                    deeper *= DEEPER
                    query = vectors[number : number + 1]
                    [candidates] = self._candidates(query, deeper)
                    [ranked[number]] = self._rank_candidates([candidates])
        return ranked

    def _candidates(self, vectors: NDArray[np.float32], depth: int) -> list[Candidates]:
        """Find the encodings that may be among the best of each query."""
        snapshot, request = self.snapshot, self.request
        store, masked = snapshot.stores[self.find], snapshot.masked
        some = None if self.allowed is None else self.allowed.store
        # an accelerator asked for a later page may find what it has missed on an earlier one, and miss others
        exact = request.exact or request.after is not None
        accelerator = None if exact else snapshot.accelerators.get(self.find)
        if request.after is not None:
            later = (store if some is None else some).ids_after(request.after.last_encoding)
            masked = np.union1d(masked, later) if len(later) else masked
        index = None if exact else snapshot.indexes.get(self.find)
        if index is not None:
            whole = index.search(store, vectors, depth, masked, some)
        elif accelerator is None:
            whole = search(store if some is None else some, vectors, depth, masked)
        else:
            assert isinstance(store, SegmentStore), "accelerators are of segments"
            assert some is None or isinstance(some, SegmentStore)
            whole = search_accelerated(accelerator, store, vectors, depth, masked, some)
        regions = snapshot.regions
        if self.find != "image" or regions is None or not request.regions:
            return whole
        best = regions.search(vectors, depth, masked, None if some is None else some.ids)
        queries = np.ascontiguousarray(vectors, np.float32)
        return [
            with_regions(one, of_regions, store, query, depth)
            for one, of_regions, query in zip(whole, best, queries, strict=True)
        ]

    def _rank_candidates(self, found: Sequence[Candidates]) -> list[list[Ranked]]:
        request, allowed = self.request, self.allowed
        encodings = {number for candidates in found for number in candidates.ids.tolist()}
        content_of: dict[int, int] = {}
        items_of: dict[int, list[int]] = {}
        last = self.snapshot.last_item if request.after is None else request.after.last_item
        rows = _ITEMS_OF.rows(self.connection, id_list(encodings))
        owners = [row.item for row in rows if row.item is not None]
        if len(owners) < len(rows):
            raise WrongValue("the catalogue holds encodings of no item that are not masked")
        hides = self.snapshot.hides
        admitted = [not hides(item) for item in owners] if allowed is None else allowed.admits(owners)
        for row, item, is_admitted in zip(rows, owners, admitted, strict=True):
            content_of[row.encoding] = row.content
            items = items_of.setdefault(row.content, [])
            if is_admitted and item <= last:
                items.append(item)
        if len(content_of) < len(encodings):
            raise WrongValue("segments hold encodings that the catalogue does not know")
        if not request.distinct:
            return [rank_items(candidates, content_of, items_of, request) for candidates in found]
        first_of = {content: items[:1] for content, items in items_of.items()}
        video_of_item = read_videos(self.connection, (item for items in first_of.values() for item in items))
        return [rank_items(candidates, content_of, first_of, request, video_of_item) for candidates in found]


class _ItemOf(NamedTuple):
    encoding: int
    content: int
    item: int | None


_ITEMS_OF = Select(
    _ItemOf,
    "SELECT encodings.id, encodings.content_id, items.id FROM encodings "
    "LEFT JOIN items ON items.content_id = encodings.content_id "
    "WHERE encodings.id IN (SELECT value FROM json_each(?)) ORDER BY items.id",
)
