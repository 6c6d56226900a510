"""A server that is killed under a reader."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import indexer
from retrieval.collection import Collection
from retrieval.errors import CollectionError
from retrieval.postgres_address import parse_address
from tests.builders import collection_of, unit_rows
from tests.postgres_server import Server, require_server


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for that of a socket."""
    require_server()
    with tempfile.TemporaryDirectory(prefix="vlsearch-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_a_server_that_is_killed_is_one_sentence_and_answers_again_when_it_is_back(
    short_folder: Path, tmp_path: Path
) -> None:
    (short_folder / "s").mkdir()
    server = Server(short_folder / "s")
    place = parse_address(server.address("photos"))
    indexer.copy_collection(collection_of(tmp_path / "c", (["a"], unit_rows(1))), place)
    with Collection.open(place) as opened:
        server.kill()
        with pytest.raises(CollectionError, match="cannot be reached"):
            opened.count("image")
        server.restart()
        assert opened.count("image") == 1
    server.end()
