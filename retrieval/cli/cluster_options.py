"""Options of ``index`` that encode on the machines of a Ray cluster, as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from retrieval.cli.limit_options import with_options
from retrieval.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class OnCluster:
    """Where to encode, and how the work is divided; as of :func:`indexer.build_on_ray`."""

    address: str
    shards: int | None
    cpus: float
    gpus: float


_OPTIONS = (
    click.option(
        "--ray",
        "address",
        metavar="ADDRESS",
        help="Encode on a Ray cluster: host:port of its head, auto, or local for this machine alone "
        "(pip install 'vlsearch[ray]').",
    ),
    click.option(
        "--ray-shards",
        type=click.IntRange(min=1),
        metavar="N",
        help="Parts of CORPUS, each a task of Ray. [default: four for each task that runs at once]",
    ),
    click.option(
        "--ray-cpus",
        type=click.FloatRange(min=0, min_open=True),
        metavar="X",
        help="CPUs that a task reserves; may be a fraction. [default: 0.9]",
    ),
    click.option(
        "--ray-gpus",
        type=click.FloatRange(min=0),
        metavar="X",
        help="GPUs that a task reserves; may be a fraction. [default: 0]",
    ),
)


def cluster_options(command: Command) -> Command:
    """Add the options; the command gets them as ``on_cluster``, None where it is to encode here."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        address: str | None,
        ray_shards: int | None,
        ray_cpus: float | None,
        ray_gpus: float | None,
        **others: Any,
    ) -> Any:
        given = (ray_shards, ray_cpus, ray_gpus)
        if address is None and any(one is not None for one in given):
            raise UsageError(
                "--ray-shards, --ray-cpus and --ray-gpus say how --ray ADDRESS divides the work; give it too"
            )
        on_cluster = (
            None
            if address is None
            else OnCluster(
                address,
                ray_shards,
                0.9 if ray_cpus is None else ray_cpus,
                0.0 if ray_gpus is None else ray_gpus,
            )
        )
        return command(*args, on_cluster=on_cluster, **others)

    result: Command = with_options(_OPTIONS, wrapped)
    return result
