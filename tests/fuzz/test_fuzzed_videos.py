"""Forty mutated videos; by the thousand: ``python -m tests.fuzz.videos``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")


@pytest.mark.slow
def test_mutated_videos_are_taken_or_fail_with_a_reason_and_nothing_is_encoded_again() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.videos", "40", "7"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "videos: 40 cases, 8 calls, 0 faults" in done.stdout
