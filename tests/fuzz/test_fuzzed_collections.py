"""A few mutated collections of every run of the tests; ``python -m tests.fuzz.collections 500 SEED`` tries more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own, because it forks: threads that tests before it have computed in are in no fork.
ON_A_SOUND_ONE = """
import shutil, sys
from pathlib import Path
from tests.fuzz import harness
from tests.fuzz.collections import make_template, readers, writers

harness.preload()
work = Path(sys.argv[1])
template, copy, calls = make_template(work), work / "copy" / "collection", 0
for make in (readers, writers):
    for number, _ in enumerate(make(copy, work)):
        shutil.rmtree(copy.parent, ignore_errors=True)
        shutil.copytree(template, copy)
        call = make(copy, work)[number]
        done = harness.run(*call, cwd=work)
        calls += 1
        if done.code != 0:
            print(call, done.output)
print(calls)
"""


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
    done = subprocess.run(
        [sys.executable, "-c", ON_A_SOUND_ONE, tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:-1] == []
    assert int(done.stdout.splitlines()[-1]) > 20
