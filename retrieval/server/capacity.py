"""How much is done at a time: a few threads, a bounded queue before them, a deadline for each request.

Requests that wait and are alike are answered together. The first one waits for no company; those that come while it is
answered wait for its end, or until they are enough for a second thread: of eight together each takes half of the CPU
time that it takes alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from starlette.requests import Request

Asked = TypeVar("Asked")
Result = TypeVar("Result")

MOST_TOGETHER = 8
"""Requests that are answered together."""

ENOUGH = 4
"""Of those that wait while others like them are answered, for a thread of their own."""


class Overloaded(Exception):
    """So many requests wait that another one would not be answered in time."""


class Overdue(Exception):
    """A request was not answered within its deadline."""


class HungUp(Exception):
    """The client no longer waits for the answer."""


@dataclass(frozen=True, slots=True)
class Joint(Generic[Asked, Result]):
    """What may be answered together with others that wait.

    Attributes:
        like: equal where requests may be answered together.
        asked: by this request.
        answer: answers what several ask, one or more; of each the result, or the error that its request is answered
            with. What it raises is an error of all.
    """

    like: Hashable
    asked: Asked
    answer: Callable[[Sequence[Asked]], Sequence[Result | Exception]]


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
        self._waiting: dict[Hashable, deque[_Waiting]] = {}  # by what is alike in them
        self._groups: Counter[Hashable] = Counter()  # of them that have a thread, or get the next
        self._most_groups = max(1, workers - 1)  # of one sort: so others find a thread
        self._lock = threading.Lock()

    async def run(self, request: Request, call: Callable[[], Result]) -> Result:
        """Make a call in one of the threads, as :meth:`call`, and give it up when the client of a request hangs up.

        Raises:
            Overloaded: too many wait.
            Overdue: the deadline has passed.
            HungUp: the client has gone.
        """
        return await self._while_connected(request, _alone(call))

    async def run_together(self, request: Request, joint: Joint[Asked, Result]) -> Result:
        """Answer a request, as :meth:`run`, together with those that wait and are like it.

        Raises:
            Exception: what ``joint`` gives for this request, or as :meth:`run`.
        """
        return await self._while_connected(request, joint)

    async def call(self, call: Callable[[], Result]) -> Result:
        """Make a call in one of the threads.

        A call that waits is given up when its time is over, or its task is cancelled. One that runs goes on to its end,
        because a thread cannot be stopped, and keeps its place until then.

        Raises:
            Overloaded: too many wait.
            Overdue: the deadline has passed.
        """
        return await self._answered(_alone(call), None)

    async def _while_connected(self, request: Request, joint: Joint[Asked, Result]) -> Result:
        gone = asyncio.ensure_future(_until_hung_up(request))
        try:
            return await self._answered(joint, gone)
        finally:
            gone.cancel()

    async def _answered(self, joint: Joint[Asked, Result], gone: asyncio.Future[None] | None) -> Result:
        answer: asyncio.Future[Result] = asyncio.wrap_future(self._enter(joint))
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
        with self._lock:
            given_up, self._waiting = list(self._waiting.values()), {}
        for alike in given_up:
            for one in alike:
                one.answer.cancel()

    def _enter(self, joint: Joint[Any, Any]) -> Future[Any]:
        one = _Waiting(joint)
        with self._lock:
            if self._inside >= self._most:
                raise Overloaded
            self._inside += 1
            self._waiting.setdefault(joint.like, deque()).append(one)
            is_due = self._begin_group(joint.like)
        one.answer.add_done_callback(lambda _: self._leave())
        if is_due:
            self._threads.submit(self._answer_group, joint.like)
        return one.answer

    def _begin_group(self, like: Hashable) -> bool:
        """Note that a group of those that wait and are alike is to be answered now, if it is. With the lock held."""
        begun, waiting = self._groups[like], len(self._waiting.get(like, ()))
        is_due = waiting > 0 if begun == 0 else waiting >= ENOUGH and begun < self._most_groups
        if is_due:
            self._groups[like] += 1
        return is_due

    def _answer_group(self, like: Hashable) -> None:
        """Answer those that have waited longest of what is alike; none where they gave up, or went with other ones."""
        together = self._take(like)
        results = _results(together) if together else ()
        with self._lock:  # first: who has his answer finds its place free
            self._groups -= Counter([like])
            is_due = self._begin_group(like)
        for one, result in zip(together, results, strict=True):
            if isinstance(result, BaseException):
                one.answer.set_exception(result)
            else:
                one.answer.set_result(result)
        if is_due:
            self._threads.submit(self._answer_group, like)

    def _take(self, like: Hashable) -> list[_Waiting]:
        together: list[_Waiting] = []
        with self._lock:
            waiting = self._waiting.get(like, deque())
            while waiting and len(together) < MOST_TOGETHER:
                one = waiting.popleft()
                if one.answer.set_running_or_notify_cancel():
                    together.append(one)
            if not waiting:
                self._waiting.pop(like, None)
        return together

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1


def _results(together: list[_Waiting]) -> Sequence[Any]:
    """What each is answered with: a result, or the error of its own or of all."""
    try:
        found = together[0].joint.answer([one.joint.asked for one in together])
        assert len(found) == len(together), "each is answered"
    except BaseException as error:  # of whoever waits, as a future of the threads' has it
        return [error for _ in together]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    joint: Joint[Any, Any]
    answer: Future[Any] = field(default_factory=Future)


def _alone(call: Callable[[], Result]) -> Joint[None, Result]:
    return Joint(object(), None, lambda _: [call()])


async def _until_hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
