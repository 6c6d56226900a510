"""Tasks in threads: outcomes in order, a bounded number under way, and a fault of one is that one's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.decoding.ordered import map_in_order
from retrieval.errors import ImageError

NEVER = threading.Event()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), max_size=25), st.integers(1, 4), st.integers(1, 8))
def test_outcomes_come_in_the_order_of_the_tasks_whatever_takes_longer(
    waits: list[int], threads: int, window: int
) -> None:
    def slow(wait: int) -> int:
        time.sleep(wait / 2000)
        return wait * 10

    found = list(map_in_order(slow, waits, threads, window, NEVER))

    assert found == [(wait, wait * 10) for wait in waits]


@settings(max_examples=30)
@given(st.integers(0, 30), st.integers(1, 4), st.integers(1, 8))
def test_no_more_tasks_are_taken_than_the_window_allows(count: int, threads: int, window: int) -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in range(count):
            taken += 1
            yield number

    for done, _ in enumerate(map_in_order(lambda number: number, tasks(), threads, window, NEVER), 1):
        assert taken <= done - 1 + window


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["fine", "image", "os", "memory"]), max_size=15), st.integers(1, 3))
def test_a_task_that_fails_has_its_reason_and_the_others_their_outcomes(
    kinds: list[str], threads: int
) -> None:
    def work(kind: str) -> str:
        match kind:
            case "image":
                raise ImageError("is damaged")
            case "os":
                raise OSError("no such drive")
            case "memory":
                raise MemoryError("too much")
        return kind

    found = [outcome for _, outcome in map_in_order(work, kinds, threads, 4, NEVER)]

    for kind, outcome in zip(kinds, found, strict=True):
        if kind == "fine":
            assert outcome == "fine"
        else:
            assert isinstance(outcome, ImageError)
            assert ("cannot be read" in str(outcome)) == (kind != "image")


def test_a_bug_is_raised_after_the_outcomes_before_it() -> None:
    def work(number: int) -> int:
        return 1 // (number - 2)

    iterator = map_in_order(work, range(5), 2, 3, NEVER)

    assert [next(iterator)[0], next(iterator)[0]] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(iterator)


def test_a_fault_of_what_gives_the_tasks_is_raised_and_ends_the_threads() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise ValueError("the corpus is cut short")

    before = threading.active_count()
    with pytest.raises(ValueError, match="cut short"):
        list(map_in_order(lambda number: number, tasks(), 2, 4, NEVER))

    wait_for_threads(before)


def test_once_it_is_to_stop_nothing_more_is_waited_for() -> None:
    stop, held = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            stop.set()
            held.wait(30)
        return number

    found = list(map_in_order(work, range(9), 2, 4, stop))
    held.set()

    assert found in ([], [(0, 0)])


def test_its_threads_have_ended_when_all_tasks_are_done() -> None:
    before = set(threading.enumerate())

    for _ in range(100):
        assert len(list(map_in_order(lambda number: number, range(5), 3, 4, NEVER))) == 5
        assert set(threading.enumerate()) <= before


def test_no_thread_is_left_when_an_iterator_is_dropped_on_the_way() -> None:
    before = threading.active_count()
    iterator = map_in_order(lambda number: number, range(100), 4, 8, NEVER)
    next(iterator)

    iterator.close()  # type: ignore[attr-defined]  # a generator

    wait_for_threads(before)


def test_no_thread_is_started_where_there_is_nothing_to_do() -> None:
    before = threading.active_count()

    assert list(map_in_order(lambda number: number, [], 4, 8, NEVER)) == []
    assert threading.active_count() == before


def wait_for_threads(count: int) -> None:
    for _ in range(500):
        if threading.active_count() <= count:
            return
        time.sleep(0.01)
    pytest.fail("threads are left")
