"""A few worker processes that images are decoded and prepared in, within one budget of memory and in time."""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrieval.closing import Closing
from retrieval.decoding.budget import PROCESS_BYTES, default_budget, divide
from retrieval.decoding.fetched_inputs import FetchedInputs
from retrieval.decoding.frames import LIST_PARTS, PAGE_TEXT, Reply, Request, Status
from retrieval.decoding.object_sidecars import sidecars_as_files
from retrieval.decoding.preparations import Preparation, to_json
from retrieval.decoding.prepare import PageText, PreparedImage
from retrieval.decoding.process import ProcessEnded, WorkerProcess
from retrieval.errors import ImageError, ImageGivenUp, ImageTooLarge, ImageUnreadable, VlsearchError
from retrieval.file_kinds import is_part_of
from retrieval.metadata.attributes import checked
from retrieval.texts import is_unicode, normalise_text
from retrieval.types import FileBytes, Limits, Location, PartBytes, WholeFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.metadata.sidecars import Described
    from retrieval.types import Attribute

# The model is loaded meanwhile, and more processes come when there is work for them: one picture needs no second.
_STARTED_EARLY = 1
_DEADLINE_CHECK_S = 0.1

MOST_PAGE_TEXT = 10_000  # characters, of the text of a page


class DecodePool(Closing):
    """Worker processes, started when they are needed; close it, or use it in a ``with`` statement.

    Any number of threads may ask it; so many images are under way as there are workers. A worker that crashes, is
    killed or exceeds a limit costs the image that it was at, and is replaced.

    Attributes:
        limits: what is accepted of an image.
        workers: how many work at a time: one a core, or what the memory allows.
    """

    def __init__(self, limits: Limits, workers: int | None = None) -> None:
        self.limits = limits
        self._division = divide(limits.memory or default_budget(), workers or max(2, os.cpu_count() or 1))
        self.workers = self._division.workers
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._changed = threading.Condition()
        self._running = 0
        self._waiting_alone = 0
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None
        self._inputs = FetchedInputs(limits)
        self._finalizer = weakref.finalize(self, _kill_all, self._all)

    def start(self) -> None:
        """Begin to start workers, and return at once: they come up while a model is loaded."""
        for _ in range(min(self.workers, _STARTED_EARLY) - len(self._all)):
            process = self._new()
            with self._changed:
                self._idle.append(process)

    def end_idle(self) -> None:
        """End the workers that have nothing to do, and give back their memory; others start where they are needed."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._all.difference_update(idle)
        for process in idle:
            process.close()

    def close(self) -> None:
        """End all workers; what is under way becomes an ImageError."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
            idle, self._idle = self._idle, []
        self._finalizer()
        for process in idle:
            process.close()
        self._inputs.close()

    def prepare(
        self,
        location: Location,
        preparation: Preparation,
        is_wanted: Callable[[bytes], bool] | None = None,
        described: Described | None = None,
    ) -> PreparedImage:
        """Read, decode and prepare one image in a worker; URLs, objects and tables are read in this thread.

        Args:
            location: where its bytes are.
            preparation: what it becomes.
            is_wanted: asked with the digest of the bytes, before they are decoded.
            described: read the image's metadata too.

        Raises:
            ImageUnreadable: the bytes cannot be read from where they are.
            ImageTooLarge: it takes more memory than the budget has.
            ImageGivenUp: its time was over, or its worker crashed or was killed.
            ImageError: otherwise, with the reason.
            VlsearchError: no worker can be started.
        """
        with self._inputs.at_hand(location) as at_hand, sidecars_as_files(described, self.limits) as files:
            reply, array = self._decode(at_hand, to_json(preparation), is_wanted, files)
        return _outcome(reply, array)

    def list_parts(self, location: WholeFile, frames_per_minute: float | None = None) -> list[str]:
        """List the pictures in a file by what names them behind ``#``, in a worker; the file alone names the empty one.

        Args:
            location: of the file, of the archive's member, or of the object.
            frames_per_minute: pictures of a video, at most; None for the usual number.

        Raises:
            ImageUnreadable, ImageTooLarge, ImageGivenUp, ImageError, VlsearchError: as :meth:`prepare`.
        """
        wanted = LIST_PARTS if frames_per_minute is None else f"{LIST_PARTS} {frames_per_minute!r}"
        file: Location = location
        if isinstance(location, FileBytes):
            file, name = PartBytes(location.path, ""), location.path.name
        else:
            name = location.name
        with self._inputs.at_hand(file) as at_hand:
            prepared = _outcome(*self._decode(at_hand, wanted, None, None))
        return _names(name, prepared.array)

    def _decode(
        self,
        location: Location,
        rule: str,
        is_wanted: Callable[[bytes], bool] | None,
        described: Described | None,
    ) -> tuple[Reply, NDArray[np.uint8] | None]:
        """Ask a worker, and where an image takes more than its share, one that works alone."""
        share = self._division.share
        request = Request(
            location, rule, self.limits, share, share - PROCESS_BYTES, is_wanted is not None, described
        )
        with self._place(alone=False):
            reply, array = self._ask(request, is_wanted)
        if reply.status is Status.TOO_LARGE:
            alone = self._division.alone
            if max(reply.needed, share) > alone - PROCESS_BYTES or alone <= share:
                raise ImageTooLarge(reply.needed or None)
            request = Request(location, rule, self.limits, alone, alone - PROCESS_BYTES, False, described)
            with self._place(alone=True):
                reply, array = self._ask(request, None, alone=True)
        return reply, array

    def _ask(
        self, request: Request, is_wanted: Callable[[bytes], bool] | None, alone: bool = False
    ) -> tuple[Reply, NDArray[np.uint8] | None]:
        """Ask a worker, and another one if the first ended before it had read the bytes."""
        for attempt in range(2):
            process = self._take()
            kept = False
            try:
                process.wait_until_ready()
                answer = process.ask(request, is_wanted)
                kept = not alone
                return answer
            except ProcessEnded as error:
                if self._closed.is_set():
                    raise ImageError("decoding was stopped") from error
                if not error.before_decoding or attempt:
                    raise ImageGivenUp(error.reason) from error
            except VlsearchError as error:
                if self._closed.is_set():
                    raise ImageError("decoding was stopped") from error
                if attempt:  # one that was killed while it came up says nothing of the next
                    raise
            finally:
                self._give_back(process, kept)
        raise AssertionError("both attempts return or raise")

    @contextmanager
    def _place(self, alone: bool) -> Iterator[None]:
        """Wait for a worker's share of the memory, or for all of it."""
        with self._changed:
            self._waiting_alone += alone
            try:
                while not self._closed.is_set() and not self._has_place(alone):
                    self._changed.wait()
            finally:
                self._waiting_alone -= alone
            if self._closed.is_set():
                raise ImageError("decoding was stopped")
            self._running += self.workers if alone else 1
            others = list(self._idle) if alone else []
        if alone:
            self._shrink(others)
        try:
            yield
        finally:
            with self._changed:
                self._running -= self.workers if alone else 1
                self._changed.notify_all()

    def _has_place(self, alone: bool) -> bool:
        if alone:
            return self._running == 0
        return self._running < self.workers and not self._waiting_alone

    def _shrink(self, idle: list[WorkerProcess]) -> None:
        """End idle workers that keep more memory than they need for themselves."""
        for process in idle:
            if process.resident_bytes() > PROCESS_BYTES:
                with self._changed:
                    if process not in self._idle:
                        continue
                    self._idle.remove(process)
                self._give_back(process, kept=False)

    def _take(self) -> WorkerProcess:
        with self._changed:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    return process
                self._all.discard(process)
                process.close()
        return self._new()

    def _new(self) -> WorkerProcess:
        process = WorkerProcess()
        with self._changed:
            self._all.add(process)
            if self._closed.is_set():
                process.kill()
            if self._watcher is None:
                self._watcher = threading.Thread(
                    target=_kill_overdue, args=(self._all, self._changed, self._closed), daemon=True
                )
                self._watcher.start()
        return process

    def _give_back(self, process: WorkerProcess, kept: bool) -> None:
        with self._changed:
            if kept and not self._closed.is_set():
                self._idle.append(process)
                return
            self._all.discard(process)
        process.close()


def _outcome(reply: Reply, array: NDArray[np.uint8] | None) -> PreparedImage:
    match reply.status:
        case Status.DONE:
            metadata, text = _metadata(reply)
            return PreparedImage(reply.digest, array, reply.width, reply.height, metadata, text)
        case Status.DIGEST:
            metadata, text = _metadata(reply)
            return PreparedImage(reply.digest, metadata=metadata, page_text=text)
        case Status.UNREADABLE:
            raise ImageUnreadable(reply.reason)
        case Status.TOO_LARGE:
            raise ImageTooLarge(reply.needed or None)
    raise ImageError(reply.reason)


def _metadata(reply: Reply) -> tuple[dict[str, Attribute] | None, PageText | None]:
    """Give the attributes and the text that a worker has read, checked: hostile bytes may have made it say anything."""
    if not reply.metadata:
        return None, None
    try:
        said = json.loads(reply.metadata)
    except (ValueError, RecursionError):
        return {}, None
    return checked(said), _page_text(said.get(PAGE_TEXT)) if isinstance(said, dict) else None


def _page_text(said: object) -> PageText | None:
    match said:
        case [str(text), str(maker)] if is_unicode(text) and is_unicode(maker):
            kept = "".join(one for one in text if one.isprintable() or one in "\n\t")
            return PageText(normalise_text(kept[:MOST_PAGE_TEXT]), maker[:100])
    return None


def _names(file: str, listed: NDArray[np.uint8] | None) -> list[str]:
    """Give the names of a file's pictures that a worker has listed, each once and well formed."""
    try:
        said = json.loads(listed.tobytes()) if listed is not None else None
    except (ValueError, RecursionError):
        said = None
    names = said if isinstance(said, list) else []
    found = [name for name in names if isinstance(name, str) and (not name or is_part_of(file, name))]
    if not found or len(found) != len(names):
        raise ImageError("the list of its pictures cannot be read")
    return list(dict.fromkeys(found))


def _kill_overdue(
    processes: set[WorkerProcess], changed: threading.Condition, closed: threading.Event
) -> None:
    """Kill processes that are over time, until the pool is closed.

    Holds no reference to the pool, so that the garbage collector can end it.
    """
    while not closed.wait(_DEADLINE_CHECK_S):
        with changed:
            current = list(processes)
        now = time.monotonic()
        for process in current:
            process.kill_if_overdue(now)


def _kill_all(processes: set[WorkerProcess]) -> None:
    for process in list(processes):
        process.kill()
