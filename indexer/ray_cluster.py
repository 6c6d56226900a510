"""Shards as tasks of Ray, each a whole run of the pipeline in one worker (extra ``ray``).

A task is given a fraction of a CPU on purpose: the run inside it reads, decodes and encodes by processes and threads of
its own, and whatever else Ray runs on the machine must not be starved by CPUs that are only reserved.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.building import build
from indexer.shard_schedule import Task, WorkerLost
from indexer.shard_transfer import Piece, pieces_of, receive
from retrieval.corpora import Shard, open_corpus
from retrieval.errors import ClusterError, CollectionLocked, VlsearchError
from retrieval.processor import usable_cores

if TYPE_CHECKING:
    from retrieval.corpora import CorpusSpec
    from retrieval.encoders.base import Encoder
    from retrieval.types import Limits

LOCAL = "local"
_STORE_BYTES = 256 * 2**20  # of Ray's object store on one machine; a shard passes through it in pieces
_CONNECT_S = 10.0
_LOCK_S = 2.0  # until the lock of a worker that was killed just now is free
_PIECES_AHEAD = 4  # that a worker makes before the merging machine has taken them


@dataclass(frozen=True, slots=True)
class ShardWork:
    """What workers are to do, as it is sent to them.

    Attributes:
        spec: how the whole corpus is read.
        count: of shards.
        model: as of :func:`indexer.build`; a name or a folder must mean the same model on every machine.
        limits: as there.
        workers: processes that decode in each task.
        cpus: CPUs that a task reserves; a fraction may be.
        gpus: likewise.
        scratch: name of the folder below a worker's temporary folder in which it works.
    """

    spec: CorpusSpec
    count: int
    model: str | Path | Encoder
    limits: Limits
    workers: int
    cpus: float
    gpus: float
    scratch: str


@contextmanager
def ray_cluster(address: str, work: ShardWork, received: Path) -> Iterator[RayCluster]:
    """Connect to a cluster, or start one on this machine, for as long as the block runs.

    Args:
        address: ``local``, ``auto``, or host and port of a cluster's head.
        work: what workers do.
        received: folder that finished shards go into.

    Raises:
        ClusterError: there is no cluster at that address, or no machine of it has the CPUs and GPUs of a task.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its makers otherwise
    import ray  # late: an extra, and slow to come up

    temporary = Path(tempfile.mkdtemp(prefix="vlsearch-ray-")) if address == LOCAL else None
    try:
        _connect(ray, address, temporary)
        yield RayCluster(ray, work, received)
    finally:
        ray.shutdown()
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _connect(ray: Any, address: str, temporary: Path | None) -> None:
    """Connect; ``temporary`` is where a cluster of our own keeps its sockets and logs."""
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if temporary is not None:
            ray.init(
                address=LOCAL,
                num_cpus=usable_cores(),
                object_store_memory=_STORE_BYTES,
                include_dashboard=False,
                _temp_dir=str(temporary),
                _system_config={
                    "worker_niceness": 0
                },  # 15 by default: beside other work they would stand still
                **quiet,
            )
            return
        if address != "auto":  # Ray itself waits for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), _CONNECT_S).close()
        ray.init(address=address, **quiet)
    except (OSError, ValueError, ray.exceptions.RaySystemError) as error:
        reason = str(error).partition("\n")[0]
        raise ClusterError(
            f"there is no Ray cluster at {address} ({reason}); start one with: ray start --head --port 6379, or use "
            "the address local"
        ) from error


class RayCluster:
    """A cluster that Ray runs; see :class:`indexer.shard_schedule.Cluster`."""

    def __init__(self, ray: Any, work: ShardWork, received: Path) -> None:
        self._ray, self._work, self._received = ray, work, received
        self._index = ray.remote(
            num_returns="streaming",
            max_retries=0,  # the schedule tries again, and counts
            num_cpus=work.cpus,
            num_gpus=work.gpus,
            _generator_backpressure_num_objects=_PIECES_AHEAD,
        )(index_shard)
        if not self._places():
            raise ClusterError(
                f"no machine of the cluster has {work.cpus:g} CPUs and {work.gpus:g} GPUs for a task; ask for fewer"
            )

    def at(self, work: ShardWork) -> RayCluster:
        """Give the same cluster for other work, with the same reservation."""
        return RayCluster(self._ray, work, self._received)

    def capacity(self) -> int:
        """How many tasks the machines that are there now run at once."""
        return max(1, self._places())

    def start(self, number: int) -> Task:
        """Start a task."""
        pieces = self._index.remote(self._work, number)
        return _RayTask(self._ray, pieces, number, self._received / shard_name(number, self._work.count))

    def ended(self, tasks: Sequence[Task], timeout_s: float) -> Sequence[Task]:
        """Wait for the first piece of a shard, which is sent when it is finished."""
        pieces = {task.pieces: task for task in tasks if isinstance(task, _RayTask)}
        done, _ = self._ray.wait(list(pieces), num_returns=1, timeout=timeout_s, fetch_local=False)
        return [pieces[one] for one in done]

    def _places(self) -> int:
        asked = {"CPU": self._work.cpus, "GPU": self._work.gpus}
        return sum(
            min(
                (
                    int(node["Resources"].get(name, 0) / number + 1e-9)
                    for name, number in asked.items()
                    if number
                )
            )
            for node in self._ray.nodes()
            if node["Alive"]
        )


class _RayTask:
    """A task of Ray that sends the pieces of a shard once that is finished."""

    def __init__(self, ray: Any, pieces: Any, number: int, folder: Path) -> None:
        self._ray, self.pieces, self._folder = ray, pieces, folder
        self.number = number

    def take(self) -> Path:
        """Receive the shard.

        Raises:
            WorkerLost: the worker or its machine has ended on the way.
        """
        errors = self._ray.exceptions
        try:
            return receive(self._received(), self._folder)
        except errors.RayTaskError as error:
            if isinstance(error.cause, VlsearchError):
                raise error.cause from error
            raise
        except errors.RayError as error:  # of a system that fails: a worker, a machine, an object with it
            raise WorkerLost(str(error).partition("\n")[0]) from error

    def cancel(self) -> None:
        """Stop the worker."""
        with suppress(self._ray.exceptions.RayError, RuntimeError):
            self._ray.cancel(self.pieces, force=True)

    def _received(self) -> Iterator[Piece]:
        for piece in self.pieces:
            yield self._ray.get(piece)


def shard_name(number: int, count: int) -> str:
    """Name the folder of a shard."""
    return f"{number}-of-{count}"


def index_shard(work: ShardWork, number: int) -> Iterator[Piece]:
    """Index a shard in a folder of this machine, send it, and remove it; what runs in a worker of Ray.

    Where an earlier worker was lost on this machine, its work is gone on with; beside one that is at it, another
    folder is taken.
    """
    shard = Shard(number, work.count)
    corpus = open_corpus(work.spec.source, replace(work.spec.options, shard=shard))
    home = _home() / work.scratch
    for folder in (home / shard_name(number, work.count), home / f"{shard_name(number, work.count)}.second"):
        try:
            report = build(
                corpus, folder, model=work.model, limits=work.limits, workers=work.workers, timeout=_LOCK_S
            )
        except CollectionLocked:
            continue
        if report.interrupted:
            raise ClusterError(f"shard {shard} was stopped from outside; run this again")
        yield from pieces_of(folder)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another shard is there
            home.rmdir()
        return
    raise ClusterError(
        f"shard {shard} is being indexed twice on one machine already; wait for the other run to end"
    )


def _home() -> Path:
    """Give the folder that this user's workers work in; nobody else may have put it there."""
    home = Path(tempfile.gettempdir()) / f"vlsearch-shards-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    facts = home.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise ClusterError(f"{home} is somebody else's; remove it, or set TMPDIR for Ray")
    return home
