"""The second stage of training: captions that are drawn learn from what they are worth (Rennie et al., CVPR 2017).

Each drawn caption is compared with the mean of the others of its photograph and language.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recipes.captioner.cross_entropy import LANGUAGES
from recipes.captioner.decoder import Decoder, Dropout, KeysValues
from recipes.captioner.optimisation import Optimisation
from recipes.captioner.photographs import Captions
from recipes.captioner.reward import Reward
from recipes.captioner.rows import classes, make_rows
from recipes.captioner.settings import SelfCriticalPlan
from recipes.captioner.texts import BEGIN, SPECIAL, Texts
from retrieval.evaluation.captioning.ngrams import Tokens
from retrieval.evaluation.captioning.tokens import tokens_of
from retrieval.generators.captioner.config import END

_CLIP, _MEAN, _WARM_UP = 1.0, 0.98, 20
_CHECKPOINT, _TELL = 50, 20
_MOST = {"en": 20, "zh": 12}
_NEVER = -1e9


def train(
    decoder: Decoder,
    start: dict[str, Tensor],
    features: NDArray[np.uint8],
    captions: Captions,
    texts: Texts,
    plan: SelfCriticalPlan,
    seed: int,
    checkpoint: Path,
) -> dict[str, Tensor]:
    """Train a decoder that begins with ``start``, or go on from the checkpoint; else as in the first stage."""
    descent = Optimisation(decoder, _CLIP, _MEAN)
    descent.begin_with(start)
    descent.restore(checkpoint)
    for module in decoder.modules():
        if isinstance(module, Dropout):
            module.share = 0.0
    rewards = {language: Reward(_references(captions, language)) for language in LANGUAGES}
    while descent.step < plan.steps:
        rng = np.random.default_rng((seed, descent.step, 2))
        torch.manual_seed(seed + descent.step)
        chosen = sorted(rng.choice(len(features), plan.photographs, replace=False).tolist())
        shown = torch.from_numpy(np.stack([features[one] for one in chosen]))
        drawn = {language: _drawn(decoder, shown, texts, language, plan.drawn) for language in LANGUAGES}
        gains = [
            [gain for tag in LANGUAGES for gain in _gains(rewards[tag], one, drawn[tag][row], texts, tag)]
            for row, one in enumerate(chosen)
        ]
        rows = make_rows([[*drawn["en"][row], *drawn["zh"][row]] for row in range(len(chosen))], 0.0, rng)
        hidden = decoder(rows.tokens, rows.places, rows.mask, decoder.memory(shown))
        weight = torch.tensor(gains).gather(1, rows.captions.clamp_min(0))
        total = hidden.new_zeros((), dtype=torch.float32)
        for language in LANGUAGES:
            span, here = texts.span(language), rows.of(language)
            logits = decoder.logits(hidden[here], span)
            surprise = functional.cross_entropy(logits, classes(rows.wanted[here], span[0]), reduction="none")
            total = total + (surprise * weight[here]).sum()
        (total / int((rows.captions >= 0).sum())).backward()
        risen = min(1.0, (descent.step + 1) / _WARM_UP)
        descent.take(plan.rate * risen * (0.1 + 0.9 * (1 - descent.step / plan.steps)))
        if descent.step % _TELL == 0:
            print(f"self-critical {descent.step}/{plan.steps}", flush=True)
        if descent.step % _CHECKPOINT == 0 or descent.step == plan.steps:
            descent.save(checkpoint)
    return descent.mean_state()


def _references(captions: Captions, language: str) -> list[list[Tokens]]:
    own = captions.english if language == "en" else captions.chinese
    return [[(*tokens_of(text, language), SPECIAL[END]) for text in some] for some in own]


def _gains(
    reward: Reward, photograph: int, drawn: Sequence[Sequence[int]], texts: Texts, language: str
) -> list[float]:
    """Give what each drawn caption is worth more than the mean of the others."""
    joiner = " " if language == "en" else ""
    worth = []
    for caption in drawn:
        words = [texts.words[token] for token in caption[1:] if token != END]
        tokens = tokens_of(joiner.join(words), language)
        worth.append(reward.of(photograph, (*tokens, *([SPECIAL[END]] if caption[-1] == END else []))))
    return [one - (sum(worth) - one) / (len(worth) - 1) for one in worth]


@torch.no_grad()
def _drawn(decoder: Decoder, shown: Tensor, texts: Texts, language: str, count: int) -> list[list[list[int]]]:
    """Draw captions of photographs, each with its begin and, unless it grew too long, its end."""
    span = texts.span(language)
    memory: list[KeysValues] = [
        (keys.repeat_interleave(count, 0), values.repeat_interleave(count, 0))
        for keys, values in decoder.memory(shown)
    ]
    past: list[list[Tensor]] = [[] for _ in memory]
    tokens = torch.full((len(shown) * count, 1), BEGIN[language])
    ended = torch.zeros(len(tokens), dtype=torch.bool)
    written = [tokens]
    for place in range(_MOST[language]):
        hidden = decoder(tokens, torch.tensor([place]), None, memory, past)
        logits = decoder.logits(hidden[:, -1], span)
        if place == 0:
            logits[:, END] = _NEVER
        tokens = _one_of(logits.softmax(-1))
        tokens = torch.where(tokens == END, tokens, tokens + span[0] - 1).masked_fill(ended[:, None], END)
        ended |= tokens[:, 0] == END
        written.append(tokens)
        if bool(ended.all()):
            break
    rows = [_until_end(row) for row in torch.cat(written, 1).tolist()]
    return [rows[start : start + count] for start in range(0, len(rows), count)]


def _one_of(shares: Tensor) -> Tensor:
    """Draw a column of each row by its share, (n, 1); torch.multinomial took most of a step on a processor."""
    below = shares.cumsum(-1)
    drawn = (1 - torch.rand(len(shares), 1)) * below[
        :, -1:
    ]  # above 0: a column without a share is never drawn
    return (below < drawn).sum(-1, keepdim=True)


def _until_end(row: list[int]) -> list[int]:
    return row[: row.index(END) + 1] if END in row else row
