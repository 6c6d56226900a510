"""Writers in processes of their own, killed: at a numbered step of their work, or at a moment in time.

A step is a write, an fsync, a rename, an unlink or a folder made, or a statement or COMMIT by which the catalogue
changes; each has a before and an after. The process wraps these calls around itself; the product knows nothing of it.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pathlib
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Work = Callable[..., None]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(  # what a writer imports, once for all of them
    ["numpy", "PIL.Image", "pyarrow.parquet", "indexer.building", "indexer.reindexing", "indexer.items"]
)


@dataclass(frozen=True)
class Step:
    """A step that a writer takes, and the generation that is committed when it gets there."""

    number: int
    name: str
    generation: int


def steps_of(collection: Path, work: Work, *arguments: object) -> list[Step]:
    """Every step of some work on a collection, from a process that is left to finish it."""
    log = collection.parent / "steps.json"
    _finish(_start(_counted, collection, log, work, arguments), 0)
    return [Step(*step) for step in json.loads(log.read_text())]


def kill_at(step: Step, work: Work, *arguments: object) -> None:
    """Do the work in a process that ends with SIGKILL at that step."""
    _finish(_start(_killed, step, work, arguments), -signal.SIGKILL)


def kill_after(seconds: float, work: Work, *arguments: object) -> bool:
    """Start the work in a process and kill it from outside that long after it began; whether it was still at it."""
    ours, theirs = _CONTEXT.Pipe()
    process = _start(_announced, theirs, work, arguments)
    theirs.close()
    ours.recv()
    time.sleep(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    killed: bool = process.exitcode != 0
    return killed


def run_apart(work: Work, *arguments: object, exitcode: int = 0) -> None:
    """Do the work in a process of its own, which must end so."""
    _finish(_start(work, *arguments), exitcode)


def spread(steps: list[Step], count: int) -> list[Step]:
    """So many of the steps, evenly, first and last included."""
    if count >= len(steps):
        return steps
    return [steps[round(at * (len(steps) - 1) / (count - 1))] for at in range(count)]


def _start(target: Callable[..., None], *arguments: object) -> Any:
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def _finish(process: Any, exitcode: int) -> None:
    process.join()
    assert process.exitcode == exitcode, f"the writer ended with {process.exitcode}, not {exitcode}"


def _counted(collection: Path, log: Path, work: Work, arguments: tuple[object, ...]) -> None:
    steps: list[tuple[int, str, int]] = []
    connect = sqlite3.connect
    with _watched(lambda name: steps.append((len(steps), name, _generation(connect, collection)))):
        work(*arguments)
    log.write_text(json.dumps(steps))


def _killed(step: Step, work: Work, arguments: tuple[object, ...]) -> None:
    taken = -1

    def take(name: str) -> None:
        nonlocal taken
        taken += 1
        if taken == step.number:
            assert name == step.name, f"step {taken} is {name} now, and was {step.name}"
            os.kill(os.getpid(), signal.SIGKILL)

    with _watched(take):
        work(*arguments)


def _announced(pipe: Any, work: Work, arguments: tuple[object, ...]) -> None:
    pipe.send(None)
    work(*arguments)


def _generation(connect: Any, collection: Path) -> int:
    """What a reader would find committed at this moment."""
    with contextlib.suppress(sqlite3.Error):
        connection = connect(f"file:{collection / 'catalogue.sqlite'}?mode=ro", uri=True)
        with contextlib.closing(connection):
            return int(
                connection.execute("SELECT value FROM settings WHERE name = 'generation'").fetchone()[0]
            )
    return 0


@contextlib.contextmanager
def _watched(take: Callable[[str], None]) -> Iterator[None]:
    """Call ``take`` before and after every step; installed for good, in a process that serves nothing else."""

    def around(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            take(f"before {what}")
            result = call(*arguments, **options)
            take(f"after {what}")
            return result

        return watched

    for name in ("fsync", "rename", "unlink", "mkdir"):
        setattr(os, name, around(name, getattr(os, name)))
    real_open, real_connect = pathlib.Path.open, sqlite3.connect

    def open_watched(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = real_open(path, mode, *arguments, **options)
        return _File(file, around) if "x" in mode else file

    pathlib.Path.open = open_watched  # type: ignore[method-assign,assignment]

    class Cursor(sqlite3.Cursor):
        def execute(self, statement: str, *values: Any) -> Any:
            return (
                around(_verb(statement), super().execute)(statement, *values)
                if _writes(statement)
                else super().execute(statement, *values)
            )

        def executemany(self, statement: str, *values: Any) -> Any:
            return around(_verb(statement), super().executemany)(statement, *values)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        committed = 0

        def commit(self) -> None:
            # That of a look-up is not a step: which thread looks up by which pooled connection is chance.
            changes = self.total_changes
            around("COMMIT", super().commit)() if changes > self.committed else super().commit()
            self.committed = changes

    def connect_watched(place: str, **options: Any) -> sqlite3.Connection:
        kind = sqlite3.Connection if "mode=ro" in place else Connection
        return real_connect(place, factory=kind, **options)

    sqlite3.connect = connect_watched  # type: ignore[assignment]
    yield


class _File:
    """A new file whose writes are steps."""

    def __init__(self, file: Any, around: Callable[..., Any]) -> None:
        self._file = file
        self.write = around("write", file.write)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _writes(statement: str) -> bool:
    return _verb(statement) in ("INSERT", "UPDATE", "DELETE", "CREATE") or "user_version =" in statement


def _verb(statement: str) -> str:
    return statement.split(None, 1)[0].upper()
