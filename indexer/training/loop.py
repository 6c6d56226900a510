"""The training loop: the text tower learns from a teacher, then heads on frozen features, then everything.

Batch norm stays in eval mode throughout: the statistics of ImageNet are better than those of small batches.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from indexer.training.checkpoint import Progress, read_checkpoint, write_checkpoint
from indexer.training.data import Pairs, augment, draw_captions, is_sided
from indexer.training.losses import distillation, info_nce
from indexer.training.schedule import parameter_groups, warmup_cosine
from indexer.training.validation import validate
from retrieval.encoders.two_tower.encoder import save
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.text import pad, padded_length, token_ids

Report = Callable[[dict[str, object]], None]
"""Takes one line of metrics."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a run; two runs with equal settings, data and machine give equal weights."""

    epochs: int = 8
    head_epochs: int = 0
    distil_epochs: int = 0
    batch_size: int = 128
    train_size: int = 224
    image_rate: float = 3e-4
    text_rate: float = 1e-3
    head_rate: float = 1e-3
    weight_decay: float = 0.05
    frozen_stages: int = 0
    ema: float = 0.98
    seed: int = 0


def distil_texts(
    model: TwoTowerModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    teacher: NDArray[np.floating],
    recipe: Recipe,
    report: Report,
) -> None:
    """Pull the text tower towards a teacher's rows, (len(texts), any), through a head that is thrown away."""
    torch.manual_seed(recipe.seed)
    ids = token_ids(tokenizer, model.config.text, texts)
    centred = torch.from_numpy(np.asarray(teacher, np.float32) - np.asarray(teacher, np.float32).mean(0))
    head = nn.Linear(model.text.dimension, centred.shape[1])
    parts = [(model.text, recipe.text_rate * 2), (head, recipe.text_rate * 2)]
    optimizer = torch.optim.AdamW(parameter_groups(parts, 0.0), fused=True)
    size = 512
    total = recipe.distil_epochs * -(-len(ids) // size)
    step = 0
    for epoch in range(recipe.distil_epochs):
        order = np.random.default_rng((recipe.seed, 1, epoch)).permutation(len(ids))
        losses = []
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = [ids[r] for r in rows]
            length = padded_length(max(map(len, batch)), model.config.text.context)
            loss = distillation(head(model.text(pad(batch, length))), centred[rows])
            losses.append(_step(optimizer, loss, step, total))
            step += 1
        report({"stage": "distil", "epoch": epoch + 1, "loss": float(np.mean(losses))})


def train_heads(
    model: TwoTowerModel,
    tokenizer: Tokenizer,
    features: Tensor,
    captions: Sequence[Sequence[tuple[str, str]]],
    recipe: Recipe,
    report: Report,
) -> None:
    """InfoNCE on the text tower and both projections, over image features, (n, F), computed once."""
    parts = [
        (model.text, recipe.text_rate / 2),
        (model.text_projection, recipe.head_rate),
        (model.image_projection, recipe.head_rate),
    ]
    groups = parameter_groups(parts, recipe.weight_decay)
    groups.append({"params": [model.log_scale], "lr": 1e-3, "peak": 1e-3, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, fused=True)
    size = 512
    steps = max(1, len(features) // size)
    for epoch in range(recipe.head_epochs):
        rng = np.random.default_rng((recipe.seed, 2, epoch))
        order = rng.permutation(len(features))
        losses = []
        for i in range(steps):
            rows = order[i * size : (i + 1) * size]
            texts, owners = draw_captions(captions, rows.tolist(), rng)
            noisy = nn.functional.dropout(features[rows], 0.2)
            loss = _contrast(model, tokenizer, model.project_image(noisy), texts, owners)
            losses.append(_step(optimizer, loss, epoch * steps + i, recipe.head_epochs * steps))
        report({"stage": "heads", "epoch": epoch + 1, "loss": float(np.mean(losses))})


def train_all(
    model: TwoTowerModel,
    tokenizer: Tokenizer,
    train: Pairs,
    val: Pairs,
    recipe: Recipe,
    out: Path,
    report: Report,
) -> dict[str, dict[str, float]]:
    """Fine-tune both towers; ``out`` gets a checkpoint an epoch, the best averaged weights go to ``best``.

    Goes on from a checkpoint in ``out``. Returns the validation figures of the last epoch, by language.
    """
    # --- what is trained
    stages = list(model.image.features)
    for stage in stages[: recipe.frozen_stages]:
        stage.requires_grad_(False)
    parts = [
        (model.image, recipe.image_rate),
        (model.image_projection, recipe.head_rate),
        (model.text, recipe.text_rate),
        (model.text_projection, recipe.head_rate),
    ]
    groups = parameter_groups(parts, recipe.weight_decay)
    groups.append({"params": [model.log_scale], "lr": 1e-3, "peak": 1e-3, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, fused=True)
    steps = max(1, len(train.captions) // recipe.batch_size)
    total = steps * recipe.epochs
    averaged = {n: v.detach().clone() for n, v in model.state_dict().items()}

    # --- where an earlier run stopped
    digest = hashlib.sha256(
        json.dumps([asdict(recipe), model.config.to_json()], sort_keys=True).encode()
    ).hexdigest()
    at = read_checkpoint(out, model, optimizer, averaged, digest) or Progress(0, digest, -1.0)
    figures: dict[str, dict[str, float]] = {}

    # --- the loop
    for epoch in range(at.epoch, recipe.epochs):
        model.eval()  # batch norm by its stored statistics; the towers have no other layer that cares
        rng = np.random.default_rng((recipe.seed, 3, epoch))
        order = rng.permutation(len(train.captions))
        losses, started = [], time.monotonic()
        for i in range(steps):
            rows = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
            texts, owners = draw_captions(train.captions, rows.tolist(), rng)
            sided = {owner for owner, text in zip(owners, texts, strict=True) if is_sided(text)}
            may_flip = [place not in sided for place in range(len(rows))]
            pixels = augment(train.pixels[rows], recipe.train_size, may_flip, rng)
            images = model.project_image(model.image_features(pixels))
            loss = _contrast(model, tokenizer, images, texts, owners)
            losses.append(_step(optimizer, loss, epoch * steps + i, total))
            _average(averaged, model, recipe.ema)
            if i % 10 == 9:
                rate = (i + 1) * recipe.batch_size / (time.monotonic() - started)
                report(
                    {
                        "stage": "all",
                        "epoch": epoch + 1,
                        "step": i + 1,
                        "loss": float(np.mean(losses[-10:])),
                        "images_per_second": rate,
                        "eta_s": (total - epoch * steps - i - 1) * recipe.batch_size / rate,
                    }
                )
        figures, best = _judge(model, averaged, tokenizer, val, out, at.best)
        at = Progress(epoch + 1, digest, best)
        report({"stage": "all", "epoch": epoch + 1, "loss": float(np.mean(losses)), "val": figures})
        write_checkpoint(out, model, optimizer, averaged, at)
    return figures


def _contrast(
    model: TwoTowerModel, tokenizer: Tokenizer, images: Tensor, texts: Sequence[str], owners: Sequence[int]
) -> Tensor:
    ids = token_ids(tokenizer, model.config.text, texts)
    length = padded_length(max(map(len, ids)), model.config.text.context)
    positives = torch.arange(len(images))[:, None] == torch.tensor(owners)[None]
    return info_nce(images, model.encode_texts(pad(ids, length)), positives, model.scale())


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, step: int, total: int) -> float:
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * warmup_cosine(step, max(1, total // 20), total)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
    optimizer.step()
    return float(loss.detach())


def _average(averaged: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                averaged[name].lerp_(value, 1 - decay)
            else:
                averaged[name].copy_(value)


def _judge(
    model: TwoTowerModel,
    averaged: dict[str, Tensor],
    tokenizer: Tokenizer,
    val: Pairs,
    out: Path,
    best: float,
) -> tuple[dict[str, dict[str, float]], float]:
    live = {n: v.detach().clone() for n, v in model.state_dict().items()}
    model.load_state_dict(averaged)
    figures = validate(model, tokenizer, val)
    mean = float(np.mean([f["t2i_r1"] + f["i2t_r1"] for f in figures.values()]))
    if mean > best:
        save(out / "best", model, tokenizer)
    model.load_state_dict(live)
    return figures, max(best, mean)
