"""Images with several vectors: the best one counts, exactly, whatever lies where and whatever is masked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import indexer
from indexer.store.changes import Change
from indexer.store.region_files import commit_regions
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.encoder_rows import active_encoder_id
from retrieval.collection.engine import driver_connection
from retrieval.collection.filters.parse import parse_where
from retrieval.collection.score import exact_scores
from retrieval.collection.stores.region_file import (
    RegionFacts,
    decoded,
    header,
    open_region_file,
    quantised,
    scales_of,
)
from retrieval.errors import CollectionDamaged
from retrieval.types import Request
from tests.builders import collection_of, names_and_scores, unit_rows

RULE = '{"tests":1}'
Rows = NDArray[np.float32]


def boxes_of(count: int, windows: int) -> Rows:
    """Boxes that tell which region they are of."""
    numbers = np.arange(count * windows, dtype=np.float32).reshape(count, windows)
    boxes = np.full((count, windows, 4), 0.25, np.float32)
    boxes[..., 0] = numbers / (2 * count * windows)
    return boxes


def add_regions(path: Path, encodings: Sequence[int], vectors: Rows, boxes: Rows) -> None:
    with Writer(path) as writer:
        with writer.look_up() as connection:
            encoder = active_encoder_id(driver_connection(connection))
        assert encoder is not None
        commit_regions(writer, encoder, RULE, np.array(encodings, np.int64), boxes, vectors)


def best_by_hand(
    names: Sequence[str], whole: Rows, regions: dict[int, tuple[Rows, Rows]], query: Rows, k: int
) -> list[tuple[str, float, tuple[float, ...] | None]]:
    """Names, scores and regions, best first; ``regions`` has decoded vectors and boxes by place in ``names``."""
    found = []
    for place, name in enumerate(names):
        score, region = float(exact_scores(whole[place : place + 1], query)[0]), None
        if place in regions:
            vectors, boxes = regions[place]
            scores = exact_scores(np.ascontiguousarray(vectors), query)
            best = int(scores.argmax())
            if float(scores[best]) > score:
                score, region = float(scores[best]), tuple(boxes[best].tolist())
        found.append((name, score, region))
    return sorted(found, key=lambda one: -one[1])[:k]  # stable: of equal scores the first item


def search(path: Path, queries: Rows, request: Request) -> list[list[tuple[str, float, object]]]:
    with Collection.open(path) as opened, opened.reading() as view:
        found = view.search(queries, "image", request)
    return [
        [(*pair, hit.region) for pair, hit in zip(names_and_scores(hits), hits, strict=True)]
        for hits in found
    ]


@settings(max_examples=30)
@given(
    count=st.integers(1, 30),
    distinct=st.integers(1, 12),
    windows=st.integers(1, 4),
    cuts=st.integers(1, 3),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_an_image_scores_as_the_best_of_its_vectors(
    count: int, distinct: int, windows: int, cuts: int, k: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    few = unit_rows(distinct, seed=seed)  # so that many scores are equal
    names, whole = [f"{number:02}" for number in range(count)], few[random.integers(0, distinct, count)]
    places = np.flatnonzero(random.random(count) < 0.7)
    vectors = few[random.integers(0, distinct, (len(places), windows))]
    boxes = boxes_of(len(places), windows)
    coded = decoded(*quantised(vectors)) if len(places) else vectors
    regions = {int(place): (coded[at], boxes[at]) for at, place in enumerate(places)}
    queries = unit_rows(3, seed=seed + 1)
    gone = set(random.choice(count, count // 5, replace=False).tolist())
    with tempfile.TemporaryDirectory() as folder:
        path = collection_of(
            Path(folder) / "c", *[(names[at::2], whole[at::2]) for at in (0, 1) if names[at::2]]
        )
        order = [*range(0, count, 2), *range(1, count, 2)]  # as they were committed
        encoding_of = {place: number for number, place in enumerate(order, start=1)}
        for some in np.array_split(random.permutation(len(places)), cuts):
            some = np.array(sorted(some.tolist(), key=lambda at: encoding_of[int(places[at])]), int)
            if len(some):
                add_regions(path, [encoding_of[int(places[at])] for at in some], vectors[some], boxes[some])
        if gone:
            with Writer(path) as writer:
                writer.commit_rows(Change(hidden=[f"test:{names[place]}" for place in gone]))
        left = [place for place in order if place not in gone]
        there = {at: regions[place] for at, place in enumerate(left) if place in regions}
        wanted = [
            best_by_hand([names[place] for place in left], whole[left], there, query, k) for query in queries
        ]

        assert search(path, queries, Request(k)) == wanted
        assert [search(path, query[None], Request(k))[0] for query in queries] == wanted
        assert indexer.doctor(path).faults == ()
        indexer.optimize(path)
        assert search(path, queries, Request(k)) == wanted


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Four images, of which the last but one has the query's vector as a region."""
    path = collection_of(tmp_path / "c", (["a", "b", "c", "d"], unit_rows(4)))
    vectors = unit_rows(6, seed=9).reshape(3, 2, -1)
    vectors[1, 1] = QUERY[0]
    add_regions(path, [1, 3, 4], vectors, boxes_of(3, 2))
    return path


QUERY = unit_rows(1, seed=5)


def test_a_hit_names_its_region_where_that_is_nearer_than_the_whole(small: Path) -> None:
    [[best, *others]] = search(small, QUERY, Request(4))

    assert best[0] == "c"
    assert best[1] > 0.9999
    assert best[2] == tuple(boxes_of(3, 2)[1, 1].tolist())
    assert {name for name, _, _ in others} == {"a", "b", "d"}


def test_whole_images_alone_are_compared_where_that_is_asked(small: Path) -> None:
    plain = collection_of(small.parent / "plain", (["a", "b", "c", "d"], unit_rows(4)))

    assert search(small, QUERY, Request(4, regions=False)) == search(plain, QUERY, Request(4))


def test_conditions_hold_for_regions_too(small: Path) -> None:
    with Writer(small) as writer:
        writer.commit_rows(Change(attributes={f"test:{name}": {"letter": name} for name in "abcd"}))
    [hits] = search(small, QUERY, Request(4, where=parse_where("letter in (a, b)")))
    [nearest] = search(small, QUERY, Request(1, where=parse_where("letter = c")))

    assert {name for name, _, _ in hits} == {"a", "b"}
    assert [(name, region is not None) for name, _, region in nearest] == [("c", True)]


def test_hidden_and_deleted_images_are_not_found_by_their_regions(small: Path) -> None:
    with Writer(small) as writer:
        writer.commit_rows(Change(hidden=["test:c"]))
    assert "c" not in {name for name, _, _ in search(small, QUERY, Request(4))[0]}

    with Writer(small) as writer:
        writer.commit_rows(Change(unhidden=["test:c"]))
        writer.commit_rows(Change(removed=[3]))
    assert "c" not in {name for name, _, _ in search(small, QUERY, Request(4))[0]}


def test_compaction_drops_the_regions_of_what_was_deleted(small: Path) -> None:
    with Writer(small) as writer:
        writer.commit_rows(Change(removed=[3]))

    indexer.optimize(small)

    with Collection.open(small) as opened:
        info = opened.info().regions
    assert info is not None
    assert (info.images, info.vectors) == (2, 4)
    assert indexer.doctor(small) == indexer.Diagnosis((), ())
    assert len(search(small, QUERY, Request(4))[0]) == 3


def test_a_damaged_file_of_regions_is_found_and_dropped_by_the_doctor(small: Path) -> None:
    (file,) = (small / "segments").glob("*.regions")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    assert "is not what was written" in indexer.doctor(small).faults[0]
    assert indexer.doctor(small, repair=True).faults == ()
    with Collection.open(small) as opened:
        assert opened.info().regions is None
    assert len(search(small, QUERY, Request(4))[0]) == 4


def test_a_dropped_segment_of_images_takes_their_regions_with_it(small: Path) -> None:
    (file,) = (small / "segments").glob("*.faiss")
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")

    indexer.doctor(small, repair=True)

    assert indexer.doctor(small).faults == ()


@pytest.mark.parametrize("cut", [b"", b"{}", b"\xff" * 400])
def test_a_file_of_something_else_is_damage_and_no_crash(small: Path, cut: bytes) -> None:
    (file,) = (small / "segments").glob("*.regions")
    data = file.read_bytes()
    file.write_bytes(cut + data[len(cut) :] if cut else data[:-1])

    with pytest.raises(CollectionDamaged, match="does not hold 2 regions of dimension 16 of 3 images"):
        search(small, QUERY, Request(4))


def test_a_region_beyond_its_image_is_damage(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "c", (["a"], unit_rows(1)))
    add_regions(path, [1], QUERY[None], np.full((1, 1, 4), 0.75, np.float32))

    with pytest.raises(CollectionDamaged, match="not a part of an image"):
        search(path, QUERY, Request(1))


def test_regions_of_what_is_no_image_are_damage(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "c", (["a"], unit_rows(1)))
    add_regions(path, [7], QUERY[None], boxes_of(1, 1))

    with pytest.raises(CollectionDamaged):
        search(path, QUERY, Request(1))
    assert "no vector in the catalogue" in indexer.doctor(path).faults[0]


@given(seed=st.integers(0, 2**16), d=st.integers(2, 64))
def test_coded_vectors_are_unit_and_near_what_they_were(seed: int, d: int) -> None:
    vectors = unit_rows(6, d, seed).reshape(2, 3, d)

    codes, scales = quantised(vectors)

    rows = decoded(codes, scales)
    assert np.abs(np.linalg.norm(rows.astype(np.float64), axis=-1) - 1).max() < 1e-6
    assert (rows * vectors).sum(-1).min() > 0.9995
    assert (scales_of(codes) == scales).all()


def test_a_file_of_regions_is_one_that_the_safetensors_library_reads(small: Path) -> None:
    from safetensors.numpy import load_file

    (file,) = (small / "segments").glob("*.regions")
    arrays = load_file(file)

    assert {name: array.shape for name, array in arrays.items()} == {
        "ids": (3,), "boxes": (3, 2, 4), "scales": (3, 2), "codes": (3, 2, 16),
    }  # fmt: skip
    facts = RegionFacts(1, 1, RULE, 3, 2, file.name, file.stat().st_size, "")
    opened = open_region_file(small, facts, 16)
    assert (opened.codes == arrays["codes"]).all()
    assert file.read_bytes().startswith(header(3, 2, 16))
