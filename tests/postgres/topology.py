"""The services of ``deploy/compose.yaml`` as processes, asked by clients while the database and a server are killed.

``python -m tests.postgres.topology 120`` does so for two minutes, and says what the clients were answered.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import httpx

import indexer
from retrieval.collection import Collection
from retrieval.errors import CollectionError
from retrieval.postgres_address import parse_address
from tests.builders import draw
from tests.postgres.compose import Service, services
from tests.postgres_server import Server
from tests.without_packages import ROOT

PATIENCE_S = 120.0
CLIENTS = 3
_TOKEN = "token of the tests"
_WORDS = ("a red square", "a blue square", "something green", "a dark picture")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to a search.

    Attributes:
        at: when it came, in seconds of the monotonic clock.
        server: which server was asked.
        status: of HTTP; 0 where there was no connection.
        text: that was asked for.
        said: the generation and the hits, or the error.
    """

    at: float
    server: str
    status: int
    text: str
    said: object


@dataclass
class Topology:
    """The services while they run.

    Attributes:
        database: the server of PostgreSQL.
        address: of the collection.
        pictures: the folder that is indexed.
        answers: of searches, as they came.
    """

    database: Server
    address: str
    pictures: Path
    services: Mapping[str, Service]
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    answers: list[Answered] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def begin(self, name: str) -> None:
        """Start a service by its command, in an environment in which ``vlsearch`` is the one under test."""
        service = self.services[name]
        command = [word.replace("/pictures", str(self.pictures)) for word in service.command]
        if name.startswith("server"):
            command += ["--port", "0"]  # all on one machine
        environment = {
            **os.environ,
            **service.environment,
            "VLSEARCH_COLLECTION": self.address,
            "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        out = self.folder / f"{name}.out"
        with out.open("wb") as written:
            self.processes[name] = subprocess.Popen(
                command, env=environment, stdout=written, stderr=subprocess.STDOUT, start_new_session=True
            )
        if name.startswith("server"):
            self.urls[name] = f"http://127.0.0.1:{self._port(name, out)}"

    def _port(self, name: str, out: Path) -> str:
        """Wait until a server says where it listens."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.processes[name].poll() is None:
            if found := re.search(r"http://[^/\s]+:(\d+)", out.read_text(errors="replace")):
                return found[1]
            time.sleep(0.1)
        raise AssertionError(f"{name} did not start: {out.read_text(errors='replace')[-2000:]}")

    def kill(self, name: str) -> None:
        """Kill a service with all its processes."""
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def kill_all(self) -> None:
        """Kill all services but the database."""
        for name in self.processes:
            self.kill(name)

    def ask(self, client: httpx.Client, name: str, text: str) -> Answered:
        """Ask one server."""
        try:
            answer = client.get(f"{self.urls[name]}/v1/search", params={"text": text, "k": 5})
        except httpx.TransportError as error:
            return Answered(time.monotonic(), name, 0, text, type(error).__name__)
        told = answer.json()
        said = told["error"] if answer.is_error else (told["generation"], _hits(told["hits"]))
        return Answered(time.monotonic(), name, answer.status_code, text, said)

    def wait_until_answered(self) -> None:
        """Wait until both servers answer a search.

        Raises:
            AssertionError: one does not, for two minutes.
        """
        last: object = None
        with _client() as client:
            for name in ("server-1", "server-2"):
                end = time.monotonic() + PATIENCE_S
                while (last := self.ask(client, name, _WORDS[0])).status != 200:
                    assert time.monotonic() < end, last
                    time.sleep(0.1)

    def load(self) -> None:
        """Ask both servers in turns until it is over."""
        with _client() as client:
            for name, text in zip(cycle(("server-1", "server-2")), cycle(_WORDS[:3]), strict=False):
                if self.over.is_set():
                    return
                answered = self.ask(client, name, text)
                self.answers.append(answered)
                if answered.status != 200:
                    time.sleep(0.05)

    def add_pictures(self, every_s: float) -> None:
        """Add a picture now and then until it is over."""
        number = len(list(self.pictures.iterdir()))
        while not self.over.wait(every_s):
            draw(self.pictures / f"{number:04}.png", (number * 37 % 256, number * 91 % 256, number % 256))
            number += 1


def _hits(hits: list[dict[str, object]]) -> tuple[object, ...]:
    return tuple((hit["id"], hit["score"]) for hit in hits)


def _client() -> httpx.Client:
    return httpx.Client(headers={"Authorization": f"Bearer {_TOKEN}"}, timeout=60)


@contextmanager
def topology(folder: Path) -> Iterator[Topology]:
    """Start the services, and end them with the block; the first pictures are indexed."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for number, colour in enumerate([(200, 30, 30), (30, 30, 200), (30, 200, 30), (9, 9, 9)]):
        draw(pictures / f"{number:04}.png", colour)
    program = folder / "vlsearch"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m retrieval.cli "$@"\n')
    program.chmod(0o755)
    found = services(
        {
            "DATABASE_PASSWORD": "none",
            "VLSEARCH_TOKEN": _TOKEN,
            "PICTURES": str(pictures),
            "INDEX_EVERY_S": "0.5",
        }
    )
    with ExitStack() as ended:
        database = Server(folder / "d")
        ended.callback(database.end)
        running = Topology(database, database.address("photos"), pictures, found, folder)
        ended.callback(running.kill_all)
        running.begin("index")
        _wait_for_pictures(running, 4)
        for name in ("server-1", "server-2"):
            running.begin(name)
        running.wait_until_answered()
        yield running


def _wait_for_pictures(running: Topology, count: int) -> None:
    """Wait until the worker has indexed so many pictures.

    Raises:
        AssertionError: it does not, for two minutes without one more.
    """
    found, end = -1, time.monotonic() + PATIENCE_S
    while found < count:
        assert time.monotonic() < end, (found, count, (running.folder / "index.out").read_text()[-2000:])
        now = _count(running.address)
        if now > found:
            found, end = now, time.monotonic() + PATIENCE_S
        time.sleep(0.2)


def _count(address: str) -> int:
    try:
        with Collection.open(parse_address(address)) as opened:
            return opened.count("image")
    except CollectionError:
        return -1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What clients were answered.

    Attributes:
        answers: all of them.
        database_away: from when to when the database was not there.
        server_away: the same, of the first server.
        pictures: in the end.
    """

    answers: list[Answered]
    database_away: tuple[float, float]
    server_away: tuple[float, float]
    pictures: int


def play(folder: Path, seconds: float) -> Outcome:
    """Ask for so long; kill the database after a third of it and a server after two, and begin each again.

    Raises:
        AssertionError: a server does not answer again, or the collection is not whole in the end.
    """
    with topology(folder) as running, ExitStack() as ended:
        threads = [threading.Thread(target=running.load) for _ in range(CLIENTS)]
        threads.append(threading.Thread(target=running.add_pictures, args=(seconds / 20,)))
        for thread in threads:
            thread.start()
            ended.callback(thread.join)
        ended.callback(running.over.set)
        time.sleep(seconds / 3)
        began = time.monotonic()
        running.database.kill()
        time.sleep(0.5)
        running.database.restart()
        running.wait_until_answered()
        database_away = began, time.monotonic()
        time.sleep(seconds / 3)
        began = time.monotonic()
        running.kill("server-1")
        time.sleep(seconds / 12)
        running.begin("server-1")
        running.wait_until_answered()
        server_away = began, time.monotonic()
        time.sleep(seconds / 3)
        ended.close()
        count = len(list(running.pictures.iterdir()))
        _wait_for_pictures(running, count)
        assert indexer.doctor(parse_address(running.address)).faults == ()
        return Outcome(running.answers, database_away, server_away, _count(running.address))


def check(outcome: Outcome) -> None:
    """Check what clients were answered.

    Raises:
        AssertionError: a server failed when it need not, or two said different things of one state.
    """
    told: dict[object, object] = {}
    for one in outcome.answers:
        if one.status == 200:
            assert isinstance(one.said, tuple)
            generation, hits = one.said
            assert told.setdefault((generation, one.text), hits) == hits, "two answers of one state differ"
        elif one.status == 0:
            assert one.server == "server-1", one
            assert _is_within(one.at, outcome.server_away), one
        else:
            assert _is_within(one.at, outcome.database_away), one
            assert isinstance(one.said, str)
            assert "cannot be reached" in one.said
    away = [one for one in outcome.answers if _is_within(one.at, outcome.server_away)]
    assert any(one.server == "server-2" and one.status == 200 for one in away)


def _is_within(at: float, span: tuple[float, float]) -> bool:
    return span[0] <= at <= span[1] + 1  # an answer that was under way


def main() -> None:
    """Play, check, and say what was answered."""
    seconds = float(sys.argv[1])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent:
        outcome = play(Path(parent) / "t", seconds)
    check(outcome)
    statuses = Counter((one.server, one.status or "no connection") for one in outcome.answers)
    states = {one.said[0] for one in outcome.answers if isinstance(one.said, tuple)}
    for (server, status), number in sorted(statuses.items(), key=str):
        print(f"{server}: {number} answers of status {status}")
    print(
        f"{len(states)} states of {outcome.pictures} pictures, each answered alike by both; "
        f"after {outcome.database_away[1] - outcome.database_away[0]:.1f} s without a database, and "
        f"{outcome.server_away[1] - outcome.server_away[0]:.1f} s without a server, all was well, doctor clean"
    )


if __name__ == "__main__":
    main()
