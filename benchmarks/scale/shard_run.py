"""Eight shards as processes, two at a time, three of them killed and begun again, against the plain run.

python -m benchmarks.scale.shard_run --pictures 20000
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import indexer
from benchmarks.scale.comparing import compare
from indexer import Report

SHARDS, AT_ONCE, KILLED = 8, 2, (2, 5, 7)


def run_in_shards(corpus: Path, collection: Path) -> Report:
    """Index the shards by the command line, each until it ends well, and merge them."""
    folders = [collection.with_name(f"shard-{number}") for number in range(1, SHARDS + 1)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(partial(_index_until_done, corpus, folders), range(1, SHARDS + 1)))
    return indexer.merge(folders, collection)


def _index_until_done(corpus: Path, folders: Sequence[Path], number: int) -> None:
    """Begin the process of a shard again for as long as it is killed.

    Raises:
        subprocess.CalledProcessError: it has failed otherwise.
    """
    command = [sys.executable, "-m", "retrieval.cli", "index", str(corpus), *_named(number)]
    while True:
        code = subprocess.call([*command, "--collection", str(folders[number - 1])])
        if code == 0:
            return
        if code > 0:
            raise subprocess.CalledProcessError(code, command)


def _named(number: int) -> tuple[str, ...]:
    return ("--shard", f"{number}/{SHARDS}", "--workers", "1", "--quiet")


if __name__ == "__main__":
    compare(
        "benchmarks.scale.shard_run",
        "In shards, with three killed",
        f"{SHARDS} shards, {len(KILLED)} killed, and their merge",
        run_in_shards,
        tuple(f"--shard {number}/{SHARDS} " for number in KILLED),
    )
