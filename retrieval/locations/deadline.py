"""Work that must end in time, whatever the other side of a connection does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begin(work: Callable[[], T]) -> Future[T]:
    """Begin some work in a thread of its own, which the end of the process does not wait for."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # raised again in the thread that asks for the result
            outcome.set_exception(error)

    threading.Thread(target=run, name="vlsearch-download", daemon=True).start()
    return outcome


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do some work in a thread that is left behind at the deadline.

    A host name that is looked up for minutes, or bytes that come one at a time, pass every timeout of a client, because
    each of those counts from the last byte.

    Raises:
        TimeoutError: it has not ended.
        Exception: what the work raised.
    """
    return begin(work).result(timeout=seconds)
