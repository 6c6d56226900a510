"""Folders of small pictures, and one call that indexes them with an encoder that needs no model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import indexer
from retrieval.corpora import Corpus
from tests.builders import HashEncoder, Index, draw

NEVER_BY_THE_CLOCK = indexer.CommitPace(seconds=math.inf)
"""On a machine that stalls, a run would else commit in pieces, and tests count segments and generations."""


@pytest.fixture
def encoder() -> HashEncoder:
    return HashEncoder()


@pytest.fixture
def other_encoder() -> HashEncoder:
    return HashEncoder("1" * 64, "other")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return tmp_path / "collection"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, two of them with a caption beside them."""
    folder = tmp_path / "photos"
    for name, colour in {
        "red.png": (255, 0, 0),
        "green.png": (0, 255, 0),
        "sub/blue.png": (0, 0, 255),
    }.items():
        draw(folder / name, colour)
    (folder / "red.txt").write_text("a red square")
    (folder / "sub/blue.txt").write_text("a blue square")
    return folder


@pytest.fixture
def index(collection: Path, encoder: HashEncoder) -> Index:
    """``vlsearch index SOURCE`` on the collection."""

    defaults: dict[str, Any] = {"model": encoder, "workers": 2, "pace": NEVER_BY_THE_CLOCK}

    def run(source: Path | str | Corpus, **options: Any) -> indexer.Report:
        return indexer.build(source, collection, **(defaults | options))

    return run
