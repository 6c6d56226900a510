"""What ``deploy/compose.yaml`` starts answers under load, and goes on after its database or a server is killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.postgres.topology import check, play
from tests.postgres_server import require_server


@pytest.mark.slow
def test_two_servers_answer_alike_while_their_database_and_one_of_them_are_killed() -> None:
    require_server()
    pytest.importorskip("yaml")
    with tempfile.TemporaryDirectory(prefix="vlsearch-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        check(play(Path(folder) / "t", seconds=6))
