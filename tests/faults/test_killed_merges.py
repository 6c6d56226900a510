"""A merge may be killed at any moment: run again, it makes what it would have made, with nothing double or missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import indexer
from indexer import CorpusOptions, Shard, open_corpus
from tests.builders import HashEncoder
from tests.faults import work
from tests.faults.killing import kill_at, run_apart, spread, steps_of
from tests.faults.states import state_of

COUNT = 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return work.make_corpus(tmp_path_factory.mktemp("corpus") / "pictures", pictures=12)


def index_shard(corpus: Path, number: int, collection: Path) -> None:
    opened = open_corpus(str(corpus), CorpusOptions(shard=Shard(number, COUNT)))
    indexer.build(opened, collection, model=HashEncoder(), workers=1, pace=work.SMALL_STEPS)


def merge(shards: list[Path], collection: Path) -> None:
    indexer.merge(shards, collection, pace=work.SMALL_STEPS)


@pytest.mark.parametrize("count", [4, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_merge_killed_at_any_step_can_be_finished(tmp_path: Path, corpus: Path, count: int) -> None:
    shards = [tmp_path / f"shard-{number}" for number in range(1, COUNT + 1)]
    for number, shard in enumerate(shards, start=1):
        index_shard(corpus, number, shard)
    single = tmp_path / "single"
    work.index(corpus, single)
    counted = tmp_path / "counted" / "collection"
    counted.parent.mkdir()

    for step in spread(steps_of(counted, merge, shards, counted), count):
        merged = tmp_path / f"{step.number}" / "collection"
        merged.parent.mkdir()
        kill_at(step, merge, shards, merged)
        run_apart(merge, shards, merged)
        assert state_of(merged).holdings == state_of(single).holdings
        assert indexer.doctor(merged) == indexer.Diagnosis((), ())
        shutil.rmtree(merged.parent)


@pytest.mark.slow
def test_shards_killed_at_any_step_go_on_and_merge_to_the_single_run(tmp_path: Path, corpus: Path) -> None:
    single = tmp_path / "single"
    work.index(corpus, single)
    counted = tmp_path / "counted" / "collection"
    counted.parent.mkdir()
    steps = steps_of(counted, index_shard, corpus, 2, counted)
    others = [tmp_path / "shard-1", tmp_path / "shard-3"]
    for number, shard in zip((1, 3), others, strict=True):
        index_shard(corpus, number, shard)

    for step in spread(steps, 12):
        killed, merged = tmp_path / f"{step.number}" / "shard-2", tmp_path / f"{step.number}" / "merged"
        killed.parent.mkdir()
        kill_at(step, index_shard, corpus, 2, killed)
        run_apart(index_shard, corpus, 2, killed)
        merge([*others, killed], merged)
        assert state_of(merged).holdings == state_of(single).holdings
        shutil.rmtree(killed.parent)
