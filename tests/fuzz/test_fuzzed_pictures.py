"""Sixty mutated pictures of every run's own; by the thousand: ``python -m tests.fuzz.pictures``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")


@pytest.mark.slow
def test_mutated_pictures_are_taken_or_fail_with_a_reason_and_the_counts_add_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.pictures", "60", "7"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "pictures: 60 cases, 12 calls, 0 faults" in done.stdout
