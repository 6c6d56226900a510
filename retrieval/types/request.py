"""All that is asked of a search beside its query: one frozen value, passed whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from retrieval.errors import UsageError
from retrieval.types.hits import MODES, VERDICTS, Mode, Verdict
from retrieval.types.items import KINDS, Kind

if TYPE_CHECKING:
    from retrieval.expressions import Expression


Sort = Literal["score", "taken", "name"]
"""The orders in which hits are given."""

SORTS: tuple[Sort, ...] = ("score", "taken", "name")

Distinct = bool | Literal["picture"]
"""Which hits are given once: none of them; equal contents, and frames of one video; or also copies of a picture."""


@dataclass(frozen=True, slots=True)
class After:
    """A place in the ranking of a query, behind a hit of a page that was given; a later page begins there.

    Attributes:
        score: of that hit.
        item: its id.
        seen: its rank: as many hits were given.
        last_item: id of the newest item that counts; what came after the first page does not.
        last_encoding: likewise, of the newest vector.
    """

    score: float
    item: int
    seen: int
    last_item: int
    last_encoding: int


@dataclass(frozen=True, slots=True)
class Request:
    """Parameters of a search other than the query vector.

    Attributes:
        k: hits wanted, >= 1; counts items, so equal images under two names are two hits.
        find: the kind of item wanted; None leaves it to the query.
        distinct: give each content once, as its item with the lowest id, and each video once, as its best frame;
            ``"picture"``: also each picture once, which an engine does, and not a view.
        offset: best hits to pass over, >= 0; the first hit returned has rank ``offset + 1``.
        exact: scan all vectors, even where an accelerator finds nearly all of the best ones sooner.
        where: what an item must meet to be found, built with ``retrieval.field`` or read by ``retrieval.parse_where``;
            k hits come back where so many meet it.
        sort: order of the hits that are given: by score; by the attribute ``taken``, the newest first; or by the name
            of the file. A hit's rank is that of its score all the same.
        min_score: hits with a lower score are left out.
        mode: what ranks items: vectors; words, by BM25 among items that hold all of the query's; or both
            (``hybrid``), by the sum of ``1 / (60 + rank)`` over the two rankings. None: both where words that find
            images are held by captions of images, else vectors (:mod:`retrieval.query.choosing`); ``mode`` of the hits
            says which.
        only: hits are left out that would not be so likely right, were they the first: ``sure``, ``likely`` or
            ``doubtful``.
        regions: an image is as near as the nearest of its regions, where it has any (``vlsearch index --regions``);
            else whole images are compared.
        after: only what stands behind this place is given; :mod:`retrieval.query.cursor` says what that means while a
            collection is written to.
    """

    k: int = 10
    find: Kind | None = None
    distinct: Distinct = False
    offset: int = 0
    exact: bool = False
    where: Expression | None = None
    sort: Sort = "score"
    min_score: float | None = None
    mode: Mode | None = None
    only: Verdict | None = None
    regions: bool = True
    after: After | None = None

    def __post_init__(self) -> None:
        if self.where is not None:
            from retrieval.expressions import check_size  # late: most queries have no condition

            check_size(self.where)
        if self.find is not None and self.find not in KINDS:
            raise UsageError(f"find is {self.find!r}; choose one of {', '.join(KINDS)}")
        if self.sort not in SORTS:
            raise UsageError(f"sort is {self.sort!r}; choose one of {', '.join(SORTS)}")
        if self.distinct not in (True, False, "picture"):
            raise UsageError(f"distinct is {self.distinct!r}; choose True, False or 'picture'")
        if self.mode is not None and self.mode not in MODES:
            raise UsageError(f"mode is {self.mode!r}; choose one of {', '.join(MODES)}")
        if self.min_score is not None and self.mode not in (None, "vector"):
            raise UsageError("a least score goes with the mode vector alone: scores of words have no scale")
        if self.only is not None and self.only not in VERDICTS[:-1]:
            raise UsageError(f"only is {self.only!r}; choose one of {', '.join(VERDICTS[:-1])}")
        if self.only is not None and self.mode not in (None, "vector"):
            raise UsageError(
                "how likely hits are is told by their vectors and goes with the mode vector alone; leave out only, or "
                "mode"
            )
        if self.min_score is not None and not -2 <= self.min_score <= 2:
            raise UsageError(f"min_score is {self.min_score}; scores lie between -1 and 1")
        if self.k < 1:
            raise UsageError(f"k is {self.k}; ask for at least 1 hit")
        if self.offset < 0:
            raise UsageError(f"offset is {self.offset}; begin at 0, the best hit")


class SimilarOptions(TypedDict, total=False):
    """Keywords of :meth:`retrieval.SearchEngine.similar` beside k, find and distinct; :class:`Request` explains them.

    ``where`` may be a text, as ``vlsearch query --where`` takes it.
    """

    offset: int
    exact: bool
    where: str | Expression | None
    sort: Sort
    min_score: float | None


class SearchOptions(SimilarOptions, total=False):
    """Keywords of :meth:`retrieval.SearchEngine.search` beside k, find and distinct; :class:`Request` explains them."""

    mode: Mode | None
    only: Verdict | None
    regions: bool
