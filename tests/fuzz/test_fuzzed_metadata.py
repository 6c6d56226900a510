"""Ninety mutated blocks of metadata of every run's own; by the thousand: ``python -m tests.fuzz.metadata``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")


@pytest.mark.slow
def test_pictures_with_mutated_metadata_are_all_taken_and_the_next_run_encodes_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.metadata", "90", "7"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "metadata: 90 cases, 12 calls, 0 faults" in done.stdout
