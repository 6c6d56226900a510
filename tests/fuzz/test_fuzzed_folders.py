"""A few mutated model folders and import folders of every run's own; by the hundred: ``python -m tests.fuzz.NAME``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("models", 12), ("exchange", 12)])
def test_mutated_folders_end_in_sentences_and_leave_sound_collections(name: str, count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{name}", f"{count}", "7"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{name}: {count} cases" in done.stdout
    assert "0 faults" in done.stdout
