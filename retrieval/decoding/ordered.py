"""Run tasks that wait for worker processes or downloads in threads: results in order, a bounded number ahead."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from retrieval.errors import ImageError

T = TypeVar("T")
R = TypeVar("R")

READ_AHEAD = 64
"""Images that a run reads ahead of the encoder; prepared ones are small, so that this bounds memory."""


class _Job(Generic[T, R]):
    """One task under way; ``done`` is set once ``outcome`` or ``fault`` is."""

    def __init__(self, task: T) -> None:
        self.task = task
        self.done = threading.Event()
        self.outcome: R | ImageError | None = None
        self.fault: BaseException | None = None


def map_in_order(
    function: Callable[[T], R],
    tasks: Iterable[T],
    threads: int,
    window: int,
    stop: threading.Event,
) -> Iterator[tuple[T, R | ImageError]]:
    """Yield ``(task, function(task))`` in the order of the tasks, at most ``window`` of them under way.

    An ImageError, OSError or MemoryError of one task is its outcome; anything else is raised. Once ``stop`` is
    set, the iterator ends without waiting for tasks that are still running. Where none is, its threads have ended with
    it: one that lived on could be the last to hold a model, and take it down while the interpreter ends, which aborts.
    """
    waiting: queue.SimpleQueue[_Job[T, R] | None] = queue.SimpleQueue()
    under_way: deque[_Job[T, R]] = deque()
    over = threading.Event()
    started: list[threading.Thread] = []

    def work() -> None:
        while (job := waiting.get()) is not None and not over.is_set():
            try:
                job.outcome = function(job.task)
            except ImageError as error:
                job.outcome = error
            except (OSError, MemoryError) as error:
                job.outcome = ImageError(f"cannot be read ({error})")
            except BaseException as error:
                job.fault = error
            job.done.set()

    iterator = iter(tasks)
    exhausted = False
    try:
        while True:
            while not exhausted and len(under_way) < window:
                try:
                    task = next(iterator)
                except StopIteration:
                    exhausted = True
                    break
                job: _Job[T, R] = _Job(task)
                under_way.append(job)
                if len(started) < threads:
                    started.append(threading.Thread(target=work, daemon=True, name="vlsearch-images"))
                    started[-1].start()
                waiting.put(job)
            if not under_way or stop.is_set():
                return
            first = under_way[0]
            while not first.done.wait(0.2):
                if stop.is_set():
                    return
            under_way.popleft()
            if first.fault is not None:
                raise first.fault
            yield first.task, first.outcome  # type: ignore[misc]
    finally:
        over.set()
        for _ in started:
            waiting.put(None)
        if not under_way:
            for thread in started:
                if thread is not threading.current_thread():  # which may be what collects a dropped iterator
                    thread.join()
