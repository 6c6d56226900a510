"""A tiny model in a folder, three pictures with captions, a collection of them, and the command line to use on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from retrieval.cli import main
from retrieval.encoders.two_tower import ImageConfig, TextConfig, TwoTowerConfig, TwoTowerModel
from retrieval.encoders.two_tower.encoder import save
from retrieval.encoders.two_tower.text import train_tokenizer

COLOURS = {"blue": (30, 40, 220), "green": (40, 200, 60), "red": (220, 30, 40)}

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-tower model with random weights, small enough to be built in no time."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer([f"a {name} square" for name in COLOURS], 60)
    text = TextConfig("bag", tokenizer.get_vocab_size(), 16, 32)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save(folder, TwoTowerModel(TwoTowerConfig(16, ImageConfig("tiny", 32), text)), tokenizer)
    return folder


@pytest.fixture(scope="session")
def run() -> Run:
    """``run("query", "a dog")`` is ``vlsearch query "a dog"``; its result has stdout, stderr and exit_code."""

    def call(*arguments: str | Path, **settings: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], **settings)

    return call


def fill_photos(folder: Path) -> Path:
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"a {name} square\nall {name}\n", encoding="utf-8")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """red.png, green.png and blue.png, with two captions each beside them."""
    return fill_photos(tmp_path / "photos")


@pytest.fixture(scope="session")
def _indexed(tmp_path_factory: pytest.TempPathFactory, model: Path, run: Run) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("indexed")
    photos = fill_photos(folder / "photos")
    done = run("index", photos, "--model", model, "--collection", folder / "collection")
    assert done.exit_code == 0, done.output
    return photos, folder / "collection"


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
