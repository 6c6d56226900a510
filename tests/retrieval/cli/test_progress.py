"""Progress goes to stderr: nothing for what is quick, plain lines where there is no terminal."""

from __future__ import annotations

import pytest

from retrieval.cli.progress import Lines, duration, line, progress_display
from retrieval.types import Progress


def at(
    done: int, total: int | None = None, failed: int = 0, stage: str = "indexing", note: str = ""
) -> Progress:
    return Progress(stage, done, total, failed, note)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_how_far_how_fast_how_long_and_what_failed() -> None:
    assert line(at(500, 2000, 3), seconds=10, done_meanwhile=500) == (
        "indexing: 500 of 2,000, 50/s, 30 s left, 3 failed"
    )


def test_without_a_total_there_is_no_time_left() -> None:
    assert line(at(500), seconds=10, done_meanwhile=500) == "indexing: 500, 50/s"


def test_a_rate_has_no_exponent() -> None:
    assert line(at(136_000), seconds=10, done_meanwhile=13_600) == "indexing: 136,000, 1,360/s"
    assert line(at(5), seconds=70, done_meanwhile=5) == "indexing: 5, 0.0714/s"


def test_a_quick_run_prints_nothing_and_a_long_one_a_line_every_five_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()

    with Lines(clock) as show:
        for second in range(13):
            clock.now = 100.0 + second
            show(at(second * 10, 1000))
            if second == 1:
                assert capsys.readouterr().err == ""

    assert capsys.readouterr().err.splitlines() == [
        "indexing: 20 of 1,000, 10/s, 1 min 38 s left",
        "indexing: 70 of 1,000, 10/s, 1 min 33 s left",
        "indexing: 120 of 1,000, 10/s, 1 min 28 s left",
    ]


def test_the_rate_is_that_of_the_stage_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()

    with Lines(clock) as show:
        show(at(0, 10, stage="reading"))
        clock.now += 10
        show(at(0, 10, stage="encoding"))
        clock.now += 10
        show(at(5, 10, stage="encoding"))

    assert capsys.readouterr().err.splitlines()[-1] == "encoding: 5 of 10, 0.5/s, 10 s left"


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_display(quiet=True) as show:
        show(at(1))

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations_are_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said
