"""A few mutated collections of every run of the tests; ``python -m tests.fuzz.collections 500 SEED`` tries more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")
def test_mutated_collections_bring_about_nothing_but_sentences() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.collections", "25", "7"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("collections: 25 cases, 125 calls, 0 faults")
