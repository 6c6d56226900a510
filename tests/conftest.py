"""Shared by all tests; its folder is importable, so that builders.py and command_line.py are."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run, fill_photos, save_tiny_model, vlsearch


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
