"""Items listed without a query: which, in what order, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer
import retrieval
from retrieval.collection import reader
from retrieval.collection.filters.values import stored_date
from retrieval.collection.listing import LIST_SORTS, ListSort
from retrieval.errors import FilterError, UsageError
from retrieval.expressions import Expression
from retrieval.query.engine import SearchEngine
from retrieval.texts import fold
from retrieval.types import Item, Kind
from tests.builders import unit_rows
from tests.conditions import PlainItem, expressions, naive, random_items
from tests.retrieval.collection.test_filters import fill

ITEMS = 90


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SearchEngine, list[PlainItem]]]:
    """A collection of random items, some of them hidden, and those that are not."""
    path = tmp_path_factory.mktemp("listing") / "collection"
    items = random_items(ITEMS, 3)
    uris = fill(path, items, unit_rows(ITEMS))
    indexer.hide(path, [uri.removeprefix("key:") for uri in uris[::7]])
    with retrieval.open(path) as engine:
        yield engine, [item for number, item in enumerate(items) if number % 7]


def naively(items: list[PlainItem], kind: Kind, sort: ListSort) -> list[PlainItem]:
    of_kind = [item for item in items if item.kind == kind]
    if sort == "taken":
        return sorted(
            of_kind, key=lambda item: stored_date(str(item.attributes.get("taken"))) or "", reverse=True
        )
    if sort == "name":
        return sorted(of_kind, key=lambda item: (item.path is None, fold(Path(item.path or "").name)))
    return of_kind


def told(item: Item) -> object:
    return item.key, dict(item.attributes)


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("sort", LIST_SORTS)
def test_items_that_are_not_hidden_are_listed_once_in_each_order(
    held: tuple[SearchEngine, list[PlainItem]], kind: Kind, sort: ListSort
) -> None:
    engine, items = held
    expected = [(item.key, dict(item.attributes)) for item in naively(items, kind, sort)]

    assert [told(item) for item in engine.items(kind, sort=sort)] == expected


@settings(max_examples=60)
@given(
    expression=expressions(),
    sort=st.sampled_from(LIST_SORTS),
    offset=st.integers(0, 60),
    limit=st.none() | st.integers(0, 60),
)
def test_a_listing_with_a_condition_is_a_cut_of_the_whole_one(
    held: tuple[SearchEngine, list[PlainItem]],
    expression: Expression,
    sort: ListSort,
    offset: int,
    limit: int | None,
) -> None:
    engine, items = held
    met = naive(expression, items)

    if met is None:
        with pytest.raises(FilterError):
            engine.items("image", where=expression)
        return
    found = list(engine.items("image", where=expression, sort=sort, offset=offset, limit=limit))

    kept = naively([item for item, meets in zip(items, met, strict=True) if meets], "image", sort)
    cut = kept[offset : None if limit is None else offset + limit]
    assert [told(item) for item in found] == [(item.key, dict(item.attributes)) for item in cut]


def test_no_more_than_a_page_of_items_is_read_at_a_time(
    held: tuple[SearchEngine, list[PlainItem]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, items = held
    asked: list[int] = []
    whole = engine.collection.items
    monkeypatch.setattr(reader, "PAGE_ITEMS", 7)

    def counted(ids: Sequence[int]) -> list[Item]:
        asked.append(len(ids))
        return whole(ids)

    monkeypatch.setattr(engine.collection, "items", counted)

    listing = engine.items("image")
    next(listing)

    assert asked == [7]
    assert 1 + len(list(listing)) == sum(item.kind == "image" for item in items)
    assert max(asked) == 7


@pytest.mark.parametrize("wrong", [{"offset": -1}, {"limit": -1}, {"sort": "size"}])
def test_a_listing_that_makes_no_sense_is_refused_before_the_first_item(
    held: tuple[SearchEngine, list[PlainItem]], wrong: dict[str, object]
) -> None:
    with pytest.raises(UsageError):
        held[0].items("image", **wrong)  # type: ignore[arg-type]
