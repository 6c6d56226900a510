"""Captions as tokens: English words, and pieces of Chinese that byte-pair encoding finds, in one vocabulary.

0 ends a caption, 1 is a word that is not in the vocabulary, 2 and 3 begin an English and a Chinese caption; the English
words follow, then the Chinese pieces. Figures of captions do without case and punctuation, and so do these.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from recipes.captioner.photographs import Captions
from recipes.captioner.settings import Settings
from retrieval.evaluation.captioning.tokens import chinese_tokens, english_tokens
from retrieval.generators.captioner.config import END, UNKNOWN

SPECIAL = ("</s>", "<unk>", "<en>", "<zh>")
BEGIN = {"en": 2, "zh": 3}
MOST = {"en": 20, "zh": 20}
"""Tokens of a caption; longer ones are cut."""
_LEAST_CHARACTER, _LEAST_PIECE, _LONGEST_PIECE = 3, 8, 4


@dataclass(frozen=True)
class Texts:
    """The vocabulary, and captions as tokens.

    Attributes:
        words: of the vocabulary, by token.
        first_chinese: the first Chinese piece's token.
        captions: of each photograph, each with its begin and, unless it was cut, its end.
    """

    words: list[str]
    first_chinese: int
    captions: list[list[list[int]]]

    def span(self, language: str) -> tuple[int, int]:
        """Give the first token of a language, and one more than the last."""
        return (
            (len(SPECIAL), self.first_chinese) if language == "en" else (self.first_chinese, len(self.words))
        )


def make_texts(captions: Captions, settings: Settings, file: Path) -> Texts:
    """Fit the vocabulary to captions and cut them; kept in ``file``."""
    if not file.exists():
        english = [[english_tokens(text) for text in texts] for texts in captions.english]
        chinese = [["".join(chinese_tokens(text)) for text in texts] for texts in captions.chinese]
        counts = Counter(word for texts in english for words in texts for word in words)
        words = sorted(word for word, count in counts.items() if count >= settings.least_english)
        tokenizer = _fit_pieces([text for texts in chinese for text in texts], settings.chinese_pieces)
        pieces = [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])][1:]
        texts = Texts([*SPECIAL, *words, *pieces], len(SPECIAL) + len(words), [])
        numbers = {word: len(SPECIAL) + place for place, word in enumerate(words)}
        for own, theirs in zip(english, chinese, strict=True):
            rows = [_row("en", [numbers.get(word, UNKNOWN) for word in some]) for some in own]
            rows += [_row("zh", _pieces(tokenizer, text, texts.first_chinese)) for text in theirs]
            texts.captions.append(rows)
        file.write_text(json.dumps(asdict(texts), ensure_ascii=False), encoding="utf-8")
    return Texts(**json.loads(file.read_text(encoding="utf-8")))


def _fit_pieces(texts: Sequence[str], size: int) -> Tokenizer:
    counts = Counter(character for text in texts for character in text)
    alphabet = sorted(character for character, count in counts.items() if count >= _LEAST_CHARACTER)
    tokenizer = Tokenizer(BPE(unk_token=SPECIAL[UNKNOWN]))
    trainer = BpeTrainer(
        vocab_size=size,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        min_frequency=_LEAST_PIECE,
        special_tokens=[SPECIAL[UNKNOWN]],
        max_token_length=_LONGEST_PIECE,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _pieces(tokenizer: Tokenizer, text: str, first: int) -> list[int]:
    return [UNKNOWN if number == 0 else first + number - 1 for number in tokenizer.encode(text).ids]


def _row(language: str, tokens: list[int]) -> list[int]:
    most = MOST[language]
    return [BEGIN[language], *tokens[:most], *([END] if len(tokens) <= most else [])]
