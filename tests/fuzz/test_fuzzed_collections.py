"""A few mutated collections of every run of the tests; ``python -m tests.fuzz.collections 500 SEED`` tries more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import harness
from tests.fuzz.collections import make_template, readers, writers


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
    assert done.stdout.startswith("collections: 25 cases, 150 calls, 0 faults")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")
def test_every_command_that_mutated_collections_are_given_succeeds_on_a_sound_one(tmp_path: Path) -> None:
    template, copy = make_template(tmp_path), tmp_path / "copy" / "collection"
    faults = {}

    for make in (readers, writers):
        for number, _ in enumerate(make(copy, tmp_path)):
            shutil.rmtree(copy.parent, ignore_errors=True)
            shutil.copytree(template, copy)
            done = harness.run(*make(copy, tmp_path)[number], cwd=tmp_path)
            if done.code != 0:
                faults[str(make(copy, tmp_path)[number])] = done.output

    assert faults == {}
