"""A collection of three pictures, indexed once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.command_line import Run, fill_photos, save_tiny_model


@pytest.fixture(scope="session")
def _indexed(tmp_path_factory: pytest.TempPathFactory, model: Path, run: Run) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("indexed")
    photos = fill_photos(folder / "photos")
    done = run("index", photos, "--model", model, "--collection", folder / "collection")
    assert done.exit_code == 0, done.output
    return photos, folder / "collection"


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another tiny model than the collection's."""
    return save_tiny_model(tmp_path_factory.mktemp("model") / "other", seed=1)


@pytest.fixture
def indexed_photos(_indexed: tuple[Path, Path]) -> Path:
    """The pictures that ``collection`` holds; shared, so not to be changed."""
    return _indexed[0]


@pytest.fixture
def collection(_indexed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of the three pictures, and the one that commands take where none is named."""
    copy = tmp_path / "collection"
    shutil.copytree(_indexed[1], copy)
    monkeypatch.setenv("VLSEARCH_COLLECTION", str(copy))
    return copy
