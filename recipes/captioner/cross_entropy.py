"""The first stage of training: to write what people wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recipes.captioner.decoder import Decoder
from recipes.captioner.optimisation import Optimisation
from recipes.captioner.rows import Rows, classes, make_rows
from recipes.captioner.settings import CrossEntropyPlan
from recipes.captioner.texts import Texts

_CLIP, _MEAN = 2.0, 0.998
_CHECKPOINT, _TELL = 100, 25
_POOL = 20  # steps whose photographs are sorted by the lengths of their captions
LANGUAGES = ("en", "zh")


def train(
    decoder: Decoder,
    views: Sequence[NDArray[np.uint8]],
    texts: Texts,
    plan: CrossEntropyPlan,
    seed: int,
    checkpoint: Path,
) -> dict[str, Tensor]:
    """Train a decoder, or go on from the checkpoint; give the running mean of its weights.

    Args:
        decoder: with its first weights.
        views: features of the training photographs; each time one of them is drawn.
        texts: their captions.
        plan: the stage's settings.
        seed: of what is drawn.
        checkpoint: a file, written every hundred steps.
    """
    descent = Optimisation(decoder, _CLIP, _MEAN)
    descent.restore(checkpoint)
    decoder.train()
    lengths = np.array([sum(map(len, own)) for own in texts.captions])
    while descent.step < plan.steps:
        rng = np.random.default_rng((seed, descent.step))
        torch.manual_seed(seed + descent.step)
        chosen = _photographs(lengths, plan.photographs, seed, descent.step)
        shown = np.sort(rng.choice(views[0].shape[1], plan.places, replace=False))
        features = np.stack([views[int(rng.integers(len(views)))][one][shown] for one in chosen])
        rows = make_rows([texts.captions[one] for one in chosen], plan.forgotten, rng)
        memory = decoder.memory(torch.from_numpy(features), torch.from_numpy(shown))
        hidden = decoder(rows.tokens, rows.places, rows.mask, memory)
        loss = _loss(decoder, hidden, rows, texts, plan.smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        descent.take(plan.rate * _share(descent.step, plan))
        if descent.step % _TELL == 0:
            print(f"cross-entropy {descent.step}/{plan.steps}: {loss.item():.3f}", flush=True)
        if descent.step % _CHECKPOINT == 0 or descent.step == plan.steps:
            descent.save(checkpoint)
    return descent.mean_state()


def _photographs(lengths: NDArray[np.int64], of_a_step: int, seed: int, step: int) -> list[int]:
    """Choose those of a step: each once before any comes again, like lengths together: so little is padding."""
    count = len(lengths)
    steps = math.ceil(count / of_a_step)
    rng = np.random.default_rng((seed, step // steps, 1))
    order = rng.permutation(count)
    pools = [order[start : start + _POOL * of_a_step] for start in range(0, count, _POOL * of_a_step)]
    order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    place = int(rng.permutation(steps)[step % steps]) * of_a_step
    return [int(one) for one in order[place : place + of_a_step]]


def _loss(decoder: Decoder, hidden: Tensor, rows: Rows, texts: Texts, smoothing: float) -> Tensor:
    """The mean over wanted tokens, each among the words of its language."""
    total, count = hidden.new_zeros((), dtype=torch.float32), 0
    for language in LANGUAGES:
        span, here = texts.span(language), rows.of(language)
        wanted = classes(rows.wanted[here], span[0])
        logits = decoder.logits(hidden[here], span)
        total = total + functional.cross_entropy(logits, wanted, label_smoothing=smoothing, reduction="sum")
        count += len(wanted)
    return total / count


def _share(step: int, plan: CrossEntropyPlan) -> float:
    """The share of the highest rate at a step."""
    risen = min(1.0, (step + 1) / plan.warm_up)
    return risen * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / plan.steps)))
