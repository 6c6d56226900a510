"""One server for all tests of a file: none of them changes what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.server.settings import ServerSettings
from tests.serving import Serving, album_collection, serving

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return album_collection(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def served(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving([album], tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture(scope="module")
def locked(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that asks for a token, under a name of its own too, as behind a proxy."""
    settings = ServerSettings(port=0, token=TOKEN, names=("photos.example.org",))
    with serving([album], tmp_path_factory.mktemp("cache"), settings) as found:
        yield found


@pytest.fixture(scope="module")
def goes_on(served: Serving) -> Iterator[None]:
    """After all tests of a file, its server still answers."""
    yield
    assert served.client.get("/v1/health").json() == {"status": "ok"}
