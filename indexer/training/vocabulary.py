"""A tokenizer fitted to captions, the same every time."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer

_SPECIAL = ("[PAD]", "[UNK]")
_DIGITS = 6  # of log probabilities; the library sums them in another order each time, which moves the twelfth


def fit_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Fit a unigram tokenizer (Kudo, 2018) to texts in lower case; id 0 is padding, id 1 an unknown piece.

    Pieces, scores and ids depend on the texts alone. The library's own differ from process to process: pieces of equal
    or nearly equal score change places, and with them the embeddings that they start from.
    """
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Metaspace()]
    )
    trainer = UnigramTrainer(
        vocab_size=vocabulary, special_tokens=[*_SPECIAL], unk_token=_SPECIAL[1], show_progress=False
    )
    tokenizer.train_from_iterator((text.lower() for text in texts), trainer)
    facts = json.loads(tokenizer.to_str())
    pieces = [(piece, round(score, _DIGITS)) for piece, score in facts["model"]["vocab"]]
    special, fitted = pieces[: len(_SPECIAL)], pieces[len(_SPECIAL) :]
    facts["model"]["vocab"] = [*special, *sorted(fitted, key=lambda one: (-one[1], one[0]))]
    return Tokenizer.from_str(json.dumps(facts))
