"""Read and decode in parallel: in order, bounded, with deadlines, and with a memory of what killed the last run."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar
from urllib.parse import quote, unquote

from indexer.suspects import START_SECONDS, decode_apart
from retrieval.errors import CollectionError, ImageError
from retrieval.images import decode

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.types import Limits

T = TypeVar("T")
R = TypeVar("R")


class _Job(Generic[T, R]):
    """One task on its way: ``done`` is set once ``outcome`` or ``fault`` is."""

    def __init__(self, task: T, uri: str) -> None:
        self.task, self.uri = task, uri
        self.done = threading.Event()
        self.started: float | None = None
        self.outcome: R | ImageError | None = None
        self.fault: BaseException | None = None


class DecodePool:
    """Daemon threads for reading and decoding, and the journal of what they are at.

    Pictures that were in flight when the last run died are ``suspects``: they are decoded in a process of their own.
    """

    def __init__(self, workers: int, limits: Limits, journal: Path) -> None:
        self.workers, self.limits = workers, limits
        self.suspects = _unfinished(journal)
        self._path = journal
        self._in_flight: set[str] = set()
        self._lock = threading.Lock()
        self._journal: int | None = os.open(
            journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.checkpoint()  # what still hangs stays in the journal, and is decoded apart the next time
        with self._lock:
            descriptor, self._journal = self._journal, None
        if descriptor is not None:
            os.close(descriptor)

    def checkpoint(self) -> None:
        """Shorten the journal to what is in flight now."""
        with self._lock:
            if self._journal is not None:
                os.ftruncate(self._journal, 0)
                self._write("".join(f"+{quote(uri)}\n" for uri in sorted(self._in_flight)))

    def decode_picture(self, data: bytes, uri: str, short_side: int) -> Image:
        """Decode in this thread, noting it in the journal, or apart where the uri is a suspect.

        Raises:
            ImageError: with the reason.
        """
        if uri in self.suspects:
            return decode_apart(data, self.limits, short_side)
        self._begin(uri)
        try:
            return decode(data, self.limits, short_side)
        finally:
            self._end(uri)

    def map(
        self,
        function: Callable[[T], R],
        tasks: Iterable[T],
        uri_of: Callable[[T], str],
        window: int,
        stop: threading.Event,
    ) -> Iterator[tuple[T, R | ImageError]]:
        """``(task, function(task))`` in the order of the tasks, at most ``window`` of them under way.

        An ImageError, OSError or MemoryError of one task is its outcome; anything else is raised. A
        task that takes longer than the limits allow is given up: its thread is left behind and replaced. Once
        ``stop`` is set no more is given out, even in the middle of a task that takes long.
        """
        waiting: queue.SimpleQueue[_Job[T, R] | None] = queue.SimpleQueue()
        # Reading, decoding and, for a suspect, a process of its own: each within its deadline.
        allowed = 2 * self.limits.seconds + START_SECONDS
        under_way: deque[_Job[T, R]] = deque()
        over = threading.Event()
        threads = 0

        def work() -> None:
            while (job := waiting.get()) is not None and not over.is_set():
                job.started = time.monotonic()
                try:
                    job.outcome = function(job.task)
                except ImageError as error:
                    job.outcome = error
                except (OSError, MemoryError) as error:
                    job.outcome = ImageError(f"cannot be read ({error})")
                except BaseException as error:
                    job.fault = error
                job.done.set()

        def start_thread() -> None:
            threading.Thread(target=work, daemon=True, name="vlsearch-decode").start()

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
                    job: _Job[T, R] = _Job(task, uri_of(task))
                    under_way.append(job)
                    if threads < self.workers:
                        start_thread()
                        threads += 1
                    waiting.put(job)
                if not under_way or stop.is_set():
                    return
                first = under_way.popleft()
                while not first.done.wait(0.2):
                    if stop.is_set():
                        return
                    if first.started is not None and time.monotonic() - first.started > allowed:
                        first.outcome = ImageError(
                            f"took longer than {allowed:g} s to read and decode (--timeout)"
                        )
                        start_thread()  # the thread that hangs cannot be stopped, but it need not be waited for
                        break
                if first.fault is not None:
                    raise first.fault
                assert first.outcome is not None or first.done.is_set()
                yield first.task, first.outcome  # type: ignore[misc]
        finally:
            over.set()
            for _ in range(threads):
                waiting.put(None)

    def _begin(self, uri: str) -> None:
        with self._lock:
            self._in_flight.add(uri)
            self._write(f"+{quote(uri)}\n")

    def _end(self, uri: str) -> None:
        with self._lock:
            self._in_flight.discard(uri)
            self._write(f"-{quote(uri)}\n")

    def _write(self, lines: str) -> None:
        if self._journal is None:  # closed: this thread hung, and the run is over
            return
        try:
            os.write(self._journal, lines.encode())
        except OSError as error:  # a fault of the run: as an OSError it would count as the picture's
            raise CollectionError(
                f"{self._path} cannot be written ({error.strerror}); free some space and run this again"
            ) from error


def _unfinished(journal: Path) -> frozenset[str]:
    """Uris begun and not ended in the journal that a dead run left."""
    try:
        lines = journal.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    begun: set[str] = set()
    for line in lines:
        uri = unquote(line[1:])
        if line.startswith("+"):
            begun.add(uri)
        else:
            begun.discard(uri)
    return frozenset(begun)
