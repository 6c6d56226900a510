"""Cursors: where the next page of a search begins, as a text that only this module reads.

A cursor holds no state of a server and no vector. It has the last hit's score and item, the newest item and encoding
that were there at the first page, and digests of what was asked and of the query's vector. Ids are never used again, a
vector never changes, and hits have a total order (score descending, item ascending): so the page behind a hit is found
in any later generation, whatever was added, deleted or compacted since. What that pins:

- Every item that was there at the first page, and still is, unhidden and with the same content, when its page is made,
  comes once, in the order of the first page's generation. Nothing comes twice, and nothing that came later comes.
- Old generations are not kept. What was deleted or hidden meanwhile is left out; what a condition lets through, and
  what is hidden, is as it is now.
- Regions of pictures are compared if they were at the first page. A picture that gets its regions meanwhile, for it had
  none yet, stands where they put it: it may be missed, and never comes twice.
- A file that was exchanged for a copy of another picture which is in the collection stands where that picture stands.
- Vectors of another model are another order: after ``reindex`` a cursor is refused. So it is where the query's vector
  is another one than on the first page, such as after a caption that equals it has come with a vector of its own.
- Ranks of words depend on all texts: where words had a say on the first page (modes ``words`` and ``hybrid``, asked for
  or chosen), a cursor holds for its generation alone. Where they had none, vectors rank the further pages too.

Pages behind the first are scanned exactly. Of the first, an accelerator may miss some hits, unless it was asked for
exactly too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import View
from retrieval.collection.stored_values import NUMBER_LIMIT
from retrieval.contents import pixel_digest
from retrieval.errors import CursorExpired, QueryError
from retrieval.places import CollectionPlace
from retrieval.query.parts import ImagePart, KeyPart, Part, Query, TextPart
from retrieval.types import KINDS, After, Hits, Kind, Mode, Request

_FORM = struct.Struct("<BBBQQfQQQ16s8s")
_VERSION = 2
_REGIONS, _BY_WORDS = 1, 2  # flags
_CHECK = 8  # bytes of a digest of all that stands before them
_LENGTH = _FORM.size + _CHECK
_WRONG = "the cursor is not one that a search has given, or was cut; begin at the first page without a cursor"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place behind a hit.

    Attributes:
        kind: of the hits.
        regions: whether regions of images were compared.
        generation: of the first page.
        after: the hit, and what was there at the first page.
        asked: digest of what was asked.
        row: digest of the query's vector; zeros for words.
        by_words: whether words had a say in the ranking.
    """

    kind: Kind
    regions: bool
    generation: int
    after: After
    asked: bytes
    row: bytes
    by_words: bool = False

    def to_text(self) -> str:
        """Write the cursor as a text of letters, digits, ``-`` and ``_``."""
        after, flags = self.after, _REGIONS * self.regions + _BY_WORDS * self.by_words
        packed = _FORM.pack(
            _VERSION, KINDS.index(self.kind), flags, self.generation, after.seen, after.score,
            after.item, after.last_item, after.last_encoding, self.asked, self.row,
        )  # fmt: skip
        return base64.urlsafe_b64encode(packed + _check(packed)).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> Cursor:
        """Read a cursor.

        Raises:
            QueryError: it is none.
        """
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error) as error:
            raise QueryError(_WRONG) from error
        packed = data[: _FORM.size]
        if len(data) != _LENGTH or data[_FORM.size :] != _check(packed):
            raise QueryError(_WRONG)
        version, kind, flags, generation, seen, score, *ids, asked, row = _FORM.unpack(packed)
        item, last_item, last_encoding = ids
        is_ours = version == _VERSION and kind < len(KINDS) and flags < 4 and math.isfinite(score)
        if not is_ours or max(generation, seen, *ids) >= NUMBER_LIMIT:
            raise QueryError(_WRONG)
        after = After(score, item, seen, last_item, last_encoding)
        regions, by_words = bool(flags & _REGIONS), bool(flags & _BY_WORDS)
        return cls(KINDS[kind], regions, generation, after, asked, row, by_words)


def open_cursor(text: str, collection: CollectionPlace, query: Query, request: Request) -> Cursor:
    """Read the cursor of a search.

    Raises:
        QueryError: it is none, or of another search, or the request has an offset beside it.
    """
    cursor = Cursor.from_text(text)
    if cursor.asked != _asked(collection, query, request):
        raise QueryError(
            "the cursor is of another search; ask with the same query, conditions and collection as for the page "
            "before, or begin at the first page without a cursor"
        )
    if request.offset:
        raise QueryError("a cursor says where a page begins; leave out the offset")
    return cursor


def page_behind(view: View, cursor: Cursor, request: Request, row: NDArray[np.float32] | None) -> Request:
    """Give the request of the page behind a cursor, in the generation of a view.

    Args:
        view: where it is asked.
        cursor: of this search.
        request: with the mode that ranks.
        row: the query's vector, (d,) float32; None where words rank.

    Raises:
        CursorExpired: the order of the first page cannot be gone on with.
    """
    if view.generation < cursor.generation:
        raise CursorExpired("the collection is in an earlier state than at the first page")
    if cursor.by_words:
        if view.generation != cursor.generation:
            raise CursorExpired("the collection has changed, and with it the ranks of words")
        return replace(request, offset=cursor.after.seen)
    if cursor.row != _row_digest(view, row):
        raise CursorExpired("the query has another vector than at the first page")
    if cursor.regions and not view.has_regions(cursor.kind):
        raise CursorExpired("the regions of pictures that were compared at the first page are gone")
    return replace(request, after=cursor.after, regions=cursor.regions)


@dataclass(frozen=True, slots=True)
class NextPage:
    """What the cursor behind the last hit of a page is made of; digests are computed when it is asked for.

    Attributes:
        collection: where it is.
        query: as it was asked.
        request: likewise.
        place: the cursor, but for the digest of what was asked.
    """

    collection: CollectionPlace
    query: Query
    request: Request
    place: Cursor

    def __call__(self) -> str:
        """Write the cursor."""
        return replace(self.place, asked=_asked(self.collection, self.query, self.request)).to_text()


def with_cursor(
    view: View,
    kind: Kind,
    query: Query,
    row: NDArray[np.float32] | None,
    request: Request,
    cursor: Cursor | None,
    hits: Hits,
) -> Hits:
    """Let hits say where the next page begins; where fewer came than were asked for, there is none."""
    if len(hits) == request.k:
        last = max(hits, key=lambda hit: hit.rank)
        score = 0.0 if hits.mode != "vector" else last.score  # words have ranks alone
        first = cursor or _first_page(view, kind, row, request, hits.mode)
        after = replace(first.after, score=score, item=last.id, seen=last.rank)
        hits.next_page = NextPage(view.path, query, request, replace(first, after=after))
    return hits


def _first_page(
    view: View, kind: Kind, row: NDArray[np.float32] | None, request: Request, mode: Mode
) -> Cursor:
    """Give the place before the first hit."""
    regions = request.regions and view.has_regions(kind)
    row_digest = _row_digest(view, row)
    newest = view.newest_ids(kind)
    return Cursor(kind, regions, view.generation, newest, b"", row_digest, by_words=mode != "vector")


def _check(packed: bytes) -> bytes:
    return hashlib.sha256(b"vlsearch cursor" + packed).digest()[:_CHECK]


def _row_digest(view: View, row: NDArray[np.float32] | None) -> bytes:
    if row is None:
        return bytes(8)
    assert view.identity is not None, "there are vectors"
    return hashlib.sha256(view.identity.digest.encode() + row.tobytes()).digest()[:8]


def _asked(collection: CollectionPlace, query: Query, request: Request) -> bytes:
    """Give the digest of what all pages of a search share: neither how many hits each has, nor their order in it."""
    facts = (
        str(collection.resolve() if isinstance(collection, Path) else collection),
        [_part_facts(part) for part in query.parts],
        request.find,
        request.distinct,
        None if request.where is None else str(request.where),
        request.min_score,
        request.mode,
        request.only,
        request.regions,
    )
    return hashlib.sha256(repr(facts).encode(errors="backslashreplace")).digest()[:16]


def _part_facts(part: Part) -> Sequence[object]:
    if isinstance(part, TextPart):
        return "text", part.words, part.weight
    if isinstance(part, KeyPart):
        return "key", part.key, part.weight
    if not isinstance(part, ImagePart):
        return "item", part.id, part.weight
    source = part.source
    if isinstance(source, bytes):
        named = hashlib.sha256(source).hexdigest()
    else:
        named = str(source) if isinstance(source, (str, Path)) else pixel_digest(source).hex()
    return "image", named, part.weight, part.crop
