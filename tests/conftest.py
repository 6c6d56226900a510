"""Shared by all tests."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.command_line import Run, fill_photos, save_tiny_model, vlsearch
from tests.s3_server import Bucket, endpoint, settings_of

# No property has a deadline and none is failed for drawing slowly: neither is about the product, and both fail on a
# machine that is busy with something else. On CI the examples follow from the test alone, so that one commit has one
# verdict; everywhere else each run draws new ones, which is how rare faults are found. Sixty of each, for all tests are
# to pass in ten minutes; a property that needs more says so.
hypothesis.settings.register_profile(
    "vlsearch",
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    database=None if "CI" in os.environ else hypothesis.settings().database,
)
hypothesis.settings.load_profile("vlsearch")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests were skipped because the shared data is not there."""
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if "shared" in report.keywords]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} {'test needs' if len(skipped) == 1 else 'tests need'} the project's shared data and "
            "did not run: it is not beside the repository"
        )


@pytest.fixture(scope="session", autouse=True)
def _caches_of_the_tests_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is derived of models in temporary folders, and vectors of queries nowhere: tests choose a folder."""
    digests = tmp_path_factory.mktemp("digests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLSEARCH_QUERY_CACHE", "off")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("retrieval.hub.weights_digest._user_cache", lambda: digests)
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def run() -> Run:
    """``run("query", "a dog")`` is ``vlsearch query "a dog"``."""
    return vlsearch


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with red.png, green.png and blue.png, and two captions each beside them."""
    return fill_photos(tmp_path / "photos")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that SQLite is given, in order."""
    seen: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(seen.append)
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr("retrieval.collection.catalogue.sqlite3.connect", traced)
    return seen


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """An empty bucket of an S3 server on loopback, to which the settings of this test lead."""
    with settings_of(endpoint()):
        yield Bucket()
