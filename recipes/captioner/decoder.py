"""The decoder in torch, its weights named as the product's, which computes it in numpy.

A step trains all captions of a photograph in one row, one behind the other, each of which attends to itself alone:
the photograph's places are read once, and little is padding. Attention is computed here and not by torch's fused
kernel, whose backward pass in bfloat16 takes half of a step on a processor.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from recipes.captioner.features import STEP
from recipes.captioner.settings import Shape

KeysValues = tuple[Tensor, Tensor]


class Dropout(nn.Module):
    """Dropout by a pool of masks, cut at a random place: to draw a mask takes longer than to use it."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, given: Tensor) -> Tensor:
        """Set a share of the numbers to 0 in training, and make up for it."""
        if not self.training or not self.share:
            return given
        count = given.numel()
        pool = _mask_pool(self.share, (3 * count).bit_length(), given.dtype)
        start = int(torch.randint(0, len(pool) - count, (1,)))
        return given * pool[start : start + count].view(given.shape)


@functools.cache
def _mask_pool(share: float, bits: int, dtype: torch.dtype) -> Tensor:
    """Make ``2 ** bits`` numbers, 0 or what makes up for it; always the same, so that a run can be gone on with."""
    kept = torch.rand(2**bits, generator=torch.Generator().manual_seed(bits)) >= share
    return kept.to(dtype) / (1 - share)


class Attention(nn.Module):
    """Self-attention behind its norm; with ``past``, of one new token a row."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm = nn.LayerNorm(shape.width)
        self.query_key_value = nn.Linear(shape.width, 3 * shape.width)
        self.output = nn.Linear(shape.width, shape.width)

    def forward(self, given: Tensor, mask: Tensor | None = None, past: list[Tensor] | None = None) -> Tensor:
        """Compute what is added to ``given``, (n, t, width)."""
        query, keys, values = _heads(self.query_key_value(self.norm(given)), 3, self.heads)
        if past is not None:
            if past:
                keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
            past[:] = [keys, values]
        found: Tensor = self.output(_attention(query, keys, values, mask))
        return found


class Look(nn.Module):
    """Attention to the places."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm = nn.LayerNorm(shape.width)
        self.query = nn.Linear(shape.width, shape.width)
        self.key_value = nn.Linear(shape.width, 2 * shape.width)
        self.output = nn.Linear(shape.width, shape.width)

    def forward(self, given: Tensor, places: KeysValues) -> Tensor:
        """Compute what is added to ``given``."""
        (query,) = _heads(self.query(self.norm(given)), 1, self.heads)
        found: Tensor = self.output(_attention(query, *places, None))
        return found


class Feed(nn.Module):
    """Two linear maps with a ReLU between them, behind their norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.width)
        self.widen = nn.Linear(shape.width, shape.hidden)
        self.narrow = nn.Linear(shape.hidden, shape.width)

    def forward(self, given: Tensor) -> Tensor:
        """Compute what is added to ``given``."""
        found: Tensor = self.narrow(functional.relu(self.widen(self.norm(given))))
        return found


class PlaceLayer(nn.Module):
    """A layer over the places of an image."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attention, self.feed = Attention(shape), Feed(shape)
        self.dropout = Dropout(dropout)

    def forward(self, given: Tensor) -> Tensor:
        """Compute the layer."""
        given = given + self.dropout(self.attention(given))
        found: Tensor = given + self.dropout(self.feed(given))
        return found


class WordLayer(nn.Module):
    """A layer over the words of captions, which looks at the places too."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attention, self.look, self.feed = Attention(shape), Look(shape), Feed(shape)
        self.dropout = Dropout(dropout)

    def forward(
        self, given: Tensor, mask: Tensor | None, places: KeysValues, past: list[Tensor] | None
    ) -> Tensor:
        """Compute the layer."""
        given = given + self.dropout(self.attention(given, mask, past))
        given = given + self.dropout(self.look(given, places))
        found: Tensor = given + self.dropout(self.feed(given))
        return found


class Decoder(nn.Module):
    """The whole decoder.

    Args:
        shape: its sizes.
        features: numbers of a place.
        places: of an image.
        vocabulary: tokens.
        dropout: of what each layer adds, in training.
    """

    def __init__(self, shape: Shape, features: int, places: int, vocabulary: int, dropout: float) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        self.places = nn.Linear(features, width)
        self.place_positions = nn.Parameter(torch.randn(places, width) * 0.02)
        self.place_norm, self.memory_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.place_layers = nn.ModuleList(PlaceLayer(shape, dropout) for _ in range(shape.place_layers))
        self.words = nn.Embedding(vocabulary, width)
        self.word_bias = nn.Parameter(torch.zeros(vocabulary))
        self.word_positions = nn.Parameter(torch.randn(shape.context, width) * 0.02)
        self.word_layers = nn.ModuleList(WordLayer(shape, dropout) for _ in range(shape.word_layers))
        self.word_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.words.weight, std=width**-0.5)

    def memory(self, features: Tensor, shown: Tensor | None = None) -> list[KeysValues]:
        """Compute what words look at, by layer.

        Args:
            features: (n, places, features) uint8.
            shown: the places that are there; all by default.
        """
        given = self.places(features.to(self.words.weight.dtype) * STEP)
        positions = self.place_positions if shown is None else self.place_positions[shown]
        given = self.dropout(self.place_norm(given) + positions)
        for layer in self.place_layers:
            given = layer(given)
        given = self.memory_norm(given)
        found = []
        for layer in self.layers_over_words():
            keys, values = _heads(layer.look.key_value(given), 2, self.shape.heads)
            found.append((keys, values))
        return found

    def layers_over_words(self) -> list[WordLayer]:
        """Give them by their type, which a list of torch's forgets."""
        return [layer for layer in self.word_layers if isinstance(layer, WordLayer)]

    def forward(
        self,
        tokens: Tensor,
        places_in_caption: Tensor,
        mask: Tensor | None,
        memory: list[KeysValues],
        past: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """Compute (n, t, width) of (n, t) tokens, from which :meth:`logits` are computed."""
        given = self.words(tokens) * math.sqrt(self.shape.width) + self.word_positions[places_in_caption]
        given = self.dropout(given)
        for number, (layer, places) in enumerate(zip(self.word_layers, memory, strict=True)):
            given = layer(given, mask, places, None if past is None else past[number])
        found: Tensor = self.word_norm(given)
        return found

    def logits(self, hidden: Tensor, span: tuple[int, int]) -> Tensor:
        """Compute float32 logits of the end and of the words of one language, (..., 1 + words)."""
        weight = torch.cat([self.words.weight[:1], self.words.weight[slice(*span)]])
        bias = torch.cat([self.word_bias[:1], self.word_bias[slice(*span)]])
        return functional.linear(hidden, weight, bias).float()


def _heads(given: Tensor, parts: int, heads: int) -> Tensor:
    rows, length, _ = given.shape
    return given.view(rows, length, parts, heads, -1).permute(2, 0, 3, 1, 4)


def _attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ keys.transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    found = torch.softmax(scores, -1) @ values
    return found.transpose(1, 2).flatten(2)
