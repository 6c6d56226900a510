"""Texts to padded token ids: the tokenizer that feeds the text towers. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.config import TextConfig
from retrieval.hub.tokenizer_files import cut, tokenizer_faults

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

PAD = 0
"""Token id of the padding."""

_LENGTHS = (8, 16, 32, 64, 128, 256, 512)
_FEW = 16  # texts that are cut one after the other: waking the threads of a batch takes longer


class UnigramTokens:
    """The tokenizer of a two-tower model, as :class:`retrieval.encoders.tower_encoder.Tokenization`.

    Args:
        load: gives it; called at the first text.
        config: of the text tower.
    """

    def __init__(self, load: Callable[[], Tokenizer], config: TextConfig) -> None:
        self._load, self.config = load, config

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded when it is first needed."""
        return self._load()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize each text; see :func:`token_ids`."""
        return token_ids(self.tokenizer, self.config, texts)

    def padded_length(self, ids: Sequence[int]) -> int:
        """Return the length that a row of ids is padded to."""
        return padded_length(len(ids), self.config.context)

    def pad(self, rows: Sequence[Sequence[int]], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Fill rows up to (n, length) ids; also give (n, length) bool, true where a token is the text's."""
        ids = padded(rows, length)
        return ids, ids != PAD

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Give the first character of each token of a text and the one behind its last, in order.

        Raises:
            ModelError: the tokenizer fails.
        """
        with tokenizer_faults("the model"):
            offsets: list[tuple[int, int]] = self.tokenizer.encode(cut(text, self.config.context)).offsets
        return offsets


def token_ids(tokenizer: Tokenizer, config: TextConfig, texts: Sequence[str]) -> list[list[int]]:
    """Tokenize each text to at least one id and at most ``config.context``.

    Raises:
        ModelError: the tokenizer fails, or gives an id that the model has no vector for.
    """
    short = [cut(text, config.context) for text in texts]
    words = [text.lower() if config.lowercase else text for text in short]
    with tokenizer_faults("the model"):
        few = len(words) <= _FEW
        encodings = map(tokenizer.encode, words) if few else tokenizer.encode_batch(words)
        rows = [encoding.ids[: config.context] or [1] for encoding in encodings]
        largest = max((max(row) for row in rows), default=0)
        if largest >= config.vocabulary:
            raise ValueError(
                f"it gives the token id {largest}, and the model has {config.vocabulary} vectors"
            )
        return rows


def padded_length(count: int, context: int) -> int:
    """Return the length that a text of ``count`` tokens is padded to: a function of that text alone."""
    return next((min(size, context) for size in _LENGTHS if size >= count), context)


def pad(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Pad token ids to an int64 tensor, (B, length)."""
    import torch  # late: a query of words to a bag does not need it

    return torch.from_numpy(padded(rows, length))


def padded(rows: Sequence[Sequence[int]], length: int) -> NDArray[np.int64]:
    """Pad token ids to an int64 array, (B, length)."""
    return np.array([[*row, *([PAD] * (length - len(row)))] for row in rows], np.int64)
