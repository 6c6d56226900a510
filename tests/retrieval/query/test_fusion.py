"""Rankings made one by the reciprocals of their ranks, against the formula in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from retrieval.query.fuse import RANK_CONSTANT, fuse

ITEMS = st.lists(st.integers(1, 12), unique=True, max_size=12)
RANKINGS = st.dictionaries(st.sampled_from(["vector", "words", "more"]), ITEMS, max_size=3)


@given(RANKINGS)
def test_items_stand_by_the_sum_of_their_reciprocal_ranks(rankings: dict[str, list[int]]) -> None:
    exact: dict[int, Fraction] = {}
    for items in rankings.values():
        for rank, item in enumerate(items, 1):
            exact[item] = exact.get(item, Fraction(0)) + Fraction(1, RANK_CONSTANT + rank)

    found = fuse(rankings)

    assert {one.id for one in found} == set(exact)
    for one in found:
        assert abs(one.score - exact[one.id]) < 1e-15
        assert one.ranks == {
            name: items.index(one.id) + 1 for name, items in rankings.items() if one.id in items
        }
    for before, after in pairwise(found):
        assert exact[before.id] > exact[after.id] or abs(before.score - after.score) < 1e-15


@given(ITEMS)
def test_one_ranking_stays_as_it_is_alone_and_beside_itself(items: list[int]) -> None:
    assert [one.id for one in fuse({"vector": items})] == items
    assert [one.id for one in fuse({"vector": items, "words": items})] == items
    assert [one.id for one in fuse({"vector": items, "words": []})] == items


@given(RANKINGS)
def test_the_order_of_the_sources_makes_no_difference(rankings: dict[str, list[int]]) -> None:
    turned = dict(reversed(rankings.items()))

    one, other = fuse(rankings), fuse(turned)

    assert {item.id: item.ranks for item in one} == {item.id: item.ranks for item in other}
    scores = {item.id: item.score for item in other}
    assert all(abs(item.score - scores[item.id]) < 1e-15 for item in one)


@given(ITEMS, ITEMS)
def test_what_both_sources_put_first_is_first(one: list[int], other: list[int]) -> None:
    found = fuse({"vector": [99, *one], "words": [99, *other]})

    assert found[0].id == 99


@given(st.integers(1, 9), st.integers(1, 9))
def test_of_equal_ones_the_lower_id_comes_first(a: int, b: int) -> None:
    found = fuse({"vector": [a], "words": [b]})

    assert [one.id for one in found] == sorted({a, b})
