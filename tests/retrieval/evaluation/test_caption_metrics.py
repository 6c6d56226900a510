"""BLEU, CIDEr-D, ROUGE-L and CLIPScore of captions, against pycocoevalcap and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.evaluation.captioning.bleu import bleu
from retrieval.evaluation.captioning.cider import cider_d
from retrieval.evaluation.captioning.clip_score import clip_score_means
from retrieval.evaluation.captioning.rouge import rouge_l
from retrieval.evaluation.captioning.scores import CaptionScores, score_captions
from retrieval.evaluation.captioning.tokens import chinese_tokens, english_tokens
from tests.retrieval.evaluation.caption_sets import CHINESE, ENGLISH, Words, generated

# Computed once with pycocoevalcap 1.2: (seed, pictures, references), then BLEU-1..4, CIDEr, ROUGE-L.
GENERATED = {
    (1, 40, 5): (
        *(0.7890295358583204, 0.45081579436225533, 0.2599383886880647, 0.14161697278423566),
        *(0.4656581564129139, 0.4738832428468963),
    ),
    (2, 7, 1): (
        *(0.2261447838058622, 2.022700437381987e-09, 4.522895676087935e-12, 2.2982314094949473e-13),
        *(0.1789529165504043, 0.17077492573629252),
    ),
    (3, 1, 3): (
        *(0.1839397204017818, 8.226034369557267e-09, 2.9198610566452496e-08, 5.501080735107161e-08),
        *(0.0, 0.1367713004484305),
    ),
    (4, 100, 2): (
        *(0.44409388347488277, 0.1871326202907144, 0.06286974644300064, 5.189673479816116e-06),
        *(0.3950805146679396, 0.31385199350450943),
    ),
}
OF_ENGLISH = (
    *(0.654239311879267, 0.5753339491449065, 0.452334475171838, 0.3979732809750579),
    *(2.3572882752814484, 0.5405922276424284),
)
OF_CHINESE = (
    *(0.923076923005917, 0.8499458963022817, 0.7121708426307025, 0.5975355163459877),
    *(3.300428913183191, 0.8086766280314667),
)
# Of Stanford's PTBTokenizer 3.4.1, as pycocoevalcap calls it.
STANFORD = {
    "The man’s dog can’t sit — it’s “red” and ‘blue’…": "the man 's dog ca n't sit it 's red and blue",
    "A kid aged 5–6 plays – alone, a man—tall—walks": "a kid aged 5 6 plays alone a man tall walks",
    "A man's dog won't stop; it's John's!!": "a man 's dog wo n't stop it 's john 's !!",
    'A sign says "STOP" (really) ...': "a sign says stop -lrb- really -rrb-",
    "The U.S. flag , # 3 and Dr. Smith's 5-year-old": "the u.s. flag # 3 and dr. smith 's 5-year-old",
    "They cannot go at 5:54pm -- on 12th Ave. and East St.": (
        "they can not go at 5:54 pm on 12th ave. and east st."
    ),
    "five o'clock , slip 'n' slide , black-and-white [sic]": (
        "five o'clock slip 'n' slide black-and-white -lsb- sic -rsb-"
    ),
}
WORDS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=9).map(tuple)


def figures(scores: CaptionScores) -> tuple[float, ...]:
    return (*scores.bleu, scores.cider, scores.rouge)


@pytest.mark.parametrize("case", GENERATED)
def test_figures_of_generated_captions_equal_those_of_pycocoevalcap(case: tuple[int, int, int]) -> None:
    captions, references = generated(*case)

    ours = (*bleu(captions, references), cider_d(captions, references), rouge_l(captions, references))

    assert ours == pytest.approx(GENERATED[case], rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("pairs", "language", "theirs"), [(ENGLISH, "en", OF_ENGLISH), (CHINESE, "zh-CN", OF_CHINESE)]
)
def test_figures_of_sentences_equal_those_of_pycocoevalcap_with_its_tokenizer(
    pairs: list[tuple[str, list[str]]], language: str, theirs: tuple[float, ...]
) -> None:
    ours = score_captions([caption for caption, _ in pairs], [texts for _, texts in pairs], language)

    assert figures(ours) == pytest.approx(theirs, rel=0, abs=1e-9)


@pytest.mark.parametrize("text", STANFORD)
def test_english_words_are_those_of_stanfords_tokenizer(text: str) -> None:
    assert english_tokens(text) == STANFORD[text].split()


def test_chinese_is_counted_by_characters_and_runs_of_other_letters_without_punctuation() -> None:
    assert chinese_tokens("穿T-Shirt的男孩，在3号 Running。") == [
        *"穿",
        "t",
        "shirt",
        *"的男孩在3号",
        "running",
    ]


@settings(deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=3), min_size=2, max_size=6))
def test_captions_that_are_a_reference_each_have_full_bleu_1_and_rouge(references: list[list[Words]]) -> None:
    captions = [texts[0] for texts in references]

    assert bleu(captions, references)[0] == pytest.approx(1)
    assert rouge_l(captions, references) == pytest.approx(1)


@settings(deadline=None)
@given(st.integers(0, 99))
def test_the_order_of_pictures_and_of_references_changes_no_figure(seed: int) -> None:
    captions, references = generated(seed, 6, 3)
    rows = [3, 1, 5, 0, 4, 2]

    again = [references[row][::-1] for row in rows]
    ours = (bleu([captions[row] for row in rows], again), cider_d([captions[row] for row in rows], again))

    assert ours[0] == pytest.approx(bleu(captions, references), abs=1e-12)
    assert ours[1] == pytest.approx(cider_d(captions, references), abs=1e-12)


def test_clipscore_is_the_mean_cosine_times_two_and_a_half_where_it_is_positive() -> None:
    images = np.array([[1, 0], [1, 0]], np.float32)
    captions = np.array([[0.6, 0.8], [-1, 0]], np.float32)
    references = [np.array([[0.6, 0.8], [0, 1]], np.float32), np.array([[1, 0]], np.float32)]

    plain, with_references = clip_score_means(images, captions, references)

    assert plain == pytest.approx((2.5 * 0.6 + 0) / 2)
    assert with_references == pytest.approx((2 * 1.5 * 1 / (1.5 + 1) + 0) / 2)
