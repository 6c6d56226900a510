"""Answers that take seconds to minutes: made in a thread, one at a time, and held for the clients that ask again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from retrieval.errors import VlsearchError
from retrieval.query.engine import SearchEngine
from retrieval.server.served import Served
from retrieval.types import OnProgress, Progress

log = logging.getLogger("retrieval.server")

Result = TypeVar("Result")


class _Ended(Exception):
    """The server ends, and nobody waits for the result."""


@dataclass(frozen=True, slots=True)
class Held(Generic[Result]):
    """What is known of the answer for one collection.

    Attributes:
        generation: of the collection, that ``result`` was made of.
        result: the last one; None before there is any.
        is_running: whether another one is being made.
        progress: of the one that is being made; None before it tells any.
        error: why the last attempt failed.
    """

    generation: int | None = None
    result: Result | None = None
    is_running: bool = False
    progress: Progress | None = None
    error: Exception | None = None


class Background(Generic[Result]):
    """Makes an answer for each collection in a thread.

    Args:
        name: of the threads.
        make: makes the answer.
    """

    def __init__(self, name: str, make: Callable[[SearchEngine, OnProgress], Result]) -> None:
        self._name, self._make = name, make
        self._held: dict[str, Held[Result]] = {}
        self._lock, self._one_at_a_time = threading.Lock(), threading.Lock()
        self._is_closed = False

    def ask(self, served: Served, fresh: bool = False) -> Held[Result]:
        """Give what is held for a collection, and begin to make an answer where there is none.

        Args:
            served: the collection.
            fresh: also where the one that is held is of an earlier generation.

        Raises:
            Exception: what the last attempt failed with, told once; the next call begins again.
        """
        generation = served.engine.collection.generation if fresh else None
        with self._lock:
            held = self._held.get(served.name, Held())
            if held.error is not None:
                self._held[served.name] = replace(held, error=None)
                raise held.error
            is_wanted = held.result is None or (fresh and held.generation != generation)
            if is_wanted and not held.is_running and not self._is_closed:
                held = self._held[served.name] = replace(held, is_running=True, progress=None)
                # a daemon, because some of what is called cannot be stopped, and the server has to end
                threading.Thread(
                    target=self._run, args=(served,), name=f"vlsearch-{self._name}", daemon=True
                ).start()
            return held

    def close(self) -> None:
        """Begin nothing more; what runs ends at its next sign of progress."""
        self._is_closed = True

    def _run(self, served: Served) -> None:
        with self._one_at_a_time:
            try:
                generation = served.engine.collection.generation
                result = self._make(served.engine, lambda now: self._note(served, now))
            except _Ended:
                self._change(served, Held())
            except Exception as error:  # the boundary of a thread: it is raised to whoever asks
                if not isinstance(error, VlsearchError):
                    log.exception("%s of %s failed", self._name, served.name)
                self._change(served, Held(error=error))
            else:
                self._change(served, Held(generation, result))

    def _note(self, served: Served, now: Progress) -> None:
        if self._is_closed:
            raise _Ended
        with self._lock:
            self._held[served.name] = replace(self._held[served.name], progress=now)

    def _change(self, served: Served, held: Held[Result]) -> None:
        with self._lock:
            self._held[served.name] = held


def progress_answer(progress: Progress | None) -> dict[str, object]:
    """Give the JSON of how far something is; ``total`` is null where that is not known yet."""
    return {"done": progress.done if progress else 0, "total": progress.total if progress else None}
