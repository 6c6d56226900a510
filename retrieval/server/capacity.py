"""How much is done at a time: a few threads, a bounded queue before them, a deadline for each request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

Result = TypeVar("Result")


class Overloaded(Exception):
    """So many requests wait that another one would not be answered in time."""


class Overdue(Exception):
    """A request was not answered within its deadline."""


class HungUp(Exception):
    """The client no longer waits for the answer."""


class Lane:
    """Threads that answer requests of one sort, so that thumbnails never stand in the way of searches.

    Args:
        name: of the threads.
        workers: requests at a time.
        waiting: requests that may wait.
        seconds: for a request, with the time that it waits.
    """

    def __init__(self, name: str, workers: int, waiting: int, seconds: float) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=f"vlsearch-{name}")
        self._most, self._seconds = workers + waiting, seconds
        self._inside = 0
        self._lock = threading.Lock()

    async def run(self, request: Request, call: Callable[[], Result]) -> Result:
        """Make a call in one of the threads, as :meth:`call`, and give it up when the client of a request hangs up.

        Raises:
            Overloaded: too many wait.
            Overdue: the deadline has passed.
            HungUp: the client has gone.
        """
        gone = asyncio.ensure_future(_until_hung_up(request))
        try:
            return await self.call(call, gone)
        finally:
            gone.cancel()

    async def call(self, call: Callable[[], Result], gone: asyncio.Future[None] | None = None) -> Result:
        """Make a call in one of the threads.

        A call that waits is given up when its time is over, its task is cancelled, or ``gone`` is done. One that runs
        goes on to its end, because a thread cannot be stopped, and keeps its place until then.

        Raises:
            Overloaded: too many wait.
            Overdue: the deadline has passed.
            HungUp: ``gone`` was done first.
        """
        with self._lock:
            if self._inside >= self._most:
                raise Overloaded
            self._inside += 1
        job = self._threads.submit(call)
        job.add_done_callback(lambda _: self._leave())
        answer = asyncio.wrap_future(job)
        awaited: list[asyncio.Future[Any]] = [answer] if gone is None else [answer, gone]
        try:
            done, _ = await asyncio.wait(awaited, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer in done:
                return answer.result()
            raise HungUp if done else Overdue
        finally:
            answer.cancel()

    def close(self) -> None:
        """Give up what waits; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1


async def _until_hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
