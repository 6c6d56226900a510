"""A whole run over a corpus: read, cache, build, train, and the files that tell about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from PIL.Image import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from indexer.training.data import Pairs, cache_pairs
from indexer.training.loop import Recipe, Report, train_all
from retrieval.encoders.two_tower.backbones import torchvision_state
from retrieval.encoders.two_tower.config import (
    ImageBackbone,
    ImageConfig,
    TextBackbone,
    TextConfig,
    TwoTowerConfig,
)
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.text import load_tokenizer, train_tokenizer
from retrieval.errors import TrainingError
from retrieval.types import Limits, Picture


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What is trained, and how much of the corpus is held out."""

    image_backbone: str
    image_weights: Path | None
    tf_padding: bool
    text_backbone: str
    val_share: float


def train_corpus(corpus: str, out: Path, settings: RunSettings, recipe: Recipe, report: Report) -> None:
    """Train on a corpus; ``out`` gets config, metrics.jsonl, the checkpoint and ``best``, a model folder."""
    from indexer.corpora import CorpusOptions, open_corpus

    out.mkdir(parents=True, exist_ok=True)
    pairs, failed = cache_pairs(
        open_corpus(corpus, CorpusOptions()).entries(), _decoder(), out / "pixels", 224
    )
    train, val = pairs.split(settings.val_share, recipe.seed)
    facts = {"corpus": corpus, "settings": asdict(settings), "recipe": asdict(recipe)}
    (out / "run.json").write_text(json.dumps(facts, indent=2, default=str) + "\n", encoding="utf-8")

    def log(line: dict[str, object]) -> None:
        with (out / "metrics.jsonl").open("a", encoding="utf-8") as metrics:
            metrics.write(json.dumps(line) + "\n")
        report(line)

    log({"stage": "data", "train": len(train.captions), "val": len(val.captions), "failed": failed})
    fit(train, val, out, settings, recipe, log)


def fit(train: Pairs, val: Pairs, out: Path, settings: RunSettings, recipe: Recipe, report: Report) -> None:
    """Build tokenizer and model from the settings and train them."""
    saved = out / "tokenizer.json"
    if (
        not saved.exists()
    ):  # a resumed run needs the same one, and fitting it again may order equal pieces anew
        fitted = train_tokenizer([text for own in train.captions for _, text in own], 8000)
        saved.write_text(fitted.to_str(), encoding="utf-8")
    tokenizer = load_tokenizer(saved)
    torch.manual_seed(recipe.seed)
    half = (0.50196, 0.50196, 0.50196)
    image = ImageConfig(cast(ImageBackbone, settings.image_backbone), recipe.train_size)
    if settings.tf_padding:
        image = ImageConfig(
            image.backbone,
            image.size,
            half,
            half,
            tf_padding=True,
        )
    text = TextConfig(cast(TextBackbone, settings.text_backbone), tokenizer.get_vocab_size())
    model = TwoTowerModel(TwoTowerConfig(512, image, text))
    if settings.image_weights is not None:
        load_image_weights(model, settings.image_weights)
    train_all(model, tokenizer, train, val, recipe, out, report)


def load_image_weights(model: TwoTowerModel, path: Path) -> None:
    """Start the image backbone from a torchvision classifier; TrainingError where the file does not fit."""
    try:
        model.image.load_state_dict(torchvision_state(model.config.image, load_file(path)))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{path} holds no weights of {model.config.image.backbone} ({reason}); name others"
        ) from error


def _decoder() -> Callable[[Picture], Image]:
    from retrieval.fetch import read_bytes
    from retrieval.images import decode

    limits = Limits()
    return lambda picture: decode(read_bytes(picture.location, limits), limits, 224)
