"""A tiny BLIP that matches images with texts, saved once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.retrieval.generators.tiny_generators import blip_itm


@pytest.fixture(scope="session")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder; shared, so not to be changed."""
    folder = tmp_path_factory.mktemp("blip-itm")
    blip_itm(folder)
    return folder


@pytest.fixture
def changed_blip(blip: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(blip, tmp_path / "changed"))
