"""When an answer counts as right.

VQA (Antol et al., ICCV 2015; Goyal et al., CVPR 2017; visualqa.org/evaluation.html): the share that an answer earns is
``min(matches / 3, 1)``, averaged over all sets that leave one annotator out. Where annotators disagree, all answers are
normalised first, as the organisers' script does it, quirks included (``vqaEval.py`` of GT-Vision-Lab/VQA at commit
a013f00; earlier ones took the annotators' answers otherwise): so the figures are those of papers. COCO-QA (Ren et al.,
NeurIPS 2015) has one answer, which must be met exactly but for case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGITS_AND_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32  # the script passes a flag of this value where the number of replacements stands
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
_NUMBERS["none"] = "0"
_ARTICLES = frozenset({"a", "an", "the"})
_CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't "
    "haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've "
    "might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've "
    "shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll "
    "someone's something'd something'd've something'll that's there'd there'd've there're there's they'd "
    "they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've "
    "when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't "
    "would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've"
)


def _without_one_apostrophe() -> dict[str, str]:
    found = {"somebody'd": "somebodyd"}  # the one that the script turns round
    for form in _CONTRACTIONS.split():
        for place in (place for place, character in enumerate(form) if character == "'"):
            found[form[:place] + form[place + 1 :]] = form
    return found


_MENDED = _without_one_apostrophe()


def vqa_accuracy(answer: str, given: Sequence[str]) -> float:
    """Give the share, in [0, 1], that an answer earns by those that annotators gave: ten of them, in VQA.

    Args:
        answer: to be judged.
        given: one or more.
    """
    judged, others = _clean(answer), [_clean(one) for one in given]
    if len(set(others)) > 1:
        judged, others = normalise_answer(judged), [normalise_answer(one) for one in others]
    matches = [one == judged for one in others]
    all_matches = sum(matches)
    return sum(min(1.0, (all_matches - own) / 3) for own in matches) / len(matches)


def exact_match(answer: str, given: Sequence[str]) -> float:
    """Give 1 where an answer is the one that is right, but for case and blanks around it; else 0."""
    return float(answer.strip().lower() == given[0].strip().lower())


def normalise_answer(answer: str) -> str:
    """Normalise marks, numbers, articles and contractions as VQA's script does."""
    has_number = _DIGITS_AND_COMMA.search(answer) is not None
    text = answer
    for mark in _MARKS:
        is_loose = f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if is_loose or has_number else " ")
    text = _PERIOD.sub("", text, count=_MOST_PERIODS)
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_MENDED.get(word, word) for word in words if word not in _ARTICLES)


def _clean(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()
