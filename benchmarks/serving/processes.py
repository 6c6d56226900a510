"""A server as its user starts it, and what its processes take: memory, descriptors and CPU time, from /proc."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Usage(NamedTuple):
    """What a process takes: bytes of memory, of which its peak, and open descriptors."""

    resident: int
    peak: int
    proportional: int
    descriptors: int


@dataclass(frozen=True)
class ServerProcess:
    """A server that answers.

    Attributes:
        pid: of the process that was started.
        address: as it printed it, without the slash at its end.
    """

    pid: int
    address: str

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.address.rpartition(":")[2])

    def tree(self) -> list[int]:
        """Give the ids of its processes, itself first."""
        parents = {}
        for entry in PROC.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        found = [self.pid]
        for parent in found:
            found += [child for child, of in parents.items() if of == parent]
        return found

    def workers(self) -> list[int]:
        """Give the ids of the processes that ``--workers`` starts."""
        found = []
        for pid in self.tree()[1:]:
            with contextlib.suppress(OSError):
                if b"spawn_main" in (PROC / str(pid) / "cmdline").read_bytes():
                    found.append(pid)
        return found


@contextmanager
def server(collection: Path, *options: str, environment: Mapping[str, str] = {}) -> Iterator[ServerProcess]:
    """Start ``vlsearch serve`` on a free port, and end it with the block."""
    command = [
        sys.executable,
        "-m",
        "retrieval.cli",
        "serve",
        str(collection),
        "--no-browser",
        "--no-log",
        "--port",
        "0",
    ]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            yield ServerProcess(process.pid, line.rpartition(" at ")[2].strip().rstrip("/"))
        finally:
            process.terminate()  # not SIGINT, which what is started in the background of a shell ignores
            process.wait(60)


def usage(pid: int) -> Usage | None:
    """Read what a process takes; None where it has ended."""
    folder = PROC / str(pid)
    with contextlib.suppress(OSError, KeyError):
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
        )
        rollup = (folder / "smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return Usage(
            _bytes(status["VmRSS"]), _bytes(status["VmHWM"]), pss * 1024, len(list((folder / "fd").iterdir()))
        )
    return None


def cpu_s(pids: Iterable[int]) -> float:
    """Give the CPU time that processes have taken, in seconds."""
    fields = [(PROC / str(pid) / "stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def _bytes(value: str) -> int:
    return int(value.split()[0]) * 1024
