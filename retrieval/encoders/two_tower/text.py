"""Texts to padded token ids: the tokenizer that feeds the text towers. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retrieval.encoders.tokenizer_files import cut, tokenizer_faults
from retrieval.encoders.two_tower.config import TextConfig

if TYPE_CHECKING:
    from torch import Tensor

PAD = 0
"""Token id of the padding."""

_BUCKETS = (8, 16, 32, 64, 128, 256, 512)


def token_ids(tokenizer: Tokenizer, config: TextConfig, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, at least one and at most ``config.context``."""
    short = [cut(text, config.context) for text in texts]
    words = [text.lower() if config.lowercase else text for text in short]
    with tokenizer_faults("the model"):
        return [encoding.ids[: config.context] or [1] for encoding in tokenizer.encode_batch(words)]


def padded_length(count: int, context: int) -> int:
    """Length that a text of ``count`` tokens is padded to: a function of that text alone."""
    return next((min(size, context) for size in _BUCKETS if size >= count), context)


def pad(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Token ids as an int64 tensor, (B, length)."""
    import torch  # late: a query of words to a bag needs none

    return torch.from_numpy(padded(rows, length))


def padded(rows: Sequence[Sequence[int]], length: int) -> NDArray[np.int64]:
    """Token ids as an int64 array, (B, length)."""
    return np.array([[*row, *([PAD] * (length - len(row)))] for row in rows], np.int64)


def train_tokenizer(texts: Sequence[str], vocabulary: int, lowercase: bool = True) -> Tokenizer:
    """A unigram tokenizer (Kudo, 2018) fitted to texts; id 0 pads, id 1 is what no piece covers."""
    from tokenizers import normalizers, pre_tokenizers
    from tokenizers.models import Unigram
    from tokenizers.trainers import UnigramTrainer

    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Metaspace()]
    )
    trainer = UnigramTrainer(
        vocab_size=vocabulary, special_tokens=["[PAD]", "[UNK]"], unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator((t.lower() if lowercase else t for t in texts), trainer)
    return tokenizer
