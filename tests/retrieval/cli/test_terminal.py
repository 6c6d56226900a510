"""At a real terminal: hits for people, a bar for what takes long."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.cli.progress import Bar, progress_display
from retrieval.cli.streams import survive_any_encoding
from retrieval.types import Progress

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this platform")


def at_a_terminal(*arguments: str | Path) -> str:
    """What a terminal of 80 columns gets from ``vlsearch`` with these arguments."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "retrieval.cli", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
        )
        os.close(theirs)
        shown = b""
        try:
            while block := screen.read(4096):
                shown += block
        except OSError:  # how Linux says that the other side has gone
            pass
        assert process.wait() == 0, shown
    return shown.decode()


def test_at_a_terminal_hits_come_with_rank_score_and_captions(collection: Path) -> None:
    shown = at_a_terminal("query", "a red square", "-k", "1")

    head, *captions = shown.splitlines()
    assert "\x1b[" in head  # colours
    assert "square" in captions[0]
    assert len(captions) == 2


def at(done: int, note: str = "") -> Progress:
    return Progress("indexing", done, 1000, 2, note)


def test_the_bar_shows_rate_time_left_and_failures_once_the_run_has_lasted_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("retrieval.cli.progress.QUICK_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")

    display = progress_display()
    assert isinstance(display, Bar)
    with display as show:
        display._timer.join()  # the bar is there now; leaving the block draws it once more
        for done in range(0, 600, 100):
            show(at(done))

    shown = capsys.readouterr().err
    assert "indexing" in shown
    assert "500/1,000" in shown
    assert "/s" in shown
    assert "2 failed" in shown


class _Screen(io.TextIOWrapper):
    """A terminal of some encoding that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "ascii", "cp1252"])
@pytest.mark.parametrize("columns", ["1", "20", "60", "100"])
def test_the_bar_shows_its_counts_at_every_width_and_in_every_encoding(
    monkeypatch: pytest.MonkeyPatch, columns: str, encoding: str
) -> None:
    screen = _Screen(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr("retrieval.cli.progress.QUICK_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    survive_any_encoding()

    with progress_display() as show:
        show(at(700, note="雪 – 😀"))
    screen.flush()

    shown = screen.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]  # a BytesIO
    if columns != "1":
        assert "700/1,000" in shown
        assert "2 failed" in shown
