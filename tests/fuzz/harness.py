"""The real command line on hostile input, affordable by the hundred: every call in a freshly forked child.

The parent imports what commands need and computes nothing, so that a child starts in milliseconds and with no
threads. A child has a deadline and a limit on its address space, and is a session of its own; whatever it leaves
behind is adopted by the parent (a subreaper), reported and killed. At its end a child runs what was registered for
the interpreter's exit, by the parent too: a TemporaryDirectory of the parent's would go with its first child. Linux
only.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import functools
import hashlib
import importlib
import os
import re
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEADLINE_S = 60.0
MEMORY_BYTES = 4 * 2**30
GRACE_S = 3.0  # for processes that end by themselves once their parent has
_PR_SET_CHILD_SUBREAPER = 36
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|Fatal Python error|Exception ignored in")
PRELOADED = (
    "PIL.Image",
    "faiss",
    "httpx",
    "indexer.building",
    "indexer.store.diagnosis",
    "indexer.exchange.exporting",
    "indexer.exchange.importing",
    "indexer.store.maintenance",
    "indexer.reindexing",
    "numpy",
    "pyarrow.parquet",
    "retrieval.cli",
    "retrieval.encoders.two_tower.encoder",
    "retrieval.query.engine",
    "rich.console",
    "sqlalchemy.dialects.sqlite",
    "tokenizers",
    "torch",
    "torchvision",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call of the command line.

    Attributes:
        code: exit code; None if a signal or the deadline ended it.
        signal: number of the signal that ended it, or None.
        timed_out: whether it was killed at its deadline.
        output: what it printed to both streams.
        left: command lines of the processes that it left behind.
        memory: bytes of resident memory that it, or a process that it waited for, had at its peak.
    """

    code: int | None
    signal: int | None
    timed_out: bool
    output: str
    left: tuple[str, ...]
    memory: int

    def faults(self) -> Iterator[str]:
        """What no input may bring about: a traceback, a hang, a signal, a process left behind."""
        if _TRACEBACK.search(self.output):
            yield "traceback"
        if self.timed_out:
            yield "hang"
        elif self.signal is not None:
            yield f"signal {signal.Signals(self.signal).name}"
        if self.left:
            yield "process left behind"


def preload() -> None:
    """Import what commands need; call it once, before the first :func:`run`."""
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    adopt_orphans()
    for name in PRELOADED:
        importlib.import_module(name)
    from retrieval.cli.group import SECTIONS

    for commands in SECTIONS.values():
        for module, _ in commands.values():
            importlib.import_module(module)


def adopt_orphans() -> None:
    """Become the parent of whatever processes a child leaves behind."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(
    *arguments: str | Path,
    cwd: Path,
    deadline: float = DEADLINE_S,
    memory: int = MEMORY_BYTES,
    command: Callable[[list[str]], object] | None = None,
) -> Outcome:
    """``vlsearch`` with these arguments and ``cwd`` as the working directory, in a forked child.

    Args:
        arguments: of the command line.
        cwd: the child's working directory.
        deadline: seconds until it is killed.
        memory: bytes of address space beyond what the parent has mapped.
        command: what is called in the command line's place.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.close(read_end)
        _be_the_command([os.fspath(argument) for argument in arguments], cwd, write_end, memory, command)
    os.close(write_end)
    with contextlib.closing(_Reading(read_end)) as reading:
        timed_out = _wait(child, deadline)
        _, status, usage = os.wait4(child, 0)
        left = _reap()
        output = reading.text()
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    return Outcome(
        code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        signal=ended_by,
        timed_out=timed_out,
        output=output,
        left=left,
        memory=usage.ru_maxrss * 1024,
    )


def _be_the_command(
    arguments: list[str],
    cwd: Path,
    output: int,
    memory: int,
    command: Callable[[list[str]], object] | None,
) -> None:
    """Never returns: the child's whole life, up to the exit code that the interpreter would give."""
    code = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.closerange(3, 1024)
        # Streams of its own: the parent's remember a position in what may have been a file.
        sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1)
        mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = mapped * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(cwd)
        if command is None:
            from retrieval.cli import main

            command = functools.partial(main, prog_name="vlsearch")
        command(arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does at its end
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class _Reading:
    """Drains a pipe in a thread, so that no child waits for its reader."""

    def __init__(self, descriptor: int) -> None:
        self._parts: list[bytes] = []
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        while part := self._file.read(65536):
            self._parts.append(part)

    def text(self) -> str:
        self._thread.join(GRACE_S)
        return b"".join(self._parts).decode(errors="replace")

    def close(self) -> None:
        if not self._thread.is_alive():
            self._file.close()


def _wait(child: int, deadline: float) -> bool:
    """Wait for a child's end; at the deadline have its stacks printed, kill it, and say True."""
    ended = os.pidfd_open(child)
    try:
        if select.select([ended], [], [], deadline)[0]:
            return False
        os.kill(child, signal.SIGUSR1)
        time.sleep(0.3)
        os.kill(child, signal.SIGKILL)
        return True
    finally:
        os.close(ended)


def _reap() -> tuple[str, ...]:
    """Processes that a child left to us and that do not end by themselves; they are killed."""
    until = time.monotonic() + GRACE_S
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return ()
    left = tuple(_adopted())
    for number, _ in left:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
    return tuple(command for _, command in left)


def _adopted() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                if int(parent) == os.getpid():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    yield int(entry.name), command.decode(errors="replace").strip()


def seal(folder: Path) -> dict[str, tuple[object, ...]]:
    """What a folder holds, down to inodes, times and contents; two seals are equal if nobody has touched it."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        facts = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        name = str(path.relative_to(folder))
        found[name] = (facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_nlink, content)
    return found


@dataclass(slots=True)
class Tally:
    """What a fuzzing run has met; prints each fault as it comes, and one line at the end."""

    subject: str
    cases: int = 0
    calls: int = 0
    memory: int = 0
    slowest: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)

    def add(self, case: str, arguments: Sequence[str | Path], outcome: Outcome, seconds: float) -> None:
        """Count one call."""
        self.calls += 1
        self.memory = max(self.memory, outcome.memory)
        self.slowest = max(self.slowest, seconds)
        for fault in outcome.faults():
            self.fault(fault, case, f"{' '.join(map(str, arguments))}\n{outcome.output}{outcome.left}")

    def fault(self, kind: str, case: str, details: str) -> None:
        """Count and print something that must not happen."""
        self.faults[kind] = self.faults.get(kind, 0) + 1
        print(f"--- {kind}: {case}: {details[-4000:]}", flush=True)

    def finish(self) -> int:
        """Print the summary; the exit code is 1 if anything went wrong."""
        found = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.faults.items())) or "0 faults"
        print(
            f"{self.subject}: {self.cases} cases, {self.calls} calls, {found}; "
            f"peak {self.memory / 2**20:,.0f} MiB, slowest {self.slowest:.1f} s",
            flush=True,
        )
        return bool(self.faults)
