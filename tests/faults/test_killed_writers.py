"""A writer may be killed at any moment: what was committed stays, whole, and the next run goes on from there."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection

import indexer
from indexer.store.changes import Change
from indexer.store.transactions import Transactions
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.errors import CollectionNotFound
from retrieval.identity import Identity
from tests.builders import HashEncoder
from tests.faults import work
from tests.faults.killing import Step, kill_after, kill_at, run_apart, spread, steps_of
from tests.faults.states import NOTHING, State, state_of

STEPS = 10  # of each kind of work in the default run; all of them in the slow one
ALL = 10_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return work.make_corpus(tmp_path_factory.mktemp("corpus") / "pictures")


@pytest.fixture(scope="module")
def generations(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, State]:
    """Every generation that an uninterrupted run commits."""
    path = tmp_path_factory.mktemp("whole") / "collection"
    states = {0: NOTHING}
    with pytest.MonkeyPatch.context() as patch:
        commit = Writer.commit

        def commit_noted(writer: Writer, change: Change, identity: Identity) -> dict[str, int]:
            names = commit(writer, change, identity)
            state = state_of(path)
            states[state.generation] = state
            return names

        patch.setattr(Writer, "commit", commit_noted)
        work.index(corpus, path)
    assert len(states) >= 4, "too few commits to be killed between"
    return states


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection in many segments, to work on copies of."""
    path = tmp_path_factory.mktemp("whole") / "collection"
    work.index(corpus, path)
    return path


def assert_sound(collection: Path) -> None:
    try:
        diagnosis = indexer.doctor(collection)
    except CollectionNotFound:
        assert state_of(collection) == NOTHING
    else:
        assert diagnosis.faults == ()


def kill_everywhere(
    tmp_path: Path,
    count: int,
    start: Path | None,
    act: Callable[[Path], tuple[Any, ...]],
    check: Callable[..., None],
) -> None:
    """Kill some work on a fresh copy at so many steps, and check what is left each time."""

    def fresh(name: str) -> Path:
        path = tmp_path / name / "collection"
        if start is None:
            path.parent.mkdir()
        else:
            shutil.copytree(start, path)
        return path

    counted = fresh("counted")
    steps = steps_of(counted, *act(counted))
    assert len(steps) >= 7
    for step in spread(steps, count):
        path = fresh(f"{step.number}")
        kill_at(step, *act(path))
        assert_sound(path)
        check(path, step)
        shutil.rmtree(path.parent)


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_an_indexing_run_killed_at_any_step_keeps_what_it_committed_and_can_be_finished(
    tmp_path: Path, corpus: Path, generations: dict[int, State], count: int
) -> None:
    last = generations[max(generations)]

    def check(path: Path, step: Step) -> None:
        assert state_of(path) == generations[step.generation]
        run_apart(work.index, corpus, path)
        assert state_of(path).holdings == last.holdings
        assert indexer.doctor(path) == indexer.Diagnosis((), ())

    kill_everywhere(tmp_path, count, None, lambda path: (work.index, corpus, path), check)


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_compaction_killed_at_any_step_changes_no_answer_and_can_be_finished(
    tmp_path: Path, whole: Path, count: int
) -> None:
    start = tmp_path / "start" / "collection"
    shutil.copytree(whole, start)
    removed = [f"{item[1]}" for item in sorted(state_of(whole).items)[:3]]
    indexer.delete(start, removed)
    before = state_of(start)

    def check(path: Path, step: Step) -> None:
        assert state_of(path).generation == step.generation
        assert state_of(path).holdings == before.holdings
        indexer.optimize(path)
        assert state_of(path).holdings == before.holdings
        assert indexer.doctor(path) == indexer.Diagnosis((), ())

    kill_everywhere(tmp_path, count, start, lambda path: (work.optimize, path), check)


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_deletion_killed_at_any_step_has_happened_whole_or_not_at_all(
    tmp_path: Path, corpus: Path, whole: Path, count: int
) -> None:
    before = state_of(whole)
    reference = tmp_path / "reference" / "collection"
    shutil.copytree(whole, reference)
    work.delete(reference, corpus)
    after = state_of(reference)
    assert len(after.items) < len(before.items)

    def check(path: Path, step: Step) -> None:
        happened = step.generation > before.generation
        assert state_of(path).holdings == (after if happened else before).holdings
        work.delete(path, corpus)
        assert state_of(path).holdings == after.holdings
        assert indexer.doctor(path).faults == ()

    kill_everywhere(tmp_path, count, whole, lambda path: (work.delete, path, corpus), check)


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_hiding_killed_at_any_step_has_happened_whole_or_not_at_all(
    tmp_path: Path, corpus: Path, whole: Path, count: int
) -> None:
    before = state_of(whole)
    reference = tmp_path / "reference" / "collection"
    shutil.copytree(whole, reference)
    work.hide(reference, corpus)
    after = state_of(reference)
    assert len(after.hidden) == 20
    assert after.items == before.items

    def check(path: Path, step: Step) -> None:
        happened = step.generation > before.generation
        assert state_of(path).holdings == (after if happened else before).holdings
        work.hide(path, corpus)
        run_apart(work.index, corpus, path)
        assert state_of(path).holdings == after.holdings
        assert indexer.doctor(path) == indexer.Diagnosis((), ())

    kill_everywhere(tmp_path, count, whole, lambda path: (work.hide, path, corpus), check)


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_edits_by_key_killed_at_any_step_have_happened_commit_by_commit(tmp_path: Path, count: int) -> None:
    start = tmp_path / "start" / "collection"
    work.add_keyed(start)
    states = {state_of(start).generation: state_of(start)}
    reference = tmp_path / "reference" / "collection"
    shutil.copytree(start, reference)
    with noting_commits(reference, states):
        work.edit(reference)
    last = state_of(reference)
    assert (len(last.items), len(last.hidden)) == (12, 4)

    def check(path: Path, step: Step) -> None:
        assert state_of(path).holdings == states[step.generation].holdings
        work.edit(path)
        assert state_of(path).holdings == last.holdings
        assert indexer.doctor(path) == indexer.Diagnosis((), ())

    kill_everywhere(tmp_path, count, start, lambda path: (work.edit, path), check)


@contextmanager
def noting_commits(collection: Path, states: dict[int, State]) -> Iterator[None]:
    """Note the state after every commit of a writer in this process."""
    switch = Transactions.switch

    @contextmanager
    def noted(catalogue: Transactions, generation: int) -> Iterator[Connection]:
        with switch(catalogue, generation) as connection:
            yield connection
        state = state_of(collection)
        states[state.generation] = state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transactions, "switch", noted)
        yield


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_change_of_model_killed_at_any_step_leaves_the_old_vectors_or_the_new_ones(
    tmp_path: Path, whole: Path, count: int
) -> None:
    reference = tmp_path / "reference" / "collection"
    shutil.copytree(whole, reference)
    run_apart(work.reindex, reference)
    after = state_of(reference)

    def check(path: Path, step: Step) -> None:
        with Writer(path) as writer:
            bound = writer.identity
        assert bound is not None
        assert bound.name in ("hash", "other")
        assert state_of(path).items == after.items
        run_apart(work.reindex, path)
        assert state_of(path).holdings == after.holdings
        assert indexer.doctor(path) == indexer.Diagnosis((), ())

    kill_everywhere(tmp_path, count, whole, lambda path: (work.reindex, path), check)


def regions_held(collection: Path) -> tuple[int, int]:
    """Images with regions, and vectors of those."""
    with Collection.open(collection) as opened:
        info = opened.info().regions
    return (0, 0) if info is None else (info.images, info.vectors)


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_regions_that_are_killed_at_any_step_are_there_for_some_pictures_and_can_be_finished(
    tmp_path: Path, corpus: Path, whole: Path, count: int
) -> None:
    before = state_of(whole)
    reference = tmp_path / "reference" / "collection"
    shutil.copytree(whole, reference)
    run_apart(work.add_regions, corpus, reference)
    images = regions_held(reference)[0]
    assert images >= 20

    def check(path: Path, step: Step) -> None:
        assert state_of(path).holdings == before.holdings
        some = regions_held(path)
        assert some[1] == 9 * some[0]
        assert some[0] <= images
        run_apart(work.add_regions, corpus, path)
        assert regions_held(path) == (images, 9 * images)
        assert state_of(path).holdings == before.holdings
        assert indexer.doctor(path) == indexer.Diagnosis((), ())

    kill_everywhere(tmp_path, count, whole, lambda path: (work.add_regions, corpus, path), check)


@pytest.mark.parametrize("count", [STEPS, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_compaction_of_regions_killed_at_any_step_leaves_those_of_the_pictures_that_are_left(
    tmp_path: Path, corpus: Path, whole: Path, count: int
) -> None:
    start = tmp_path / "start" / "collection"
    shutil.copytree(whole, start)
    run_apart(work.add_regions, corpus, start)
    with Collection.open(start) as opened:
        gone = [item.id for item in opened.items(range(1, 200)) if item.uri.endswith(("1.png", "7.png"))]
    with Writer(start) as writer:  # which compacts nothing by itself
        writer.commit_rows(Change(removed=gone))
    before = state_of(start)
    reference = tmp_path / "reference" / "collection"
    shutil.copytree(start, reference)
    work.optimize(reference)
    left = regions_held(reference)
    assert 0 < left[0] < regions_held(start)[0]

    def check(path: Path, step: Step) -> None:
        assert state_of(path).holdings == before.holdings
        indexer.optimize(path)
        assert regions_held(path) == left
        assert indexer.doctor(path) == indexer.Diagnosis((), ())

    kill_everywhere(tmp_path, count, start, lambda path: (work.optimize, path), check)


@pytest.mark.parametrize("moments", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_an_indexing_run_killed_at_random_moments_keeps_what_it_committed(
    tmp_path: Path, corpus: Path, generations: dict[int, State], moments: int
) -> None:
    rng = np.random.default_rng(moments)
    last = generations[max(generations)]
    started = time.monotonic()
    run_apart(work.index, corpus, tmp_path / "timed")
    seconds = time.monotonic() - started  # on this machine, as busy as it is
    killed = 0
    for number in itertools.count():
        if killed == moments:
            break
        path = tmp_path / f"{number}" / "collection"
        path.parent.mkdir()

        killed += kill_after(rng.uniform(0, seconds), work.index, corpus, path)

        assert_sound(path)
        state = state_of(path)
        assert state == generations[state.generation]
        indexer.build(corpus, path, model=HashEncoder(), workers=2)
        assert state_of(path).holdings == last.holdings
