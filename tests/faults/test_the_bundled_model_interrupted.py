"""With the bundled model, too, an interrupted run ends where an uninterrupted one does, bit by bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import indexer
from tests.faults import work
from tests.faults.killing import run_apart
from tests.faults.states import state_of

pytestmark = pytest.mark.slow  # torch starts in every process


def noise(folder: Path, pictures: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(8)
    for number in range(pictures):
        small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8))
        small.resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"{number:03}.jpg")
        (folder / f"{number:03}.txt").write_text(" ".join(["a picture of"] + ["noise"] * (number % 9)))
    return folder


def test_runs_killed_twice_end_with_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    corpus = noise(tmp_path / "pictures", 150)
    path, whole = tmp_path / "collection", tmp_path / "whole"

    run_apart(work.index_with_mini, corpus, path, 71, exitcode=-signal.SIGKILL)
    first = state_of(path)
    run_apart(work.index_with_mini, corpus, path, 118, exitcode=-signal.SIGKILL)
    second = state_of(path)
    run_apart(work.index_with_mini, corpus, path)
    run_apart(work.index_with_mini, corpus, whole)

    # how much the second run had committed when it was killed depends on the clock, and may be nothing
    assert 0 < len(first.items) <= len(second.items) < 300
    assert first.vectors <= second.vectors
    assert state_of(path).holdings == state_of(whole).holdings
    assert indexer.doctor(path) == indexer.Diagnosis((), ())


def test_ctrl_c_at_the_command_line_keeps_what_is_done_and_exits_with_130(tmp_path: Path) -> None:
    corpus, path = noise(tmp_path / "pictures", 400), tmp_path / "collection"
    command: list[str | Path] = [sys.executable, "-m", "retrieval.cli", "index", corpus]
    command += ["--collection", path, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("indexing"):
                break
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate()

    report = json.loads(out)
    assert process.returncode == 130
    assert "Run the same command again" in err
    assert "Traceback" not in err
    assert report["interrupted"]
    assert 0 < report["images"] < 400
    assert sum(item[2] == "image" for item in state_of(path).items) == report["images"]
