"""The texts that training draws from: a fixed set, so that what stays of the text tower sees each text once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from recipes.mini.caption_words import CaptionWords
from recipes.mini.names import Name, Names
from recipes.mini.photographs import Photograph
from recipes.mini.texts import Said
from recipes.mini.vocabulary import Vocabulary, spoken

LANGUAGES = ("en", "zh")
_CAPTIONS = 4  # of a photograph, in each language
_COMPOSED = 3
_NAMINGS = 40
_PLAIN = 4_000
_WORDS = 5_000


@dataclass(frozen=True)
class Spoken:
    """Texts by what they are for.

    Attributes:
        captions: of each captioned photograph, those in English and those in Chinese.
        described: of each labelled photograph, texts that name some of its labels; the likelier ones repeated.
        plain: captions of other photographs, without the names that move.
        classes: names of ImageNet's classes, without the names that move, and the classes that each may mean.
        first_classes: of these, each class's label and its first other name in each language.
        words: frequent words, without the names that move.
        names: by language and thing, the thing's names bare and in templates; the label comes first.
        caption_words: of each word of captions, the word alone and in templates.
        labels: of each label of the class photographs, the label and its Chinese name, alone and in templates.
    """

    captions: Sequence[tuple[Sequence[str], Sequence[str]]]
    described: Sequence[Sequence[Said]]
    plain: Sequence[str]
    classes: Sequence[tuple[str, frozenset[int]]]
    first_classes: Sequence[tuple[str, frozenset[int]]]
    words: Sequence[str]
    names: tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]
    caption_words: Sequence[Sequence[str]]
    labels: Sequence[Sequence[str]]

    def every(self) -> list[str]:
        """All texts, without repetitions, in a fixed order."""
        return list(dict.fromkeys(self._all()))

    def _all(self) -> Iterator[str]:
        for own in self.captions:
            for language in own:
                yield from language
        for said in self.described:
            yield from (text for text, _ in said)
        yield from self.plain
        yield from (text for text, _ in self.classes)
        yield from self.words
        for things in (*self.names, self.caption_words, self.labels):
            for texts in things:
                yield from texts


def choose_texts(
    captioned: Sequence[Photograph],
    labelled: Sequence[Photograph],
    guessed: Sequence[Sequence[Said]],
    captions: Sequence[str],
    names: Names,
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
    caption_words: CaptionWords,
    labels: Mapping[str, str],
) -> Spoken:
    """Draw the texts; the same ones each time.

    Args:
        captioned: photographs with captions in both languages.
        labelled: photographs with labels.
        guessed: pseudo-captions of the labelled.
        captions: of photographs that are not there.
        names: of the things.
        vocabulary: ImageNet's classes.
        tokenizer: its pieces are the frequent words.
        caption_words: words of the captioned photographs' captions.
        labels: of the class photographs, and their Chinese names.
    """
    rng = random.Random(0)
    moving = {text.lower() for one in names.all for text in (one.label, *one.english, *one.chinese)}
    plain = [text for text in captions if not names.mentioned(text)]
    pieces = {piece.removeprefix("▁") for piece in tokenizer.get_vocab()} - moving
    words = sorted(piece for piece in pieces if len(piece) > 1)
    classes = [(text, meant) for text, meant in sorted(vocabulary.meanings.items()) if text not in moving]
    first = {
        name.lower() for one in vocabulary.classes for name in (one.label, *one.english[:1], *one.chinese[:1])
    }
    return Spoken(
        [(one.english[:_CAPTIONS], one.chinese[:_CAPTIONS]) for one in captioned],
        [_descriptions(one, own, names, rng) for one, own in zip(labelled, guessed, strict=True)],
        rng.sample(plain, min(_PLAIN, len(plain))),
        classes,
        [one for one in classes if one[0] in first],
        rng.sample(words, min(_WORDS, len(words))),
        (_namings(names, "en", rng), _namings(names, "zh", rng)),
        caption_words.forms(),
        [[*spoken(label), *spoken(chinese)] for label, chinese in labels.items()],
    )


def _descriptions(
    photograph: Photograph, guessed: Sequence[Said], names: Names, rng: random.Random
) -> list[Said]:
    """Composed captions, twice the pseudo-captions, three times what people wrote."""
    if not photograph.labels:
        return []
    composed = [
        names.compose(photograph.labels, rng, language) for language in LANGUAGES for _ in range(_COMPOSED)
    ]
    human = [(text, frozenset(photograph.labels)) for text in photograph.chinese]
    return [*composed, *(2 * list(guessed[:_CAPTIONS])), *(3 * human)]


def _namings(names: Names, language: str, rng: random.Random) -> list[list[str]]:
    return [
        list(dict.fromkeys([_label(one, language), *(one.draw(rng, language) for _ in range(_NAMINGS))]))
        for one in names.all
    ]


def _label(name: Name, language: str) -> str:
    return name.label if language == "en" else name.chinese[0]
