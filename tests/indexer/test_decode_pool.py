"""Decoding in threads: in order, bounded, given up after a deadline; what hung or killed a run is decoded apart."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from PIL import Image

from indexer import decoding, suspects
from indexer.decoding import DecodePool
from indexer.suspects import decode_apart
from retrieval.errors import CollectionError, ImageError
from retrieval.images import decode
from retrieval.types import Limits


def png() -> bytes:
    data = io.BytesIO()
    Image.effect_noise((40, 30), 90).convert("RGB").save(data, "PNG")
    return data.getvalue()


def pool_map(pool, function, tasks, stop=None):
    return list(pool.map(function, tasks, str, 4, stop or threading.Event()))


def test_outcomes_come_in_the_order_of_the_tasks(tmp_path):
    with DecodePool(3, Limits(), tmp_path / "journal") as pool:
        assert pool_map(pool, lambda n: n * n, range(50)) == [(n, n * n) for n in range(50)]


def test_tasks_are_drawn_only_as_far_ahead_as_the_window(tmp_path):
    drawn = []

    def tasks():
        for number in range(100):
            drawn.append(number)
            yield number

    with DecodePool(2, Limits(), tmp_path / "journal") as pool:
        for number, _ in pool.map(lambda n: n, tasks(), str, 4, threading.Event()):
            assert len(drawn) <= number + 5


def test_a_fault_of_one_task_is_its_outcome_and_a_bug_is_raised(tmp_path):
    def fail(error):
        raise error

    faults = [ImageError("bad"), OSError("gone"), MemoryError()]
    with DecodePool(2, Limits(), tmp_path / "journal") as pool:
        outcomes = [outcome for _, outcome in pool_map(pool, fail, faults)]
        assert [type(outcome) for outcome in outcomes] == [ImageError] * 3
        with pytest.raises(ZeroDivisionError):
            pool_map(pool, fail, [ZeroDivisionError()])


def test_a_task_that_hangs_is_given_up_stays_in_the_journal_and_is_a_suspect_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "START_SECONDS", 0.1)
    stuck = threading.Event()
    monkeypatch.setattr(decoding, "decode", lambda data, *_: stuck.wait(60) if data == b"hang" else data)
    with DecodePool(1, Limits(seconds=0.2), tmp_path / "journal") as pool:
        outcomes = dict(
            pool_map(pool, lambda data: pool.decode_picture(data, data.decode(), 8), [b"hang", b"a", b"b"])
        )
    assert "longer than" in str(outcomes[b"hang"])
    assert (outcomes[b"a"], outcomes[b"b"]) == (b"a", b"b")

    with DecodePool(1, Limits(), tmp_path / "journal") as pool:
        assert pool.suspects == {"hang"}
    with DecodePool(1, Limits(), tmp_path / "journal") as pool:
        assert pool.suspects == set()
    stuck.set()


def test_what_was_in_flight_when_a_run_died_is_decoded_apart(tmp_path, monkeypatch):
    journal = tmp_path / "journal"
    child = f"""
        import os, signal
        from pathlib import Path
        from indexer import decoding
        from retrieval.types import Limits

        decoding.decode = lambda data, *_: data if data == b"fine" else os.kill(os.getpid(), signal.SIGKILL)
        pool = decoding.DecodePool(1, Limits(), Path({str(journal)!r}))
        pool.decode_picture(b"fine", "file:///fine", 8)
        pool.checkpoint()
        pool.decode_picture(b"kills", "file:///a b%0A.png", 8)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(child)], check=False).returncode == -9
    apart = []
    monkeypatch.setattr(decoding, "decode_apart", lambda data, *_: apart.append(data))

    with DecodePool(1, Limits(), journal) as pool:
        pool.decode_picture(png(), "file:///fine", 8)
        pool.decode_picture(b"suspect", "file:///a b%0A.png", 8)

    assert apart == [b"suspect"]


def test_a_commit_in_between_does_not_make_a_decode_in_flight_forgotten(tmp_path, monkeypatch):
    journal = tmp_path / "journal"
    seen = []
    with DecodePool(1, Limits(), journal) as pool:

        def decode_noting(data, *_):
            pool.checkpoint()
            seen.append(journal.read_text())

        monkeypatch.setattr(decoding, "decode", decode_noting)
        pool.decode_picture(b"x", "file:///x", 8)
        pool.checkpoint()

        assert seen == ["+file%3A///x\n"]
        assert journal.read_text() == ""


def test_a_journal_that_cannot_be_written_is_a_fault_of_the_run_and_not_of_the_picture(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with DecodePool(1, Limits(), tmp_path / "journal") as pool, monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(CollectionError, match="No space left"):
            pool_map(pool, lambda name: pool.decode_picture(png(), name, 8), ["a"])


def test_once_stopped_no_more_tasks_are_begun(tmp_path):
    stop, begun = threading.Event(), []

    def work(number):
        begun.append(number)
        if number == 2:
            stop.set()

    with DecodePool(1, Limits(), tmp_path / "journal") as pool:
        pool_map(pool, work, range(100), stop)

    assert len(begun) < 10


def test_a_picture_decoded_apart_has_the_same_pixels():
    data = png()

    assert decode_apart(data, Limits(), 8).tobytes() == decode(data, Limits(), 8).tobytes()


def test_a_decoder_apart_that_fails_hangs_or_crashes_is_a_reason(monkeypatch):
    with pytest.raises(ImageError, match="not a picture"):
        decode_apart(b"words", Limits(), 8)
    with pytest.raises(ImageError, match="over the limit"):
        decode_apart(png(), Limits(pixels=100), 8)
    monkeypatch.setattr(suspects, "_CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ImageError, match="crashed"):
        decode_apart(png(), Limits(), 8)
    monkeypatch.setattr(suspects, "_CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(suspects, "START_SECONDS", 0.1)
    with pytest.raises(ImageError, match="longer than"):
        decode_apart(png(), Limits(seconds=0.1), 8)
