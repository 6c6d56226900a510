"""Sixty mutated files of each kind, the same in every run; by the thousand: ``python -m tests.fuzz.pictures``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pictures", "raw", "jxl", "pdf", "tiff"])
def test_mutated_pictures_are_taken_or_fail_with_a_reason_and_the_counts_add_up(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.pictures", "60", "7", kind],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{kind}: 60 cases, 12 calls, 0 faults" in done.stdout
