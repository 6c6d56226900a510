"""A tokenizer fitted to captions, the same every time."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import Tokenizer

from retrieval.encoders.two_tower.tokenization import train_tokenizer

_SPECIAL = 2  # [PAD] and [UNK] keep their ids
_DIGITS = 6  # of log probabilities; the library sums them in another order each time, which moves the twelfth


def fit_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Fit a unigram tokenizer whose pieces, scores and ids depend on the texts alone.

    The library's own differs from process to process: pieces of equal or nearly equal score change places, and with
    them the embeddings that they start from.
    """
    facts = json.loads(train_tokenizer(texts, vocabulary).to_str())
    pieces = [(piece, round(score, _DIGITS)) for piece, score in facts["model"]["vocab"]]
    special, fitted = pieces[:_SPECIAL], pieces[_SPECIAL:]
    facts["model"]["vocab"] = [*special, *sorted(fitted, key=lambda one: (-one[1], one[0]))]
    return Tokenizer.from_str(json.dumps(facts))
