"""The 80 names that mini learns from, and the captions composed of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from recipes.mini.texts import draw_texts, guess_captions
from tests.recipes.noise_photographs import NAMES, picture


def test_there_are_80_names_each_with_all_that_is_needed() -> None:
    assert len(NAMES.place) == 80
    for name in NAMES.all:
        assert name.label
        assert name.chinese
        assert name.mentions
        assert name.measure


@pytest.mark.parametrize(
    ("caption", "labels"),
    [
        ("A teddy bear on a bed.", {"teddy bear", "bed"}),
        ("A brown bear and a teddy bear.", {"teddy bear", "bear"}),
        ("A hot dog next to a cup", {"hot dog", "cup"}),
        ("A carpet.", set()),
        ("Two men ride motorbikes", {"person", "motorcycle"}),
    ],
)
def test_captions_mention_whole_words(caption: str, labels: set[str]) -> None:
    assert NAMES.mentioned(caption) == labels


@pytest.mark.parametrize("language", ["en", "zh"])
def test_composed_captions_name_what_they_say_they_name(language: str) -> None:
    labels = ["cat", "couch", "umbrella", "scissors"]
    rng = random.Random(0)

    for _ in range(40):
        text, named = NAMES.compose(labels, rng, language)
        assert named <= set(labels)
        for label in labels:
            name = label if language == "en" else NAMES.all[NAMES.place[label]].chinese[0]
            assert (name in text) == (label in named)


def test_pseudo_captions_mention_nothing_that_the_labels_do_not_say() -> None:
    photographs = [picture(0, labels=("dog", "couch")), picture(1, labels=("bus",))]
    captions = ["a dog on a couch", "a dog and a cat", "a red bus", "a cat", "blue sky"]

    found = guess_captions(
        photographs, np.eye(2, 4, dtype=np.float32), captions, np.ones((5, 4), np.float32), NAMES
    )

    assert [text for text, _ in found[0]] == ["a dog on a couch"]
    assert [text for text, _ in found[1]] == ["a red bus"]


def test_a_text_is_no_negative_of_a_photograph_that_has_what_it_names() -> None:
    batch = [picture(0, labels=("dog",)), picture(1, labels=("dog", "cat")), picture(2, ("a man",))]

    drawn = draw_texts(batch, [(), (), ()], NAMES, random.Random(0))
    positive, unknown = drawn.relation(batch)

    assert positive.sum(0).tolist() == [1] * len(drawn.texts)
    for column, (owner, named) in enumerate(zip(drawn.owners, drawn.labels, strict=True)):
        assert positive[owner, column]
        if named is not None:
            assert unknown[1, column] == (
                owner != 1
            )  # the photograph with both has whatever the other's text names
            assert unknown[2, column]  # nothing is known of what else a captioned photograph shows
