"""The tests' PostgreSQL server ends with the processes that use it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_server import require_server
from tests.without_packages import ROOT

_USE = """
import sys, time
from pathlib import Path
from tests.postgres_server import Server

print(Server(Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def users() -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that use one server, whose process id each has printed; they end with the test."""
    require_server()
    with tempfile.TemporaryDirectory(prefix="vlsearch-", dir="/tmp", ignore_cleanup_errors=True) as parent:
        command = [sys.executable, "-c", _USE, f"{parent}/s"]
        begun = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        yield begun
        for process in begun:
            process.kill()
            process.communicate()
        end = time.monotonic() + 60
        while list(Path(parent).iterdir()) and time.monotonic() < end:
            time.sleep(0.05)
        assert list(Path(parent).iterdir()) == []


@pytest.mark.slow
def test_a_server_ends_with_the_last_process_that_uses_it_however_that_ends(
    users: list[subprocess.Popen[str]],
) -> None:
    psutil: Any = importlib.import_module("psutil")
    (postmaster,) = {psutil.Process(int(process.stdout.readline())) for process in users if process.stdout}

    for process in users:
        assert postmaster.is_running()
        process.kill()
        process.wait()
    psutil.wait_procs([postmaster], timeout=60)

    assert not postmaster.is_running()
