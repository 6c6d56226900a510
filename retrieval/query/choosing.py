"""Which ranking answers a search that names none: the one place that decides it.

Vectors and words together (``hybrid``) where all of this holds, else vectors alone, bit for bit as with
``mode="vector"``:

- The query is one text that is searched for: of pictures, of sums and of what is excluded nothing was measured.
- It finds images, and no least score or probability (``only``) is asked for: both are of vectors, and cut their ranking
  at one place, behind which no page need look.
- Images that may be found have a caption with a word of the query, other than words that half of the texts, or
  thousands of items, hold.

Captions are the texts that are linked to images. Captions that a model wrote count with ``mode="hybrid"`` and
``"words"`` alone: those of ``mini`` lose ten points of R@10 (benchmarks/search/machine_captions.md). So do file names,
metadata and text that was read in images, where what they would add was not measured. Words change the order among
images that have captions; an image without one keeps the place that its vector gives it
(:func:`~retrieval.query.fuse.fuse_in_places`). docs/search.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.collection import View
from retrieval.query.cursor import Cursor
from retrieval.query.parts import Query, TextPart
from retrieval.types import Kind, Mode, Request


@dataclass(frozen=True, slots=True)
class Chosen:
    """What ranks the items of a query.

    Attributes:
        mode: that was asked for, or chosen.
        by_captions: where hybrid was chosen, the images that words of captions find, best first; else None.
    """

    mode: Mode
    by_captions: tuple[int, ...] | None = None


def choose_mode(
    view: View, query: Query, find: Kind, request: Request, cursor: Cursor | None = None
) -> Chosen:
    """Choose what ranks the items of a query; the same for every page of it.

    Args:
        view: the generation that is searched.
        query: as it is answered.
        find: the kind of item wanted.
        request: as it was asked.
        cursor: of the page, whose first page has decided.

    Raises:
        FilterError: ``request.where`` is at fault.
    """
    if request.mode is not None:
        return Chosen(request.mode)
    words = _words_alone(query)
    is_pinned = cursor is not None and not cursor.by_words
    is_cut = request.min_score is not None or request.only is not None
    if words is None or find != "image" or is_cut or is_pinned:
        return Chosen("vector")
    found = view.search_captions(words, request.where)
    return Chosen("hybrid", tuple(found)) if found else Chosen("vector")


def _words_alone(query: Query) -> str | None:
    """Give the words of a query that is one text; None for any other."""
    if len(query.parts) != 1:
        return None
    part = query.parts[0]
    return part.words if isinstance(part, TextPart) and part.weight > 0 else None
