"""The tests' PostgreSQL server ends with the processes that use it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import time
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


@pytest.mark.slow
def test_a_server_ends_with_the_last_process_that_uses_it_however_that_ends() -> None:
    require_server()
    psutil: Any = importlib.import_module("psutil")
    with tempfile.TemporaryDirectory(prefix="vlsearch-", dir="/tmp") as parent:
        folder = Path(parent) / "s"
        users = [_begin_to_use(folder) for _ in range(2)]
        pids = {pid for _, pid in users}
        (postmaster,) = map(psutil.Process, pids)

        for process, _ in users:
            assert postmaster.is_running()
            process.kill()
            process.communicate()
        psutil.wait_procs([postmaster], timeout=60)

        assert not postmaster.is_running()
        end = time.monotonic() + 60
        while list(Path(parent).iterdir()) and time.monotonic() < end:
            time.sleep(0.05)
        assert list(Path(parent).iterdir()) == []


def _begin_to_use(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a process that uses a server; give it and the server's process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", _USE, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())
