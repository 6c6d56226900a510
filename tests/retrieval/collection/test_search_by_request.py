"""Searches with every field of a request at once, against a ranking that scores item by item in float64."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.store.changes import Change
from indexer.store.maintenance import optimize
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.types import Kind, Request
from tests.builders import IDENTITY, image_change, names_and_scores, rank_naively, unit_rows

ITEMS = 60


@dataclass(frozen=True)
class Held:
    """Items in the order in which they came; an item named ``7=3`` has the content of item 3."""

    names: tuple[str, ...]
    cuts: tuple[int, ...]
    removed: frozenset[int]
    hidden: frozenset[int]
    compacted: bool

    def vectors(self) -> NDArray[np.float32]:
        rows = unit_rows(ITEMS, seed=4)
        return np.stack([rows[int(name.partition("=")[2] or name)] for name in self.names])

    def shown(self) -> list[int]:
        return [n for n in range(len(self.names)) if n not in self.removed and n not in self.hidden]

    def distinct(self) -> list[int]:
        """The first shown item of each content."""
        first: dict[str, int] = {}
        for n in self.shown():
            first.setdefault(self.names[n].partition("=")[2] or self.names[n], n)
        return sorted(first.values())


@st.composite
def held(draw: st.DrawFn) -> Held:
    count = draw(st.integers(1, ITEMS))
    copied = draw(st.dictionaries(st.integers(1, count), st.integers(0, count), max_size=15))
    names = [f"{n}={copied[n] % n}" if n in copied and n < count else f"{n}" for n in range(count)]
    numbers = st.sets(st.integers(0, count - 1), max_size=count)
    cuts = draw(st.lists(st.integers(0, count), max_size=3))
    return Held(
        tuple(original(names)),
        tuple(sorted({0, count, *cuts})),
        frozenset(draw(numbers)),
        frozenset(draw(numbers)),
        draw(st.booleans()),
    )


def original(names: list[str]) -> list[str]:
    """Let a copy of a copy name what that one is a copy of."""
    of: dict[str, str] = {}
    for name in names:
        own, _, other = name.partition("=")
        of[own] = of.get(other, other) if other else own
    return [own if of[own] == own else f"{own}={of[own]}" for own in of]


def build(folder: str, what: Held) -> Path:
    path, vectors = Path(folder), what.vectors()
    with Writer(path) as writer:
        source = writer.ensure_corpus("test:", "test")
        encoded: set[tuple[Kind, bytes]] = set()
        for a, b in itertools.pairwise(what.cuts):
            change = image_change(source, what.names[a:b], vectors[a:b])
            for content in encoded & change.contents.keys():  # as whoever stages items does
                del change.contents[content]
            encoded |= change.contents.keys()
            writer.commit(change, IDENTITY)
        writer.commit_rows(
            Change(
                removed=[n + 1 for n in sorted(what.removed)],
                hidden=[f"test:{what.names[n]}" for n in sorted(what.hidden)],
            )
        )
    if what.compacted:
        optimize(path)
    return path


@settings(max_examples=25)
@given(held(), st.integers(1, 70), st.integers(0, 70), st.booleans())
def test_any_request_gets_the_ranks_that_it_asks_for(what: Held, k: int, offset: int, distinct: bool) -> None:
    vectors, query = what.vectors(), unit_rows(1, seed=9)
    chosen = what.distinct() if distinct else what.shown()

    with tempfile.TemporaryDirectory() as folder, Collection.open(build(folder, what)) as collection:
        with collection.reading() as view:
            hits = view.search(query, "image", Request(k, distinct=distinct, offset=offset))[0]
            held_now = view.count("image")
        exact = collection.search(query, "image", k, distinct, exact=True)[0]

    ranked = rank_naively([what.names[n] for n in chosen], vectors[chosen], query[0], len(chosen))
    assert names_and_scores(hits) == ranked[offset : offset + k]
    assert [hit.rank for hit in hits] == list(range(offset + 1, offset + 1 + len(hits)))
    assert names_and_scores(exact) == ranked[:k]
    assert held_now == len(what.shown())


@settings(max_examples=15)
@given(held(), st.integers(1, 20))
def test_pages_and_hits_agree_on_what_there_is(what: Held, size: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Collection.open(build(folder, what)) as collection,
        collection.reading() as view,
    ):
        pages = list(view.pages("image", size))
        rows = [row for page in pages for row in page]
        vectors = view.vectors("image", [row.encoding for row in rows if row.encoding is not None])
        shown = {hit.uri for hit in view.search(unit_rows(1), "image", Request(k=ITEMS + 1))[0]}

        assert all(len(page) == size for page in pages[:-1])
        kept = [n for n in range(len(what.names)) if n not in what.removed]
        assert [row.uri for row in rows] == [f"test:{what.names[n]}" for n in kept]
        assert np.array_equal(vectors, what.vectors()[kept]) if kept else not len(vectors)
        assert {row.uri for row in rows if not view.hides(row.id)} == shown
        assert view.rows([row.id for row in rows]) == rows


@settings(max_examples=15)
@given(held(), st.lists(st.integers(0, ITEMS), min_size=1, max_size=8))
def test_items_that_are_added_later_never_change_the_scores_of_others(what: Held, more: list[int]) -> None:
    query = unit_rows(1, seed=9)
    with tempfile.TemporaryDirectory() as folder:
        path = build(folder, what)
        with Collection.open(path) as collection:
            before = dict(names_and_scores(collection.search(query, "image", 200)[0]))
        names = [f"new{n}" for n in dict.fromkeys(more)]
        with Writer(path) as writer:
            writer.commit(image_change(1, names, unit_rows(len(names), seed=8)), IDENTITY)
        with Collection.open(path) as collection:
            after = dict(names_and_scores(collection.search(query, "image", 200)[0]))

    assert {name: score for name, score in after.items() if not name.startswith("new")} == before
    assert set(after) - set(before) == set(names)
