"""Index runs that clients start, one at a time, each in a process of its own that can be ended."""

from __future__ import annotations

import json
import multiprocessing
import threading
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any, Literal

from retrieval.server.index_process import IndexTask, run_index

END_S = 20.0  # that a run may take to commit what it has done
State = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class IndexRun:
    """A run as it is now.

    Attributes:
        number: counts the runs of a server, from 1.
        collection: name of the collection.
        state: ``running``, or how it ended: ``done``, ``stopped`` by a client, or ``failed``.
        corpus: uri of the one that is read.
        done: items finished of that corpus.
        total: items in all; None where that is not known.
        failed: items of it that could not be taken.
        reports: a report of each corpus that has been read, with its uri, and an error where it could not be.
        error: why the run failed.
        changes: counts what has been told; so that a reader sees that there is more.
    """

    number: int
    collection: str
    state: State = "running"
    corpus: str | None = None
    done: int = 0
    total: int | None = None
    failed: int = 0
    reports: tuple[dict[str, Any], ...] = ()
    error: str | None = None
    changes: int = 0


class RunUnderWay(Exception):
    """Another run has not ended yet."""


@dataclass
class _Running:
    process: Any
    told: Connection
    stopped: bool = False
    reader: threading.Thread = field(init=False)


class IndexRuns:
    """The last run, and the process of one that is under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: IndexRun | None = None
        self._running: _Running | None = None

    @property
    def last(self) -> IndexRun | None:
        """The run that is under way, or else the last one; None before the first."""
        return self._last

    def start(self, collection: str, task: IndexTask) -> IndexRun:
        """Start a run.

        Raises:
            RunUnderWay: another one has not ended yet.
        """
        self._wait_for_an_end()
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        with self._lock:
            if self._running is not None:
                raise RunUnderWay
            told, telling = context.Pipe(duplex=False)
            process = context.Process(
                target=run_index, args=(telling, task), name="vlsearch-index", daemon=True
            )
            process.start()
            telling.close()  # so that the end of the process is the end of what it tells
            number = 1 if self._last is None else self._last.number + 1
            self._last = run = IndexRun(number, collection)
            self._running = _Running(process, told)
            self._running.reader = threading.Thread(
                target=self._read, args=(self._running,), name="vlsearch-index-progress", daemon=True
            )
            self._running.reader.start()
        return run

    def _wait_for_an_end(self) -> None:
        """Wait for the process of a run that has told its end: whoever reads that may start another one at once."""
        with self._lock:
            ending = self._running if self._last is not None and self._last.state != "running" else None
        if ending is not None:
            ending.reader.join(END_S)

    def stop(self) -> bool:
        """Tell the run that is under way to commit what it has done, and end; whether there is one."""
        with self._lock:
            running = self._running
            if running is None:
                return False
            running.stopped = True
            running.process.terminate()
            return True

    def close(self) -> None:
        """End the run that is under way, and wait for its end."""
        with self._lock:
            running = self._running
        if running is None:
            return
        self.stop()
        running.reader.join(END_S)  # which closes the process as it ends: only the reader may wait for that
        with self._lock:
            if self._running is running:
                running.process.kill()
        running.reader.join(END_S)

    def _read(self, running: _Running) -> None:
        """Follow a run to its end."""
        while True:
            try:
                self._note(json.loads(running.told.recv_bytes()))
            except (EOFError, OSError):
                break
        running.process.join()
        with self._lock:
            run, self._running = self._last, None
            assert run is not None, "it was started"
            if run.state == "running":
                state: State = "stopped" if running.stopped else "failed"
                error = f"the run ended (exit code {running.process.exitcode}); what it committed is kept"
                self._last = replace(run, state=state, error=error if state == "failed" else None, changes=-1)
            running.told.close()
            running.process.close()

    def _note(self, facts: dict[str, Any]) -> None:
        with self._lock:
            run = self._last
            assert run is not None, "it was started"
            changed: dict[str, Any] = {"changes": run.changes + 1}
            if "corpus" in facts:
                changed |= {"corpus": facts["corpus"], "done": 0, "total": None, "failed": 0}
            if "progress" in facts:
                changed |= facts["progress"]
            if "report" in facts:
                told = {"corpus": run.corpus, "error": facts.get("error"), **(facts["report"] or {})}
                changed["reports"] = (*run.reports, told)
            if "end" in facts:
                changed |= {"state": facts["end"], "error": facts.get("error")}
            self._last = replace(run, **changed)
