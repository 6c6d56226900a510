"""Tiny generators, each saved once, and the ids that they write."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.hub.words import Words
from tests.retrieval.generators.tiny_generators import BUILDERS


@pytest.fixture(scope="session")
def _saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def tiny(_saved: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny checkpoint; shared, so not to be changed."""

    def saved(family: str) -> Path:
        if family not in _saved:
            folder = tmp_path_factory.mktemp(family)
            BUILDERS[family](folder)
            _saved[family] = folder
        return _saved[family]

    return saved


@pytest.fixture
def changed(tiny: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a family's tiny checkpoint, to be changed."""
    return lambda family: Path(shutil.copytree(tiny(family), tmp_path / family))


@pytest.fixture
def pictures() -> list[Image.Image]:
    """Three pictures of noise, of different shapes."""
    random = np.random.default_rng(5)
    shapes = [(40, 50), (64, 32), (33, 33)]
    return [Image.fromarray(random.integers(0, 255, (*shape, 3), dtype=np.uint8)) for shape in shapes]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ids of every text that is decoded."""
    rows: list[list[int]] = []
    decode = Words.decode

    def recording(words: Words, ids: Sequence[int]) -> str:
        rows.append(list(ids))
        return decode(words, ids)

    monkeypatch.setattr(Words, "decode", recording)
    return rows
