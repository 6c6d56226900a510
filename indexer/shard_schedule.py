"""Which shard runs when, on machines that come and go: bounded work in flight, lost workers, stragglers.

Knows no cluster: :class:`Cluster` is the seam, which :mod:`indexer.ray_cluster` fills with Ray. A shard may run twice
at once; what both make is equal, and only what ends first is taken.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from retrieval.errors import ClusterError

TRIES = 4  # of a shard whose worker was lost; a picture that kills its worker process costs no shard
STRAGGLER = (
    2.0  # times the median of the shards that are done, after which a second worker begins the same one
)
LEAST_DONE = 3  # shards, before any counts as a straggler
LEAST_SECONDS = 60.0  # that a shard may take before it counts as a straggler
_POLL_S = 1.0


class WorkerLost(Exception):
    """The worker of a task has ended, or its machine has; the task may be run again."""


class Task(Protocol):
    """A shard that a worker indexes."""

    @property
    def number(self) -> int:
        """Of the shard, from 1."""
        ...

    def take(self) -> Path:
        """Give the folder of the finished shard, on this machine.

        Raises:
            WorkerLost: the worker has ended; the task is to be run again.
            VlsearchError: the run over the shard failed.
        """
        ...

    def cancel(self) -> None:
        """Stop it, in whatever state it is; never fails."""
        ...


class Cluster(Protocol):
    """Where shards are indexed."""

    def capacity(self) -> int:
        """How many tasks run at once now, >= 1; machines may come and go."""
        ...

    def start(self, number: int) -> Task:
        """Start to index a shard, beside another task of the same one or not."""
        ...

    def ended(self, tasks: Sequence[Task], timeout_s: float) -> Sequence[Task]:
        """Wait until one of the tasks has ended, well or not, or the time is over; give those that have."""
        ...


@dataclass(frozen=True, slots=True)
class State:
    """How far a schedule is: shards done, in all and running, and workers that were lost so far."""

    done: int
    total: int
    running: int
    lost: int


@dataclass(slots=True)
class _Running:
    task: Task
    since: float


def run_shards(
    cluster: Cluster,
    numbers: Iterable[int],
    on_done: Callable[[int, Path], None],
    *,
    on_state: Callable[[State], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    least_seconds: float = LEAST_SECONDS,
) -> None:
    """Index shards on a cluster, each to its end once.

    No more are started than run at once. A shard whose worker is lost is started again, up to four times. While no
    other waits, one that takes twice as long as the median of the others is started a second time beside itself.

    Args:
        cluster: where they run.
        numbers: of the shards, each once.
        on_done: called with number and folder of each shard, once a shard.
        on_state: called whenever something has changed.
        clock: seconds, for tests.
        least_seconds: that a shard may take before it counts as a straggler.

    Raises:
        ClusterError: a shard's workers were lost too often.
        VlsearchError: a shard cannot be indexed; the others are stopped.
    """
    _Schedule(cluster, deque(numbers), on_done, on_state, clock, least_seconds).run()


class _Schedule:
    def __init__(
        self,
        cluster: Cluster,
        waiting: deque[int],
        on_done: Callable[[int, Path], None],
        on_state: Callable[[State], None] | None,
        clock: Callable[[], float],
        least_seconds: float,
    ) -> None:
        self._cluster, self._waiting, self._on_done, self._on_state = cluster, waiting, on_done, on_state
        self._clock, self._least_seconds = clock, least_seconds
        self._total, self._done, self._lost = len(waiting), set[int](), 0
        self._running: list[_Running] = []
        self._losses: dict[int, int] = {}
        self._seconds: list[float] = []

    def run(self) -> None:
        try:
            while len(self._done) < self._total:
                self._start_more()
                self._tell()
                ended = self._cluster.ended([one.task for one in self._running], _POLL_S)
                for task in ended:
                    self._end(task)
        finally:
            for one in self._running:
                one.task.cancel()
        self._tell()

    def _start_more(self) -> None:
        capacity = self._cluster.capacity()
        while self._waiting and len(self._running) < capacity:
            self._start(self._waiting.popleft())
        if not self._waiting:
            for number in self._stragglers()[: max(0, capacity - len(self._running))]:
                self._start(number)

    def _start(self, number: int) -> None:
        self._running.append(_Running(self._cluster.start(number), self._clock()))

    def _stragglers(self) -> list[int]:
        """Give the shards that run once and take long beside those that are done, the longest first."""
        if len(self._seconds) < LEAST_DONE:
            return []
        limit = max(self._least_seconds, STRAGGLER * statistics.median(self._seconds))
        numbers = [one.task.number for one in self._running]
        slow = [one for one in self._running if self._clock() - one.since > limit]
        return [one.task.number for one in slow if numbers.count(one.task.number) == 1]

    def _end(self, task: Task) -> None:
        one = next((one for one in self._running if one.task is task), None)
        if one is None:
            return  # the other attempt has ended before it, and it was cancelled
        self._running.remove(one)
        try:
            folder = task.take()
        except WorkerLost as error:
            self._retry(task.number, error)
            return
        self._seconds.append(self._clock() - one.since)
        self._done.add(task.number)
        self._on_done(task.number, folder)
        for other in [other for other in self._running if other.task.number == task.number]:
            self._running.remove(other)
            other.task.cancel()

    def _retry(self, number: int, error: WorkerLost) -> None:
        self._lost += 1
        self._losses[number] = self._losses.get(number, 0) + 1
        if any(one.task.number == number for one in self._running):
            return  # the other attempt goes on
        if self._losses[number] >= TRIES:
            raise ClusterError(
                f"shard {number} of {self._total} lost its worker {TRIES} times ({error}); look at the cluster's logs, "
                "and run this again: the shards that are done are kept"
            ) from error
        self._waiting.appendleft(number)

    def _tell(self) -> None:
        if self._on_state is not None:
            self._on_state(State(len(self._done), self._total, len(self._running), self._lost))
