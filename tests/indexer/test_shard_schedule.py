"""Shards on machines that come and go: each is taken once, few are in flight, lost and slow ones are begun again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.shard_schedule import TRIES, State, Task, WorkerLost, run_shards
from retrieval.errors import ClusterError, CorpusFormatError

Outcome = float | Exception
"""Seconds that a task takes, or what it ends with after one second."""


@dataclass(eq=False)
class FakeTask:
    number: int
    outcome: Outcome
    ends: float
    cancelled: bool = False

    def take(self) -> Path:
        assert not self.cancelled
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return Path(f"{self.number}")

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeCluster:
    """Machines whose time passes only while somebody waits."""

    outcome: Callable[[int, int], Outcome]
    places: int = 2
    now: float = 0.0
    started: list[FakeTask] = field(default_factory=list)
    most: int = 0

    def capacity(self) -> int:
        return self.places

    def start(self, number: int) -> Task:
        attempt = sum(task.number == number for task in self.started)
        outcome = self.outcome(number, attempt)
        ends = self.now + (1.0 if isinstance(outcome, Exception) else outcome)
        task = FakeTask(number, outcome, ends)
        self.started.append(task)
        return task

    def ended(self, tasks: Sequence[Task], timeout_s: float) -> Sequence[Task]:
        self.most = max(self.most, len(tasks))
        fakes = [task for task in tasks if isinstance(task, FakeTask)]
        self.now = min(self.now + timeout_s, max(self.now, min(task.ends for task in fakes)))
        return [task for task in fakes if task.ends <= self.now]


def run(cluster: FakeCluster, count: int) -> tuple[list[int], list[State]]:
    done: list[int] = []
    states: list[State] = []
    run_shards(
        cluster,
        range(1, count + 1),
        lambda number, folder: done.append(number),
        on_state=states.append,
        clock=lambda: cluster.now,
        least_seconds=5.0,
    )
    return done, states


def test_every_shard_is_done_once_and_no_more_run_than_there_are_places() -> None:
    cluster = FakeCluster(lambda number, attempt: 3.0, places=3)

    done, states = run(cluster, 10)

    assert sorted(done) == list(range(1, 11))
    assert (cluster.most, len(cluster.started)) == (3, 10)
    assert states[-1] == State(10, 10, 0, 0)


def test_machines_that_come_later_get_work() -> None:
    cluster = FakeCluster(lambda number, attempt: 3.0, places=1)

    def more(number: int, attempt: int) -> float:
        cluster.places = 4
        return 3.0

    cluster.outcome = more
    run(cluster, 10)

    assert cluster.most == 4


def test_a_shard_whose_worker_is_lost_is_begun_again() -> None:
    cluster = FakeCluster(
        lambda number, attempt: WorkerLost("killed") if (number, attempt) == (2, 0) else 3.0
    )

    done, states = run(cluster, 4)

    assert sorted(done) == [1, 2, 3, 4]
    assert states[-1].lost == 1


def test_a_shard_that_loses_every_worker_ends_the_run_with_a_sentence_and_stops_the_others() -> None:
    cluster = FakeCluster(lambda number, attempt: WorkerLost("killed") if number == 2 else 100.0)

    with pytest.raises(ClusterError, match=f"shard 2 of 4 lost its worker {TRIES} times"):
        run(cluster, 4)

    assert [task.cancelled for task in cluster.started if task.number == 1] == [True]


def test_a_shard_that_cannot_be_indexed_ends_the_run_with_its_own_error() -> None:
    cluster = FakeCluster(lambda number, attempt: CorpusFormatError("a", "b", "c") if number == 2 else 100.0)

    with pytest.raises(CorpusFormatError):
        run(cluster, 4)


def test_a_straggler_is_begun_a_second_time_and_what_ends_first_is_taken() -> None:
    cluster = FakeCluster(lambda number, attempt: 1000.0 if (number, attempt) == (4, 0) else 3.0)

    done, _ = run(cluster, 6)

    assert sorted(done) == [1, 2, 3, 4, 5, 6]
    assert [task.cancelled for task in cluster.started if task.number == 4] == [True, False]
    assert cluster.now < 30


def test_a_shard_that_takes_no_longer_than_the_others_runs_once() -> None:
    cluster = FakeCluster(lambda number, attempt: 60.0)

    run(cluster, 6)

    assert len(cluster.started) == 6


@given(
    st.lists(st.one_of(st.floats(0.1, 200), st.just("lost")), min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(1, 5),
)
def test_whatever_is_lost_or_slow_each_shard_is_taken_once(
    drawn: list[float | str], count: int, places: int
) -> None:
    def outcome(number: int, attempt: int) -> Outcome:
        one = drawn[(number * 7 + attempt * 3) % len(drawn)]
        if isinstance(one, str):
            return WorkerLost("gone") if attempt < TRIES - 1 else 1.0
        return one

    cluster = FakeCluster(outcome, places)
    done, states = run(cluster, count)

    assert sorted(done) == list(range(1, count + 1))
    assert cluster.most <= places
    assert (states[-1].done, states[-1].running) == (count, 0)
