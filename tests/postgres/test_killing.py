"""What was acknowledged of runs that index and tag on a server is there after kills; ``killing.py`` plays many."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.postgres.killing import KILLED, Kills, play
from tests.postgres_server import require_server, server


def test_a_client_and_a_worker_that_are_killed_lose_nothing_acknowledged(tmp_path: Path) -> None:
    kills = Kills(server(), tmp_path, rows=60)

    kills.kill_once("client", 0.0)
    told = len(kills.acknowledged)
    kills.kill_tagging("client", 0.0)
    is_filled = kills.kill_once("worker", 0.0)

    assert told > 0
    assert is_filled


@pytest.mark.slow
def test_kills_of_the_server_too_lose_nothing_acknowledged() -> None:
    require_server()
    with tempfile.TemporaryDirectory(prefix="vlsearch-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        play(2 * len(KILLED), 1, Path(folder) / "k", rows=100)
