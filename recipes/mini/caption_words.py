"""Words of captions as queries: which of the captioned photographs each finds.

Hardly any caption is one word long, yet a word is what people type first. Several people described each photograph,
so a word that two of them chose is in it, and a word that none of them chose most likely is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from recipes.mini.photographs import Photograph
from recipes.mini.vocabulary import is_chinese

ENGLISH_FORMS, CHINESE_FORMS = ("{}", "a {}", "a photo of a {}"), ("{}", "{}的照片")
_LEAST = 20  # photographs that a word is right for
_MOST = 0.4  # of all photographs; beyond are "in" and "the"


@dataclass(frozen=True)
class CaptionWords:
    """Words, and the photographs that they are right for.

    Attributes:
        words: English ones, then Chinese ones, each sorted.
        right: (photographs, words) bool: two captions of the photograph or more have the word.
        unsure: (photographs, words) bool: one has, or a longer word of a caption has it within.
    """

    words: Sequence[str]
    right: Tensor
    unsure: Tensor

    def forms(self) -> list[tuple[str, ...]]:
        """The queries of each word; the word alone is the first."""
        return [
            tuple(form.format(word) for form in (CHINESE_FORMS if is_chinese(word) else ENGLISH_FORMS))
            for word in self.words
        ]


def caption_words(photographs: Sequence[Photograph], tokenizer: Tokenizer) -> CaptionWords:
    """The words that are right for some photographs and not for most.

    Args:
        photographs: with captions.
        tokenizer: its pieces are the words of Chinese, which has no spaces.
    """
    english = _without_plurals(
        [[re.findall("[a-z][a-z]+", text.lower()) for text in one.english] for one in photographs]
    )
    chinese = [
        [
            [piece for piece in own.tokens if is_chinese(piece)]
            for own in tokenizer.encode_batch(list(one.chinese))
        ]
        for one in photographs
    ]
    counts = [[_captions_with(own) for own in language] for language in (english, chinese)]
    words = [word for language in counts for word in _frequent(language)]
    said = torch.tensor([[max(en[word], zh[word]) for word in words] for en, zh in zip(*counts, strict=True)])
    within = torch.tensor([[word in text for word in words] for text in _joined(photographs)])
    return CaptionWords(words, said >= 2, (said < 2) & ((said > 0) | within))


def _frequent(counts: Sequence[Counter[str]]) -> list[str]:
    right = Counter(word for own in counts for word, count in own.items() if count >= 2)
    return sorted(word for word, number in right.items() if _LEAST <= number <= _MOST * len(counts))


def _captions_with(captions: Iterable[Sequence[str]]) -> Counter[str]:
    return Counter(word for caption in captions for word in set(caption))


def _without_plurals(photographs: list[list[list[str]]]) -> list[list[list[str]]]:
    known = {word for captions in photographs for caption in captions for word in caption}
    return [
        [
            [word[:-1] if word[-1] == "s" and word[:-1] in known else word for word in caption]
            for caption in captions
        ]
        for captions in photographs
    ]


def _joined(photographs: Sequence[Photograph]) -> list[str]:
    """The Chinese captions of each, in which no English word is."""
    return ["\n".join(one.chinese) for one in photographs]
