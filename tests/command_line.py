"""``vlsearch`` as a function, and a model and pictures small enough to use it with in any test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from click.testing import CliRunner, Result
from PIL import Image

from retrieval.cli import main
from retrieval.places import CollectionPlace

COLOURS = {"blue": (30, 40, 220), "green": (40, 200, 60), "red": (220, 30, 40)}


class Run(Protocol):
    """``run("query", "a dog")`` is ``vlsearch query "a dog"`` with these standard input and environment variables."""

    def __call__(
        self,
        *arguments: str | CollectionPlace,
        input: str | bytes | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> Result: ...


def vlsearch(
    *arguments: str | CollectionPlace,
    input: str | bytes | None = None,
    env: Mapping[str, str | None] | None = None,
) -> Result:
    """``vlsearch("query", "a dog")``: the result has stdout, stderr, exit_code and exception."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input, env)


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """A two-tower model with random weights, built in no time."""
    import torch

    from indexer.training.vocabulary import fit_tokenizer
    from retrieval.encoders.two_tower import ImageConfig, TextConfig, TwoTowerConfig, TwoTowerModel
    from retrieval.encoders.two_tower.folder import save

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = fit_tokenizer([f"a {name} square" for name in COLOURS], 60)
        text = TextConfig("bag", tokenizer.get_vocab_size(), 16, 32)
        save(folder, TwoTowerModel(TwoTowerConfig(16, ImageConfig("tiny", 32), text)), tokenizer)
    return folder


def fill_photos(folder: Path) -> Path:
    """red.png, green.png and blue.png, with two captions each beside them."""
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"a {name} square\nall {name}\n", encoding="utf-8")
    return folder
