"""Shards as any scheduler runs them: processes that are killed and begun again, then merged, make the single run."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import indexer
from tests.faults.states import state_of
from tests.without_packages import ROOT

SHARDS = 8
KILLED = (2, 5, 7)
PATIENCE_S = 200.0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with captions, copies and broken files."""
    folder = tmp_path_factory.mktemp("corpus") / "pictures"
    rng = np.random.default_rng(8)
    for number in range(120):
        path = folder / f"{number % 7}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels if number % 11 else pixels * 0).save(path)
        path.with_suffix(".txt").write_text(f"a {('red', 'green', 'blue')[number % 3]} square")
        if number % 24 == 23:
            path.write_bytes(path.read_bytes()[:60])
    return folder


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that the test has begun, ended with it whatever happens."""
    begun: list[subprocess.Popen[bytes]] = []
    yield begun
    for process in begun:
        process.kill()
        process.wait()


def _begin(corpus: Path, number: int, shard: Path) -> subprocess.Popen[bytes]:
    words = ["index", corpus, "--shard", f"{number}/{SHARDS}", "--collection", shard]
    program = [sys.executable, "-c", "from retrieval.cli.start import main; main()"]
    command = [*program, *map(str, words), "--workers", "1", "--quiet"]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def _has_begun(shard: Path) -> bool:
    """Whether a shard knows which it is: its run holds the lock and is at its work."""
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{shard / 'catalogue.sqlite'}?mode=ro", uri=True)) as catalogue,
    ):
        return catalogue.execute("SELECT 1 FROM settings WHERE name = 'shard'").fetchone() is not None
    return False


@pytest.mark.slow
def test_eight_shards_as_processes_three_killed_and_resumed_merge_to_the_single_run(
    corpus: Path, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    shards = {number: tmp_path / f"shard-{number}" for number in range(1, SHARDS + 1)}
    single = indexer.build(corpus, tmp_path / "single", workers=1)
    assert single.failed == 5

    for number, shard in shards.items():
        process = _begin(corpus, number, shard)
        processes.append(process)
        if number in KILLED:
            end = time.monotonic() + PATIENCE_S
            while not _has_begun(shard) and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.1 * KILLED.index(number))  # at different points of their work
            process.kill()
            assert process.wait() == -signal.SIGKILL
        else:
            assert process.wait(PATIENCE_S) == 0
    for number in KILLED:
        process = _begin(corpus, number, shards[number])
        processes.append(process)
        assert process.wait(PATIENCE_S) == 0
    report = indexer.merge(list(shards.values()), tmp_path / "merged")

    assert state_of(tmp_path / "merged").holdings == state_of(tmp_path / "single").holdings
    assert (report.images, report.captions, report.failed) == (single.images, single.captions, 5)
    assert indexer.doctor(tmp_path / "merged") == indexer.Diagnosis((), ())
