"""A few of the mutated corpora of :mod:`tests.fuzz.corpora`, on every run of the slow tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")


@pytest.mark.slow
def test_no_mutated_corpus_brings_about_a_traceback_a_hang_or_a_wrong_count() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.corpora", "60", "0"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 cases" in done.stdout
    assert "0 faults" in done.stdout
