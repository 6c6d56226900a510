"""Several processes that answer at one address: they share the socket, the mapped files and the cache of thumbnails.

The parent answers nothing: it starts the processes, starts another one where one ends, and ends them all. What one
process knows and others need lies in a private temporary folder: uploads, links that work once, counts.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from retrieval.decoding.budget import default_budget
from retrieval.errors import VlsearchError
from retrieval.places import CollectionPlace
from retrieval.query.pictures import default_cache
from retrieval.server.access import Tokens
from retrieval.server.metrics import FOLDER
from retrieval.server.run import log_requests, page_address, serve
from retrieval.server.served import Collections
from retrieval.server.settings import LINKS, METRICS, UPLOADS, ServerSettings
from retrieval.types import Limits

END_S = 15.0  # that processes may take to end what is under way
SOON_S = 20.0  # a process that lived for less has failed to start
MOST_FAILURES = 3  # in a row


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """What each process needs to serve.

    Attributes:
        collections: folders, or addresses on servers.
        settings: of the server.
        cache_bytes: of thumbnails on disk.
        logs: whether requests are told on standard error.
        memory: bytes that decoding may take in this process.
        encoder: for tests; None loads what the collections name.
    """

    collections: Sequence[CollectionPlace]
    settings: ServerSettings
    cache_bytes: int
    logs: bool
    memory: int | None = None
    encoder: Any = None


@dataclass(slots=True)
class _Worker:
    process: Any
    alive: connection.Connection  # closed with this process, by which the worker sees that it is alone
    began: float


def serve_in_workers(
    task: WorkerTask, count: int, listener: socket.socket, on_start: Callable[[str], None]
) -> None:
    """Answer in several processes until interrupted.

    Args:
        task: what they serve.
        count: processes.
        listener: from :func:`retrieval.server.run.listen`.
        on_start: called with the address of the page when one of them answers.

    Raises:
        VlsearchError: the processes do not start.
    """
    with tempfile.TemporaryDirectory(prefix="vlsearch-") as folder:
        shared = Path(folder)
        for name in (UPLOADS, LINKS, METRICS):
            (shared / name).mkdir(mode=0o700)
        settings = replace(task.settings, shared=shared)
        memory = default_budget() // count if task.memory is None else task.memory
        ready, told = multiprocessing.get_context("spawn").Pipe(duplex=False)
        workers = _Workers(replace(task, settings=settings, memory=memory), listener, told)
        before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        os.environ[FOLDER] = str(shared / METRICS)  # which processes that start inherit
        try:
            workers.start(count)
            while not ready.poll(0.1):
                workers.replace_ended()
            on_start(_first_address(settings, listener))
            while True:
                workers.replace_ended(wait_s=1.0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            workers.end()
            del os.environ[FOLDER]


class _Workers:
    def __init__(self, task: WorkerTask, listener: socket.socket, told: connection.Connection) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._task, self._listener, self._told = task, listener, told
        self._running: list[_Worker] = []
        self._failures = 0

    def start(self, count: int) -> None:
        for _ in range(count):
            alone, alive = self._context.Pipe(duplex=False)
            process = self._context.Process(
                target=_work, args=(self._task, self._listener, self._told, alone), name="vlsearch-serve"
            )
            process.start()
            alone.close()
            self._running.append(_Worker(process, alive, time.monotonic()))

    def replace_ended(self, wait_s: float = 0.0) -> None:
        """Start a process for each one that has ended.

        Raises:
            VlsearchError: they end as soon as they have started.
        """
        connection.wait([one.process.sentinel for one in self._running], wait_s)
        ended = [one for one in self._running if not one.process.is_alive()]
        for one in ended:
            self._running.remove(one)
            mark_process_dead(one.process.pid, os.environ[FOLDER])  # type: ignore[no-untyped-call]
            one.alive.close()
            lived = time.monotonic() - one.began
            self._failures = self._failures + 1 if lived < SOON_S else 0
            if self._failures >= MOST_FAILURES * (len(self._running) + 1):
                raise VlsearchError(
                    f"the processes that answer end as soon as they start (exit code {one.process.exitcode}); "
                    "try without --workers, which says why"
                )
        self.start(len(ended))

    def end(self) -> None:
        for one in self._running:
            one.process.terminate()
        deadline = time.monotonic() + END_S
        for one in self._running:
            one.process.join(max(0.0, deadline - time.monotonic()))
            if one.process.is_alive():
                one.process.kill()
                one.process.join()
            one.alive.close()


def _work(
    task: WorkerTask, listener: socket.socket, told: connection.Connection, alone: connection.Connection
) -> None:
    """Serve in a process of its own, until told to end or the parent is gone."""
    threading.Thread(target=_end_with_parent, args=(alone,), daemon=True).start()
    if task.logs:
        log_requests()
    limits = Limits(memory=task.memory)
    try:
        with Collections(
            task.collections, limits, cache=default_cache(task.cache_bytes), encoder=task.encoder
        ) as opened:
            opened.load_encoders()
            serve(opened, task.settings, listener, lambda _: told.send_bytes(b"ready"))
    except KeyboardInterrupt:
        pass


def _end_with_parent(alone: connection.Connection) -> None:
    try:
        alone.recv_bytes()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _first_address(settings: ServerSettings, listener: socket.socket) -> str:
    """Give the address of the page; with a token, a link that one of the processes takes, once."""
    base = page_address(settings, listener.getsockname()[1])
    if settings.token is None or settings.shared is None:
        return base
    return f"{base}open/{Tokens(settings.token, settings.shared / LINKS).new_code()}"
