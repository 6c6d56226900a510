"""Show progress on stderr: a bar at a terminal, else a line every few seconds; nothing for short runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING

import click

from retrieval.cli.printing import one_line
from retrieval.cli.streams import shows
from retrieval.types import OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, TaskID

QUICK_SECONDS = 2.0  # shorter runs show nothing
LINE_SECONDS = 5.0  # between two plain lines
BAR_WIDTH = 60  # columns: on a narrower terminal only the counts are shown


Display = AbstractContextManager[OnProgress]


def progress_display(quiet: bool = False) -> Display:
    """Give a context manager whose value is called with the progress of a run and shows it on stderr."""
    if quiet:
        return nullcontext(ignore_progress)
    return Bar() if sys.stderr.isatty() else Lines()


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show at a terminal that something is under way, once it has taken a while."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    spinner = "dots" if shows("⠋") else "line"
    status = Console(stderr=True, highlight=False).status(what, spinner=spinner)
    timer = threading.Timer(QUICK_SECONDS, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()


class Lines:
    """Progress as plain lines, one every few seconds, none in the first seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._stage_start, self._stage_done = 0.0, 0
        self._next_line = clock() + QUICK_SECONDS

    def __enter__(self) -> OnProgress:
        return self.show

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, step: Progress) -> None:
        """Print a line if one is due."""
        now = self._clock()
        if step.stage != self._stage:
            self._stage, self._stage_start, self._stage_done = step.stage, now, step.done
        if now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            click.echo(line(step, now - self._stage_start, step.done - self._stage_done), err=True)


def line(step: Progress, seconds: float, done_meanwhile: int) -> str:
    """Format progress as a line; the rate is that of the last ``seconds``."""
    share = f"{step.done:,}" if step.total is None else f"{step.done:,} of {step.total:,}"
    words = [f"{step.stage}: {share}"]
    if seconds > 0 and done_meanwhile > 0:
        rate = done_meanwhile / seconds
        words.append(_per_second(rate))
        if step.total is not None and step.total > step.done:
            words.append(f"{duration((step.total - step.done) / rate)} left")
    if step.note:
        words.append(step.note)
    if step.failed:
        words.append(f"{step.failed:,} failed")
    return one_line(", ".join(words))


def _per_second(rate: float) -> str:
    """Three digits, or all of a larger number's."""
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"


def duration(seconds: float) -> str:
    """``0.4 s``, ``42 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Bar:
    """Progress as a bar with rate, time left and failures; it does not appear in the first seconds."""

    def __init__(self) -> None:
        from rich import progress as rich_progress
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        count = rich_progress.TextColumn("{task.fields[share]}", markup=False)
        failures = rich_progress.TextColumn("{task.fields[failures]}", style="yellow", markup=False)
        columns: list[ProgressColumn] = [count, failures]
        if console.width >= BAR_WIDTH:
            columns = [
                rich_progress.TextColumn("{task.description}", markup=False),
                rich_progress.BarColumn(),
                count,
                rich_progress.TextColumn("{task.fields[rate]}", markup=False),
                rich_progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                rich_progress.TextColumn("{task.fields[note]}", markup=False),
                failures,
            ]
        self._progress = rich_progress.Progress(*columns, console=console, transient=True)
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._stage_start, self._stage_done = 0.0, 0
        self._timer = threading.Timer(QUICK_SECONDS, self._progress.start)
        self._timer.daemon = True

    def __enter__(self) -> OnProgress:
        self._begin("starting", None)
        self._timer.start()
        return self.show

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        self._progress.stop()

    def show(self, step: Progress) -> None:
        """Record the progress; the bar is redrawn ten times a second."""
        now = time.monotonic()
        if step.stage != self._stage:
            self._begin(step.stage, step.total)
            self._stage, self._stage_start, self._stage_done = step.stage, now, step.done
        assert self._task is not None
        seconds = now - self._stage_start
        rate = (step.done - self._stage_done) / seconds if seconds > 0 else 0.0
        self._progress.update(
            self._task,
            completed=step.done,
            total=step.total,
            share=f"{step.done:,}" if step.total is None else f"{step.done:,}/{step.total:,}",
            rate=_per_second(rate) if rate else "",
            note=one_line(step.note),
            failures=f"{step.failed:,} failed" if step.failed else "",
        )

    def _begin(self, stage: str, total: int | None) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(
            one_line(stage), total=total, share="", rate="", note="", failures=""
        )
