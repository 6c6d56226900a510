"""What sums of parts mean: weights scale, signs turn around, and neither order nor company changes an answer."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import indexer
import retrieval
from retrieval.errors import QueryError
from retrieval.query.compose import CANCELLED, compose
from retrieval.query.engine import SearchEngine
from retrieval.query.parse import parse_line, parse_part, parse_query
from retrieval.query.parts import ImagePart, KeyPart, Part, Query, TextPart
from retrieval.query.stored_items import direction
from retrieval.types import KINDS, Hit, Kind
from tests.builders import HashEncoder, unit_rows

WEIGHTS = st.floats(-50, 50).filter(lambda weight: abs(weight) > 0.05)
WORDS = st.sampled_from(["a dog", "snow", "two red cars", "一只狗"])
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, WORDS, WEIGHTS), st.builds(KeyPart, st.sampled_from(["k0", "k7", "t3"]), WEIGHTS)
)
QUERIES = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: Query(tuple(parts)))
COUNT = 12


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    """Twelve images and twelve texts under keys; two of each are equal."""
    path = tmp_path_factory.mktemp("algebra") / "collection"
    rows = unit_rows(COUNT)
    rows[5] = rows[4]
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        for number in range(COUNT):
            writer.add(f"k{number}", None, vector=rows[number], uri=f"x:{number}")
            writer.add(f"t{number}", f"text {min(number, COUNT - 2)}")
    with retrieval.open(path, encoder=HashEncoder()) as opened:
        yield opened


def ranking(hits: list[Hit]) -> list[tuple[str | None, float]]:
    return [(hit.key, hit.score) for hit in hits]


def answered(
    engine: SearchEngine, query: Query, find: Kind, k: int = COUNT
) -> list[tuple[str | None, float]]:
    try:
        return ranking(engine.search(query, k=k, find=find))
    except QueryError:  # parts cancel each other out
        assume(False)
        raise


@settings(max_examples=25)
@given(st.lists(QUERIES, min_size=1, max_size=4), st.sampled_from(KINDS))
def test_a_query_of_a_batch_has_the_bits_that_it_has_alone(
    engine: SearchEngine, queries: list[Query], find: Kind
) -> None:
    alone = [answered(engine, query, find) for query in queries]

    together = engine.search_batch(queries, k=COUNT, find=find)

    assert [ranking(hits) for hits in together] == alone


@settings(max_examples=25)
@given(QUERIES, st.integers(-3, 3), st.sampled_from(KINDS))
def test_weights_that_are_all_doubled_or_halved_change_no_bit(
    engine: SearchEngine, query: Query, power: int, find: Kind
) -> None:
    scaled = Query(tuple(with_weight(part, part.weight * 2.0**power) for part in query.parts))

    assert answered(engine, scaled, find) == answered(engine, query, find)


@settings(max_examples=25)
@given(QUERIES, st.randoms(use_true_random=False), st.sampled_from(KINDS))
def test_the_order_of_the_parts_changes_a_score_by_rounding_at_most(
    engine: SearchEngine, query: Query, random: object, find: Kind
) -> None:
    parts = list(query.parts)
    random.shuffle(parts)  # type: ignore[attr-defined]  # random.Random

    one, other = dict(answered(engine, query, find)), dict(answered(engine, Query(tuple(parts)), find))

    for key, score in one.items():
        assert other[key] == pytest.approx(score, abs=1e-5)


@settings(max_examples=25)
@given(QUERIES, st.sampled_from(KINDS))
def test_turning_all_signs_around_negates_every_score(engine: SearchEngine, query: Query, find: Kind) -> None:
    turned = Query(tuple(with_weight(part, -part.weight) for part in query.parts))

    scores = dict(answered(engine, query, find))
    assert {key: -score for key, score in answered(engine, turned, find)} == scores


@settings(max_examples=25)
@given(WORDS, st.floats(0.1, 0.9), st.sampled_from(KINDS))
def test_a_part_that_is_split_in_two_is_the_same_part(
    engine: SearchEngine, words: str, share: float, find: Kind
) -> None:
    split = Query((TextPart(words, share), TextPart(words, 1 - share)))

    whole = dict(answered(engine, Query((TextPart(words),)), find))
    for key, score in answered(engine, split, find):
        assert score == pytest.approx(whole[key], abs=1e-6)


@settings(max_examples=25)
@given(QUERIES, st.integers(1, 5), st.sampled_from(KINDS))
def test_pages_of_any_size_are_the_whole_ranking(
    engine: SearchEngine, query: Query, size: int, find: Kind
) -> None:
    whole = answered(engine, query, find)

    pages = [
        ranking(engine.search(query, size, find, offset=start)) for start in range(0, COUNT + size, size)
    ]

    assert list(itertools.chain(*pages)) == whole


@settings(max_examples=25)
@given(QUERIES, st.integers(1, COUNT), st.sampled_from(KINDS))
def test_distinct_hits_are_the_ranking_without_later_copies(
    engine: SearchEngine, query: Query, k: int, find: Kind
) -> None:
    whole = answered(engine, query, find)
    copies = {"k5", f"t{COUNT - 1}"}

    distinct = ranking(engine.search(query, k, find, distinct=True))

    assert distinct == [pair for pair in whole if pair[0] not in copies][:k]


def with_weight(part: Part, weight: float) -> Part:
    return KeyPart(part.key, weight) if isinstance(part, KeyPart) else TextPart(text_of(part), weight)


def text_of(part: Part) -> str:
    assert isinstance(part, TextPart)
    return part.text


# Composition alone


@given(st.integers(0, 999), st.lists(WEIGHTS, min_size=1, max_size=5))
def test_the_length_of_a_composed_vector_is_1_however_large_the_weights(
    seed: int, weights: list[float]
) -> None:
    rows = unit_rows(len(weights), 32, seed)

    for factor in (1.0, 1e-300, 1e300):
        found = compose(rows, [weight * factor for weight in weights])
        assert np.linalg.norm(found.astype(np.float64)) == pytest.approx(1, abs=1e-6)
        assert found.dtype == np.float32


@given(st.integers(0, 999), WEIGHTS)
def test_parts_that_cancel_are_refused_whatever_their_weight(seed: int, weight: float) -> None:
    row = unit_rows(1, 32, seed)

    with pytest.raises(QueryError, match="cancel each other out"):
        compose(np.concatenate([row, row]), [weight, -weight])
    compose(np.concatenate([row, row]), [weight, -weight * (1 + 8 * CANCELLED)])


# Which kind is found


@given(
    QUERIES | st.builds(lambda path: Query((ImagePart(path),)), st.just(Path("a.jpg"))),
    st.sampled_from([(True, True), (True, False), (False, True)]),
)
def test_images_alone_find_texts_and_all_else_images_and_a_kind_that_is_not_held_gives_way(
    query: Query, held: tuple[bool, bool]
) -> None:
    keyed: dict[str | int, Kind] = {"k0": "image", "k7": "image", "t3": "text"}
    images_alone = all(
        isinstance(part, ImagePart) or (isinstance(part, KeyPart) and part.key.startswith("k"))
        for part in query.parts
    )

    found = direction(query, {"image": held[0], "text": held[1]}, keyed)

    if held == (True, True):
        assert found == ("text" if images_alone else "image")
    else:
        assert found == ("image" if held[0] else "text")


# The notation


@given(st.lists(PARTS, min_size=1, max_size=4))
def test_parts_that_are_written_down_are_read_back(parts: list[Part]) -> None:
    kept = [with_weight(part, round(part.weight, 3)) for part in parts]

    assert parse_query([spelt(part) for part in kept]) == Query(tuple(kept))
    assert parse_line("\t".join(map(spelt, kept)), "a.txt:1") == Query(tuple(kept))


@given(st.lists(PARTS, min_size=1, max_size=3), st.lists(PARTS, min_size=1, max_size=3))
def test_what_is_subtracted_has_its_weights_negated(added: list[Part], taken: list[Part]) -> None:
    added, taken = ([with_weight(part, round(part.weight, 3)) for part in parts] for parts in (added, taken))

    found = parse_query([spelt(part) for part in added], subtract=[spelt(part) for part in taken])

    assert found.parts == (*added, *(with_weight(part, -part.weight) for part in taken))


def spelt(part: Part) -> str:
    what = f"key:{part.key}" if isinstance(part, KeyPart) else f"text:{text_of(part)}"
    return f"{'-' if part.weight < 0 else ''}{abs(part.weight):.3f}:{what}"


@given(st.text("ab-:2. '", min_size=1, max_size=8))
def test_what_a_refusal_says_to_write_is_accepted(argument: str) -> None:
    try:
        parse_part(argument)
    except QueryError as error:
        suggested = re.search(r"to subtract write (.*), or for the words themselves (.*)", str(error))
        written = [shlex.split(one) for one in suggested.groups()] if suggested is not None else []
    else:
        written = []

    for one in written:
        (word,) = one
        assert parse_part(word).weight != 0
