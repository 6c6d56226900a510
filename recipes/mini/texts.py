"""Texts about the photographs: captions, pseudo-captions and names; and what the text tower says of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from recipes.mini.names import Names
from recipes.mini.photographs import Photograph
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.tokenization import pad, token_ids

_CHUNK = 256
_GUESSED = 6

Said = tuple[str, frozenset[str]]
"""A text and the labels of the things that it mentions."""


class TextEncoder:
    """The text tower of a model, to train or to ask."""

    def __init__(self, model: TwoTowerModel, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def encode(self, texts: Sequence[str]) -> Tensor:
        """(n, D) unit rows."""
        rows, found = [], []
        for own, ids in self.batches(texts):
            rows += own
            found.append(self.model.encode_texts(ids))
        place = torch.empty(len(rows), dtype=torch.long)
        place[torch.tensor(rows)] = torch.arange(len(rows))
        return torch.cat(found)[place]

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """The places of texts of like length, and their padded ids, until all texts had their turn."""
        rows = token_ids(self.tokenizer, self.model.config.text, texts)
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        for start in range(0, len(order), _CHUNK):
            own = order[start : start + _CHUNK]
            yield own, pad([rows[i] for i in own], len(rows[own[-1]]))

    @torch.no_grad()
    def rows(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same as numpy rows, without a gradient."""
        rows: NDArray[np.float32] = self.encode(texts).numpy()
        return rows


@dataclass(frozen=True)
class TextRows:
    """Vectors of texts, computed when they are first needed, while the text tower stays as it is."""

    encoder: TextEncoder
    known: dict[str, Tensor]

    @torch.no_grad()
    def of(self, texts: Sequence[str]) -> Tensor:
        """(n, D) unit rows."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known.update(zip(new, self.encoder.encode(new), strict=True))
        return torch.stack([self.known[text] for text in texts])


def guess_captions(
    photographs: Sequence[Photograph],
    images: NDArray[np.float32],
    captions: Sequence[str],
    texts: NDArray[np.float32],
    names: Names,
) -> list[list[Said]]:
    """Pseudo-captions of labelled photographs: captions of other photographs that mention nothing but their labels.

    Of those that mention most of a photograph's labels, the nearest to it in the start's space.

    Args:
        photographs: with labels.
        images: (n, D) their unit rows.
        captions: to choose from.
        texts: (m, D) their unit rows.
        names: find what a caption mentions.
    """
    mentioned = [names.mentioned(text) for text in captions]
    has = np.zeros((len(captions), len(names.all)), bool)
    for row, labels in enumerate(mentioned):
        has[row, [names.place[label] for label in labels]] = True
    counts = has.sum(1)
    found: list[list[Said]] = []
    for photograph, image in zip(photographs, images, strict=True):
        own = np.zeros(len(names.all), bool)
        own[[names.place[label] for label in photograph.labels]] = True
        allowed = np.flatnonzero((counts > 0) & ~(has & ~own).any(1))
        worth = texts[allowed] @ image + 0.05 * np.minimum(counts[allowed], 3)
        best = allowed[np.argsort(-worth, kind="stable")[:_GUESSED]]
        found.append([(captions[row], mentioned[row]) for row in best])
    return found


@dataclass(frozen=True)
class Drawn:
    """Texts of a batch of photographs.

    Attributes:
        texts: in order.
        owners: the place of each text's photograph in the batch.
        labels: what each mentions; None of a caption whose things are not known.
    """

    texts: list[str]
    owners: list[int]
    labels: list[frozenset[str] | None]

    def relation(self, batch: Sequence[Photograph]) -> tuple[Tensor, Tensor]:
        """(photographs, texts) bool: which texts describe which photographs, and which might."""
        positive = torch.zeros(len(batch), len(self.texts), dtype=torch.bool)
        positive[torch.tensor(self.owners), torch.arange(len(self.texts))] = True
        unknown = torch.zeros_like(positive)
        for column, labels in enumerate(self.labels):
            if labels is not None:
                unknown[:, column] = torch.tensor(
                    [not photograph.labels or labels <= set(photograph.labels) for photograph in batch]
                )
        return positive, unknown & ~positive


def draw_texts(
    batch: Sequence[Photograph],
    guessed: Sequence[Sequence[Said]],
    names: Names,
    rng: random.Random,
    composed: float = 0.5,
) -> Drawn:
    """Of a captioned photograph a caption of each language, of a labelled one two texts.

    Args:
        batch: photographs.
        guessed: pseudo-captions of each; none of captioned ones.
        names: compose short captions of labels.
        rng: chooses.
        composed: share of composed captions among the texts of labelled photographs.
    """
    texts: list[str] = []
    owners: list[int] = []
    labels: list[frozenset[str] | None] = []
    for place, (photograph, own) in enumerate(zip(batch, guessed, strict=True)):
        drawn: list[tuple[str, frozenset[str] | None]] = []
        if photograph.english:
            drawn = [(rng.choice(photograph.english), None), (rng.choice(photograph.chinese), None)]
        elif photograph.labels:
            if photograph.chinese and rng.random() < 0.5:
                drawn.append((rng.choice(photograph.chinese), frozenset(photograph.labels)))
            else:
                drawn.append(names.compose(photograph.labels, rng, "zh"))
            if own and rng.random() >= composed:
                drawn.append(rng.choice(own))
            else:
                drawn.append(names.compose(photograph.labels, rng, "en"))
        for text, mentioned in drawn:
            texts.append(text)
            owners.append(place)
            labels.append(mentioned)
    return Drawn(texts, owners, labels)


def present(photographs: Sequence[Photograph], names: Names) -> Tensor:
    """(photographs, names) bool: what the labels say."""
    return torch.tensor([[one.label in photograph.labels for one in names.all] for photograph in photographs])


class NameScores(nn.Module):
    """Logits of names from similarities: one temperature, and a bias of each name."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(3.4))
        self.bias = nn.Parameter(torch.zeros(count))

    def forward(self, similarities: Tensor) -> Tensor:
        """(photographs, names) logits."""
        logits: Tensor = self.log_scale.exp().clamp(max=100) * similarities + self.bias
        return logits

    @torch.no_grad()
    def fit(self, similarities: Tensor, positive: Tensor, steps: int = 200) -> None:
        """Calibrate both on (n, names) similarities, so that training does not begin with that."""
        self.bias.copy_(-self.log_scale.exp() * similarities.mean(0) - 3)
        optimizer = torch.optim.Adam(self.parameters(), 0.05)
        with torch.enable_grad():
            for _ in range(steps):
                optimizer.zero_grad()
                loss = nn.functional.binary_cross_entropy_with_logits(self(similarities), positive.float())
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()


def read_captions(path: Path) -> list[str]:
    """The lines of a file of captions, without repetitions."""
    return list(
        dict.fromkeys(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    )
