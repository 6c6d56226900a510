"""An accelerator finds nearly all of what an exact scan finds, and nothing in its file can harm who opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection.accelerators.balance import fit_balance
from retrieval.collection.accelerators.coded_rows import CodedRows, build_coded_rows, cells_for
from retrieval.collection.accelerators.file import AcceleratorDamaged, accelerator_bytes, read_accelerator
from retrieval.collection.accelerators.inverted_file import InvertedFile, SearchParameters
from retrieval.collection.accelerators.tuning import measure, tune

ROWS, DIMENSION = 3000, 64
Rows = NDArray[np.float32]


def units(rows: NDArray[np.floating]) -> Rows:
    scaled: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def images_and_texts(images: int, texts: int, seed: int) -> tuple[Rows, Rows]:
    """Two cones with a gap between them; much of a text lies where images hardly vary, as in models like CLIP."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, DIMENSION + 1) ** -0.8
    centres = rng.standard_normal((40, DIMENSION)) * spectrum
    topics = rng.integers(0, 40, images + texts)
    latent = centres[topics] + 0.6 * spectrum * rng.standard_normal((images + texts, DIMENSION))
    turned = latent[images:] + 0.1 * rng.standard_normal((texts, DIMENSION))
    axes = np.eye(DIMENSION)[:2] * 2
    return units(latent[:images] + axes[0]), units(turned + axes[1])


def exact_best(images: Rows, queries: Rows, ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [ids[np.argsort(-(images @ query), kind="stable")[:10]] for query in queries]


def in_blocks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), 700):
        yield rows[start : start + 700]


@pytest.fixture(scope="module")
def images() -> Rows:
    return images_and_texts(ROWS, 600, 0)[0]


@pytest.fixture(scope="module")
def texts() -> Rows:
    return images_and_texts(ROWS, 600, 0)[1]


@pytest.fixture(scope="module")
def ids() -> NDArray[np.int64]:
    return np.arange(ROWS, dtype=np.int64) * 3 + 7


@pytest.fixture(scope="module")
def coded(images: Rows, texts: Rows, ids: NDArray[np.int64]) -> CodedRows:
    return build_coded_rows(lambda: in_blocks(images), ids, texts[:300])


def test_balancing_changes_inner_products_by_a_constant_of_the_query_alone(images: Rows, texts: Rows) -> None:
    balance = fit_balance(images, texts, DIMENSION)

    mapped = balance.map_queries(texts[:20]) @ balance.map_stored(images).T

    plain = texts[:20] @ images.T
    np.testing.assert_allclose(mapped - plain, (mapped - plain)[:, :1].repeat(ROWS, 1), atol=2e-4)


def test_balanced_sides_have_the_same_second_moments_up_to_a_factor(images: Rows, texts: Rows) -> None:
    balance = fit_balance(images, texts, DIMENSION)
    stored, asked = balance.map_stored(images), balance.map_queries(texts)

    one, other = stored.T @ stored / len(stored), asked.T @ asked / len(asked)

    alike = np.sum(one * other) / np.linalg.norm(one) / np.linalg.norm(other)
    before = np.cov(images.T), texts.T @ texts / len(texts)
    assert alike > 0.9 > np.sum(before[0] * before[1]) / np.linalg.norm(before[0]) / np.linalg.norm(before[1])


def test_every_vector_is_coded_once(coded: CodedRows, ids: NDArray[np.int64]) -> None:
    assert sorted(coded.ids.tolist()) == ids.tolist()
    assert int(coded.sizes.sum()) == coded.rows == len(coded.codes) == ROWS


def test_visiting_every_cell_and_scoring_a_third_finds_the_best(
    coded: CodedRows, images: Rows, texts: Rows, ids: NDArray[np.int64]
) -> None:
    inverted = InvertedFile(coded)
    parameters = SearchParameters(inverted.cells, ROWS // 3, 0.3)

    assert measure(inverted, texts[:50], exact_best(images, texts[:50], ids), parameters).recall > 0.99


def test_a_tuned_parameters_holds_its_recall_on_queries_that_it_was_not_tuned_on(
    coded: CodedRows, images: Rows, texts: Rows, ids: NDArray[np.int64]
) -> None:
    inverted = InvertedFile(coded)

    tuned = tune(inverted, texts[300:450], exact_best(images, texts[300:450], ids), 0.95)

    assert tuned is not None
    assert tuned.recall > 0.95 + tuned.error
    assert tuned.parameters.cells < inverted.cells / 2
    held_out = measure(inverted, texts[450:], exact_best(images, texts[450:], ids), tuned.parameters)
    assert held_out.recall >= 0.9


def test_a_target_that_no_parameters_reaches_is_no_accelerator(
    coded: CodedRows, texts: Rows, ids: NDArray[np.int64]
) -> None:
    absent = [ids[:10] + 1 for _ in range(5)]

    assert tune(InvertedFile(coded), texts[:5], absent, 0.5) is None


def test_the_same_vectors_are_coded_the_same_whatever_the_blocks(images: Rows, texts: Rows) -> None:
    some, numbers = images[:1000], np.arange(1000, dtype=np.int64)

    one = build_coded_rows(lambda: in_blocks(some), numbers, texts)
    other = build_coded_rows(lambda: [some], numbers, texts)

    assert one.sizes.tolist() == other.sizes.tolist()
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_allclose(one.means, other.means, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "cells"), [(1, 1), (40, 2), (100_000, 1024), (1_000_000, 4096), (10_000_000, 8192)]
)
def test_cells_grow_with_the_root_of_the_rows(rows: int, cells: int) -> None:
    assert cells_for(rows) == cells


@pytest.fixture(scope="module")
def written(coded: CodedRows) -> bytes:
    return b"".join(bytes(piece) for piece in accelerator_bytes(coded))


def test_a_file_gives_back_what_was_written(
    tmp_path: Path, written: bytes, coded: CodedRows, texts: Rows
) -> None:
    (tmp_path / "file").write_bytes(written)

    read, made = InvertedFile(read_accelerator(tmp_path / "file", ROWS)), InvertedFile(coded)

    parameters, some = SearchParameters(5, 100, 0.3), np.sort(coded.ids)[::3]
    for query in texts[:20]:
        np.testing.assert_array_equal(read.propose(query, parameters), made.propose(query, parameters))
        np.testing.assert_array_equal(
            read.propose_some(query, parameters, read.select(some)).ids,
            made.propose_some(query, parameters, made.select(some)).ids,
        )


def test_a_file_of_another_number_of_vectors_is_refused(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "file").write_bytes(written)

    with pytest.raises(AcceleratorDamaged, match="3001 vectors"):
        read_accelerator(tmp_path / "file", ROWS + 1)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, written: bytes) -> None:
    for size in (0, 7, 8, 100, len(written) // 2, len(written) - 1):
        (tmp_path / "file").write_bytes(written[:size])
        with pytest.raises(AcceleratorDamaged):
            read_accelerator(tmp_path / "file", ROWS)


@given(
    changes=st.lists(
        st.tuples(st.booleans(), st.integers(0, 2**32), st.integers(0, 255)), min_size=1, max_size=4
    )
)
def test_a_changed_file_is_refused_or_searched_without_harm(
    tmp_path_factory: pytest.TempPathFactory,
    written: bytes,
    texts: Rows,
    changes: list[tuple[bool, int, int]],
) -> None:
    header = 8 + int.from_bytes(written[:8], "little")
    changed = bytearray(written)
    for in_header, place, value in changes:
        changed[place % header if in_header else header + place % (len(written) - header)] = value
    path = tmp_path_factory.mktemp("changed") / "file"
    path.write_bytes(changed)

    try:
        coded = read_accelerator(path, ROWS)
    except AcceleratorDamaged:
        return
    inverted, parameters = InvertedFile(coded), SearchParameters(5, 100, 0.3)
    inverted.propose(texts[0], parameters)
    inverted.propose_some(texts[0], parameters, inverted.select(np.arange(0, ROWS, 3)))
