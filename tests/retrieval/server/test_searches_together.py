"""Requests that wait and are alike are answered together; nobody can tell by the answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.server import search_answers
from retrieval.server.capacity import ENOUGH, MOST_TOGETHER, Joint, Lane, Overdue
from tests.serving import Serving

WAIT_S = 30.0


class Recorder:
    """Answers that say what was asked together; ``held`` is answered when it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[object]] = []
        self.go_on = threading.Event()

    def answer(self, asked: Sequence[object]) -> list[object]:
        self.groups.append(list(asked))
        if "held" in asked:
            assert self.go_on.wait(WAIT_S)
        return [one if isinstance(one, Exception) else (one, len(asked)) for one in asked]

    def joint(self, like: str, asked: object) -> Joint[Any, Any]:
        return Joint(like, asked, self.answer)


def waiting_in(lane: Lane) -> int:
    return sum(map(len, [*lane._waiting.values()]))


def answered(
    asked: Sequence[tuple[str, object]], seconds: float = WAIT_S
) -> tuple[list[Any], list[list[object]]]:
    """Ask a lane whose one thread is held until all wait, or are given up after less time than this waits.

    Returns:
        What each gets, and what was answered together.
    """
    recorder = Recorder()

    async def ask() -> list[Any]:
        lane = Lane("test", 1, 100, seconds)
        lane._threads.submit(recorder.go_on.wait, WAIT_S)
        others = [asyncio.ensure_future(lane._answered(recorder.joint(*one), None)) for one in asked]
        while waiting_in(lane) < len(asked):
            await asyncio.sleep(0.001)
        if seconds < WAIT_S:
            await asyncio.wait(others)
        recorder.go_on.set()
        found = await asyncio.gather(*others, return_exceptions=True)
        while lane._inside:
            await asyncio.sleep(0.001)
        lane.close()
        return found

    return asyncio.run(ask()), recorder.groups


def test_requests_that_are_alike_are_answered_together_and_the_longest_waiting_first() -> None:
    found, groups = answered([("a", 1), ("b", 2), ("a", 3), ("b", 4), ("c", 5)])

    assert groups == [[1, 3], [2, 4], [5]]
    assert found == [(1, 2), (2, 2), (3, 2), (4, 2), (5, 1)]


def test_no_more_than_so_many_are_answered_together_and_nobody_is_passed_over() -> None:
    asked = [("a", number) for number in range(MOST_TOGETHER + 2)]

    found, groups = answered([*asked[:-1], ("b", "other"), asked[-1]])

    assert [len(group) for group in groups] == [MOST_TOGETHER, 1, 2]
    assert groups[2] == [MOST_TOGETHER, MOST_TOGETHER + 1]
    assert len(found) == MOST_TOGETHER + 3


def test_one_thread_is_left_to_what_is_not_like_the_others() -> None:
    recorder, other = Recorder(), Recorder()

    async def ask() -> tuple[list[Any], Any]:
        lane = Lane("test", 2, 10, WAIT_S)
        first = asyncio.ensure_future(lane._answered(recorder.joint("a", "held"), None))
        while not recorder.groups:
            await asyncio.sleep(0.001)
        alike = [
            asyncio.ensure_future(lane._answered(recorder.joint("a", number), None)) for number in (1, 2)
        ]
        aside = await lane._answered(other.joint("b", 3), None)
        recorder.go_on.set()
        found = await asyncio.gather(first, *alike)
        assert not lane._groups
        lane.close()
        return found, aside

    assert asyncio.run(ask()) == ([("held", 1), (1, 2), (2, 2)], (3, 1))
    assert recorder.groups == [["held"], [1, 2]]


def test_those_that_come_while_others_are_answered_get_a_thread_once_they_are_enough() -> None:
    recorder = Recorder()

    async def ask() -> list[Any]:
        lane = Lane("test", 3, 10, WAIT_S)
        first = asyncio.ensure_future(lane._answered(recorder.joint("a", "held"), None))
        while not recorder.groups:
            await asyncio.sleep(0.001)
        few = [
            asyncio.ensure_future(lane._answered(recorder.joint("a", one), None)) for one in range(ENOUGH - 1)
        ]
        while waiting_in(lane) < ENOUGH - 1:
            await asyncio.sleep(0.001)
        assert lane._groups["a"] == 1
        found = [await lane._answered(recorder.joint("a", "enough"), None), *await asyncio.gather(*few)]
        recorder.go_on.set()
        await first
        lane.close()
        return found

    assert asyncio.run(ask()) == [(one, ENOUGH) for one in ("enough", *range(ENOUGH - 1))]


def test_an_error_is_of_its_own_request_alone() -> None:
    fault = ValueError("mine")

    found, groups = answered([("a", 1), ("a", fault), ("a", 3)])

    assert groups == [[1, fault, 3]]
    assert found == [(1, 3), fault, (3, 3)]


def test_what_fails_as_a_whole_is_an_error_of_each_and_the_lane_goes_on() -> None:
    def fail(asked: Sequence[object]) -> list[object]:
        raise RuntimeError("all")

    async def ask() -> list[Any]:
        lane = Lane("test", 1, 10, WAIT_S)
        failing = [lane._answered(Joint("a", number, fail), None) for number in range(3)]
        found = await asyncio.gather(*failing, return_exceptions=True)
        after = await lane.call(lambda: "answered")
        lane.close()
        return [*map(str, found), after]

    assert asyncio.run(ask()) == ["all", "all", "all", "answered"]


def test_a_request_whose_time_is_over_is_given_up_and_not_answered_with_the_others() -> None:
    found, groups = answered([("a", 1), ("a", 2)], seconds=0.05)

    assert [type(one) for one in found] == [Overdue, Overdue]
    assert groups == []


def test_a_request_that_waits_when_the_lane_closes_is_given_up() -> None:
    go_on = threading.Event()

    async def ask() -> bool:
        lane = Lane("test", 1, 10, WAIT_S)
        running = asyncio.ensure_future(lane.call(lambda: go_on.wait(WAIT_S)))
        waiting = asyncio.ensure_future(lane.call(lambda: None))
        while waiting_in(lane) != 1:
            await asyncio.sleep(0.001)
        lane.close()
        go_on.set()
        [given_up] = await asyncio.gather(waiting, return_exceptions=True)
        await running
        return isinstance(given_up, asyncio.CancelledError)

    assert asyncio.run(ask())


@contextmanager
def held(served: Serving) -> Iterator[Lane]:
    """Keep all threads that search until the block ends."""
    lane, go_on = served.server.context.searches, threading.Event()
    for _ in range(served.server.context.settings.searching):
        lane._threads.submit(go_on.wait, WAIT_S)
    try:
        yield lane
    finally:
        go_on.set()


QUERIES = st.sampled_from(
    [
        [{"text": "red"}],
        [{"text": "caption 3"}, {"text": "caption 5", "weight": -0.5}],
        [{"item": 4}],
        [{"item": 2}, {"text": "a red caption without a ball"}],
        [{"item": 987654}],  # there is no such item
    ]
)
SEARCHES = st.fixed_dictionaries(
    {"parts": QUERIES},
    optional={
        "k": st.sampled_from([3, 5]),
        "find": st.sampled_from(["image", "text"]),
        "where": st.sampled_from(["width > 500", "year = 2021", "wdith > 3"]),  # the last names no field
        "mode": st.sampled_from(["vector", "words"]),
        "offset": st.just(2),
        "distinct": st.just(True),
    },
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(searches=st.lists(SEARCHES, min_size=2, max_size=10))
def test_searches_that_wait_are_answered_as_each_is_alone(
    served: Serving, searches: list[dict[str, Any]]
) -> None:
    alone = [served.client.post("/v1/search", json=one) for one in searches]

    with ThreadPoolExecutor(len(searches)) as clients:
        with held(served) as lane:
            asked = [clients.submit(served.client.post, "/v1/search", json=one) for one in searches]
            wait_until(lambda: waiting_in(lane) == len(searches))
        together = [one.result(WAIT_S) for one in asked]

    assert [facts(one) for one in together] == [facts(one) for one in alone]


def test_searches_of_an_address_share_a_pass_and_each_has_its_tag(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    answer = search_answers._answer

    def counted(*given: Any) -> Any:
        passes.append(len(given[1]))
        return answer(*given)

    monkeypatch.setattr(search_answers, "_answer", counted)
    paths = [f"/v1/search?k=5&text=words+{number}" for number in range(6)]
    alone = [served.client.get(path) for path in paths]
    passes.clear()

    with ThreadPoolExecutor(len(paths) + 1) as clients:
        with held(served) as lane:
            known = {"If-None-Match": alone[0].headers["etag"]}
            fresh = clients.submit(served.client.get, paths[0], headers=known)
            wait_until(lambda: waiting_in(lane) == 1)
            asked = [clients.submit(served.client.get, path) for path in paths]
            wait_until(lambda: waiting_in(lane) == len(paths) + 1)
        together = [one.result(WAIT_S) for one in asked]

    assert passes == [len(paths)]
    assert fresh.result().status_code == 304
    assert [facts(one) for one in together] == [facts(one) for one in alone]
    assert {one.headers["etag"] for one in together} == {alone[0].headers["etag"]}


def facts(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json()


def wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.001)
