"""The fuzzing harness sees what it is there to see; in a process of its own, because it forks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness forks and reads /proc")

PROGRAM = """
import os, sys, time
from pathlib import Path
from tests.fuzz import harness

def allocate(arguments):
    print(len(bytearray(2 * 2**30)))

commands = {
    "well": lambda arguments: print("done"),
    "refused": lambda arguments: sys.exit(2),
    "traceback": lambda arguments: 1 / 0,
    "hang": lambda arguments: time.sleep(60),
    "signal": lambda arguments: os.abort(),
    "memory": allocate,
    "process": lambda arguments: os.fork() or time.sleep(60),
}
harness.adopt_orphans()
case = sys.argv[1]
outcome = harness.run(cwd=Path("/"), deadline=2, memory=2**30, command=commands[case])
print(outcome.code, *outcome.faults(), sep=",")
"""


@pytest.mark.parametrize(
    ("case", "seen"),
    [
        ("well", "0"),
        ("refused", "2"),
        ("traceback", "1,traceback"),
        ("hang", "None,hang"),
        ("signal", "None,traceback,signal SIGABRT"),
        ("memory", "1,traceback"),
        ("process", "0,process left behind"),
    ],
)
def test_what_a_command_does_wrong_is_seen(case: str, seen: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, case],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == seen
