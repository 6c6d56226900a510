"""The captioner that comes without torch: what it writes, and that each image is written of by itself."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import UsageError
from retrieval.generators.captioner.beam import search
from retrieval.generators.captioner.config import Decoding
from retrieval.generators.captioner.folder import open_folder
from retrieval.generators.captioner.transformer import Transformer
from retrieval.generators.registry import load_generator
from tests.retrieval.generators.tiny_captioner import WORDS, save_tiny_captioner


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner with random weights."""
    return save_tiny_captioner(tmp_path_factory.mktemp("captioner"))


@pytest.fixture(scope="module")
def transformer(folder: Path) -> Transformer:
    """Its transformer."""
    opened = open_folder(folder)
    return Transformer(opened.config, opened.weights)


@pytest.fixture(scope="module")
def features() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Of the places of an image that is none."""
    return np.random.default_rng(7).random((64, 2560)).astype(np.float32)


def test_an_images_captions_do_not_depend_on_its_neighbours(
    folder: Path, pictures: list[Image.Image]
) -> None:
    captioner = load_generator(folder)

    together = captioner.describe(pictures, "en", 3)

    assert together == [captioner.describe([picture], "en", 3)[0] for picture in pictures]
    assert load_generator(folder).describe(pictures, "en", 3) == together


def test_candidates_are_different_texts_the_best_first(folder: Path, pictures: list[Image.Image]) -> None:
    for captions in load_generator(folder).describe(pictures, None, 3):
        assert len({caption.text for caption in captions}) == 3
        assert [caption.score for caption in captions] == sorted((c.score for c in captions), reverse=True)


def test_each_language_is_written_in_its_own_words(folder: Path, pictures: list[Image.Image]) -> None:
    captioner = load_generator(folder)

    english, chinese = (captioner.describe(pictures, tag)[0][0].text for tag in ("en-GB", "zh-CN"))

    assert captioner.languages == ("en", "zh")
    assert set(english.split()) <= set(WORDS[4:9])
    assert set(chinese) <= set("".join(WORDS[9:]))


def test_an_image_without_any_is_described_as_no_images(folder: Path) -> None:
    assert load_generator(folder).describe([]) == []


def test_other_languages_questions_and_too_many_candidates_are_refused(folder: Path) -> None:
    captioner = load_generator(folder)

    with pytest.raises(UsageError, match="writes en and zh, not 'de'"):
        captioner.describe([], "de")
    with pytest.raises(UsageError, match="11 candidates were asked for"):
        captioner.describe([], None, 11)
    with pytest.raises(UsageError, match="writes captions and answers no questions"):
        captioner.answer([], "what is it?")


def test_a_wide_search_finds_the_best_of_all_captions(
    folder: Path, transformer: Transformer, features: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    language = open_folder(folder).config.languages["zh"]
    decoding = Decoding(beams=1, most=3, length_power=0.0, agreement=0.0)
    memory = transformer.memory(features)

    best = search(transformer, memory, language, decoding, beams=100)[0]

    def log_probability(tokens: tuple[int, ...], ended: bool) -> float:
        states, total = transformer.begin(), 0.0
        columns = [token - language.first + 1 for token in tokens] + ([0] if ended else [])
        for last, column in zip((language.begin, *tokens), columns, strict=False):
            found, states = transformer.next_words(np.array([last]), states, memory, language)
            total += float(found[0, column])
        return total

    words = range(language.first, language.stop)
    captions = [tokens for size in (1, 2, 3) for tokens in product(words, repeat=size)]
    captions = [tokens for tokens in captions if all(a != b for a, b in pairwise(tokens))]
    scores = {tokens: log_probability(tokens, ended=len(tokens) < 3) for tokens in captions}
    assert best.tokens == max(scores, key=lambda tokens: scores[tokens])
    assert best.score == pytest.approx(scores[best.tokens], abs=1e-4)


def test_no_word_is_written_twice_in_a_row_and_no_caption_is_empty(
    folder: Path, transformer: Transformer, features: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    config = open_folder(folder).config
    for language in config.languages.values():
        for found in search(transformer, transformer.memory(features), language, config.decoding, 4):
            assert 1 <= len(found.tokens) <= config.decoding.most
            assert all(a != b for a, b in zip(found.tokens, found.tokens[1:], strict=False))
            assert all(language.first <= token < language.stop for token in found.tokens)
