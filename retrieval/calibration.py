"""How likely the first hit of a query is right, from the distribution of the query's scores: pure functions.

A raw score does not tell: "a dog" may score 0.29 at a dog, and "a purple elephant on the moon" 0.43 at an elephant. The
probability is a logistic function of a few statistics (Platt scaling: Platt 1999) of the kind that predict a query's
performance from its scores (Shtok et al., "Predicting query performance by query-drift estimation", 2012): the
highest score; mean and standard deviation of what may be found, and the logarithm of its number, which together say
where the highest of so many chance scores lies (extreme values, as in Scheirer et al., "Meta-recognition", 2011); what
a right hit of such a query usually scores; what it scores at images that have nothing to do with it; whether the
query is a sum or a difference of texts; whether it is written in Chinese, and whether it is a name or a sentence; how
far its vector is like those of names and captions, and not of nonsense. All statistics of scores but the highest count
with their squares and products too, except for sums, and a difference has slopes of its own.

Whether there is probably nothing is another question: the right hit of a name that a model hardly knows is never
likely, and yet it may be there. A second logistic function of the same terms says how likely anything answers; its
bound is a quantile of answerable queries that are worded likewise (quantile regression: Koenker & Bassett 1978, as in
conformalized quantile regression: Romano et al., NeurIPS 2019). The figures are fitted when a model is made and stored
beside its weights; docs/search.md tells what they were measured on, and docs/models.md which models have them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.json_files import read_object
from retrieval.types import LEAST_PROBABILITY, VERDICTS, Verdict

FILE = "calibration.json"
LARGEST_BYTES = 2**20
PRIOR_COUNT = 20
"""So many scores of the background, beside those of what may be found: of a few images the spread is chance."""

STATISTICS = (
    "highest", "mean", "deviation", "log_count", "expected", "background", "sum", "difference", "chinese", "sentence",
    "sense",
)  # fmt: skip
CURVED = STATISTICS[1:6]
"""Statistics of which squares and products count; the highest score has none, so that a probability rises with it."""

_FARTHEST = 3.0  # spreads from its centre that a statistic is in a product: beyond, nothing was fitted
_PRODUCTS = tuple(combinations_with_replacement(range(len(CURVED)), 2))
_OF_WORDING = ("chinese", "sentence", "chinese sentence", "mean of a sentence")
_OF_SENSE = ("sense",)
TERMS = (
    *STATISTICS[:8],
    *(f"{CURVED[one]} * {CURVED[other]}" for one, other in _PRODUCTS),
    *(f"{name} of a difference" for name in STATISTICS[:6]),
    *_OF_WORDING,
    *_OF_SENSE,
)
"""What the logistic function has coefficients of."""

FORMAT = 3
"""Number of the file's format. 1, in which files tell no number, has no coefficients of a query's wording; 2 knows no
sense, and has one bound of probability for all queries."""

_CHARACTERS_A_WORD = 1.6  # of Chinese
_NAME, _SENTENCE = (
    1.5,
    5.5,
)  # words: up to the first a query is a name, from the second on a sentence, between partly
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_WORD = re.compile(r"\w+")

_ENOUGH_SENSE = -0.1  # from here on every query makes sense alike: rare names are not less likely right
_HIGHEST_BOUND = 0.2  # of "probably nothing", whatever was fitted: one in five is too many

_CAPTIONED = (0.49, 2.46)
"""By how much the log odds of a hit with such a caption rise with those by its vector, and the constant; fitted by
``benchmarks/search/captioned_names.py`` on half of the validation photographs of Flickr8k, in both languages."""

_HIGHEST, _HIGHEST_OF_DIFFERENCE = 0, TERMS.index("highest of a difference")
Row = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Asked:
    """A query of words, and the scores that it has at what may be found.

    Attributes:
        query: (d,) float32 unit row.
        scores: (m,) float32, of a sample of what may be found, m >= 0.
        count: of what may be found, >= 1.
        is_sum: whether it is a sum of several texts.
        is_difference: whether something is subtracted.
        texts: of the query, those that are wanted.
    """

    query: Row
    scores: Row
    count: int
    is_sum: bool = False
    is_difference: bool = False
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns the scores of a query of words into a probability, for one model.

    Attributes:
        weights: sha256 of the model's weights, hex.
        expected: (d,) float32, whose inner product with a query, and ``expected_bias`` added, estimates what a right
            hit of that query scores.
        expected_bias: see ``expected``.
        background: (d,) float32, mean of images that have nothing to do with any query.
        deviation: usual standard deviation of a query's scores at them.
        sense: (d,) float32, whose inner product with a query, and ``sense_bias`` added, is about 1 for names and
            captions and -1 for nonsense.
        sense_bias: see ``sense``.
        counts: least and largest number of images that was fitted on; others count as these.
        centres: mean of each of :data:`CURVED` where it was fitted.
        spreads: standard deviation of each, positive.
        coefficients: of :data:`TERMS`; that of the highest score is positive, with a difference's own added too.
        intercept: of the logistic function.
        nothing: coefficients of :data:`TERMS` too, like these: there is probably nothing where the sum is below 0.
        nothing_intercept: is added to that sum.
    """

    weights: str
    expected: Row
    expected_bias: float
    background: Row
    deviation: float
    sense: Row
    sense_bias: float
    counts: tuple[float, float]
    centres: tuple[float, ...]
    spreads: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    nothing: tuple[float, ...]
    nothing_intercept: float

    def judge(self, asked: Asked) -> Judge:
        """Say what scores of the first hit of a query mean."""
        found = terms(statistics(self, asked, 0.0), self.centres, self.spreads)
        log_odds = float(np.dot(self.coefficients, found)) + self.intercept
        slope, nothing_slope = (both[asked.is_difference] for both in (self.slopes, self.nothing_slopes))
        least_score = -(float(np.dot(self.nothing, found)) + self.nothing_intercept) / nothing_slope
        return Judge(log_odds, slope, min(_logistic(log_odds + slope * least_score), _HIGHEST_BOUND))

    @property
    def slopes(self) -> tuple[float, float]:
        """By how much the log odds rise with the highest score: of texts and sums, and of differences."""
        return _slopes(self.coefficients)

    @property
    def nothing_slopes(self) -> tuple[float, float]:
        """By how much the sum rises with it below which there is probably nothing."""
        return _slopes(self.nothing)

    def to_json(self) -> str:
        """Write what :func:`read_calibration` reads."""
        facts: dict[str, Any] = {
            "format": FORMAT,
            "weights": self.weights,
            "expected": [round(float(value), 5) for value in self.expected],
            "expected_bias": self.expected_bias,
            "background": [round(float(value), 6) for value in self.background],
            "deviation": self.deviation,
            "sense": [round(float(value), 5) for value in self.sense],
            "sense_bias": self.sense_bias,
            "counts": list(self.counts),
            "centres": dict(zip(CURVED, self.centres, strict=True)),
            "spreads": dict(zip(CURVED, self.spreads, strict=True)),
            "coefficients": dict(zip(TERMS, self.coefficients, strict=True)),
            "intercept": self.intercept,
            "nothing": dict(zip(TERMS, self.nothing, strict=True)),
            "nothing_intercept": self.nothing_intercept,
        }
        return json.dumps(facts) + "\n"


@dataclass(frozen=True, slots=True)
class Judge:
    """What scores of the first hit of one query mean.

    Attributes:
        log_odds: that a hit with a score of 0 is right.
        slope: by how much they rise with the score, positive.
        nothing_below: probability below which there is probably nothing, at most 0.2.
    """

    log_odds: float
    slope: float
    nothing_below: float

    def probability(self, highest: float) -> float:
        """Estimate how likely a first hit with this score is right, in [0, 1]; it rises with the score."""
        return _logistic(self.log_odds + self.slope * highest)

    def least_score(self, probability: float) -> float:
        """Give the score at which a first hit would have a probability in (0, 1)."""
        return (math.log(probability / (1 - probability)) - self.log_odds) / self.slope

    def bound(self, word: Verdict) -> float:
        """Give the least probability that one of the three better verdicts stands for."""
        return self.nothing_below if word == "doubtful" else LEAST_PROBABILITY[word]

    def verdict(self, probability: float) -> Verdict:
        """Say a probability in a word of :data:`~retrieval.types.VERDICTS`."""
        return next((word for word in VERDICTS[:-1] if probability >= self.bound(word)), VERDICTS[-1])


def with_caption(probability: float) -> float:
    """Estimate how likely a hit is right of which a caption holds all words of the query.

    What people have written is nearly always so, whatever the vectors make of it.

    Args:
        probability: of the hit by its vector, in [0, 1].
    """
    least = 1e-6
    held = min(max(probability, least), 1 - least)
    return _logistic(_CAPTIONED[0] * math.log(held / (1 - held)) + _CAPTIONED[1])


def statistics(calibration: Calibration, asked: Asked, highest: float) -> NDArray[np.float64]:
    """Compute the :data:`STATISTICS` of a query, (11,) float64; of few scores, drawn to those of the background."""
    background = float(asked.query @ calibration.background)
    expected = float(asked.query @ calibration.expected) + calibration.expected_bias
    sense = min(float(asked.query @ calibration.sense) + calibration.sense_bias, _ENOUGH_SENSE)
    own = np.asarray(asked.scores, np.float64)
    total = len(own) + PRIOR_COUNT
    mean = (own.sum() + PRIOR_COUNT * background) / total
    prior_squares = (background - mean) ** 2 + calibration.deviation**2
    deviation = math.sqrt((((own - mean) ** 2).sum() + PRIOR_COUNT * prior_squares) / total)
    least, most = calibration.counts
    log_count = math.log(min(max(asked.count, least), most))
    flags = float(asked.is_sum), float(asked.is_difference)
    return np.array(
        [highest, mean, deviation, log_count, expected, background, *flags, *wording(asked.texts), sense]
    )


def wording(texts: Sequence[str]) -> tuple[float, float]:
    """Say how much of texts is Chinese, and how far the longest is a sentence and not a name; both in [0, 1]."""
    chinese, lengths = 0.0, list[float]()
    for text in texts:
        own = len(_HAN.findall(text)) / _CHARACTERS_A_WORD
        chinese += own
        lengths.append(own + len(_WORD.findall(_HAN.sub(" ", text))))
    longest, total = max(lengths, default=0.0), sum(lengths)
    sentence = min(max((longest - _NAME) / (_SENTENCE - _NAME), 0.0), 1.0)
    return (chinese / total if total else 0.0), sentence


def terms(
    found: NDArray[np.float64], centres: Sequence[float], spreads: Sequence[float]
) -> NDArray[np.float64]:
    """Compute the :data:`TERMS` of a query from its :data:`STATISTICS`, (34,) float64."""
    curved = np.clip((found[1:6] - centres) / spreads, -_FARTHEST, _FARTHEST)
    is_sum, is_difference, chinese, sentence, sense = found[6:]
    products = [curved[one] * curved[other] * (1 - is_sum) for one, other in _PRODUCTS]
    of_wording = chinese, sentence, chinese * sentence, curved[0] * sentence
    return np.array([*found[:8], *products, *(is_difference * found[:6]), *of_wording, sense])


def read_calibration(folder: Path, weights: str, dimension: int) -> Calibration | None:
    """Read the calibration beside a model's weights; None where it has none, or one that is damaged or of others.

    Files of formats 1 and 2 are read too, as such to which the sense of a query makes no difference, and in format 1
    its wording.

    Args:
        folder: of the model.
        weights: sha256 of its weights, hex.
        dimension: of its vectors.
    """
    try:
        found = _from_facts(read_object(folder / FILE, LARGEST_BYTES))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    rows = (found.expected, found.background, found.sense)
    numbers = (
        *found.counts, *found.centres, *found.spreads, *found.coefficients, *found.nothing, found.intercept,
        found.nothing_intercept,
        found.expected_bias, found.sense_bias, found.deviation,
    )  # fmt: skip
    is_sound = (
        found.weights == weights
        and all(row.shape == (dimension,) and bool(np.isfinite(row).all()) for row in rows)
        and all(map(math.isfinite, numbers))
        and min(*found.slopes, *found.nothing_slopes, *found.spreads) > 0
        and 1 <= found.counts[0] <= found.counts[1]
    )
    return found if is_sound else None


def _from_facts(facts: Mapping[str, Any]) -> Calibration:
    least, most = facts["counts"]
    number = facts.get("format", 1)
    if number not in (1, 2, FORMAT):
        raise ValueError(f"a calibration of format {number}")
    if number < FORMAT:
        facts = _in_this_format(facts, number)
    coefficients, nothing = facts["coefficients"], facts["nothing"]
    return Calibration(
        str(facts["weights"]),
        np.array(facts["expected"], np.float32),
        float(facts["expected_bias"]),
        np.array(facts["background"], np.float32),
        float(facts["deviation"]),
        np.array(facts["sense"], np.float32),
        float(facts["sense_bias"]),
        (float(least), float(most)),
        tuple(float(facts["centres"][name]) for name in CURVED),
        tuple(float(facts["spreads"][name]) for name in CURVED),
        tuple(float(coefficients[name]) for name in TERMS),
        float(facts["intercept"]),
        tuple(float(nothing[name]) for name in TERMS),
        float(facts["nothing_intercept"]),
    )


def _in_this_format(facts: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Say in this format what a file of format 1 or 2 says."""
    missing = (*_OF_WORDING, *_OF_SENSE) if number == 1 else _OF_SENSE
    bound = float(facts["nothing_below"])
    if not 0 < bound < LEAST_PROBABILITY["likely"]:
        raise ValueError(f"probably nothing below {bound}")
    coefficients = dict.fromkeys(missing, 0.0) | facts["coefficients"]
    return {
        **facts,
        "coefficients": coefficients,
        "sense": [0.0] * len(facts["expected"]),
        "sense_bias": 0.0,
        "nothing": coefficients,
        "nothing_intercept": float(facts["intercept"]) - math.log(bound / (1 - bound)),
    }


def _slopes(coefficients: Sequence[float]) -> tuple[float, float]:
    slope = coefficients[_HIGHEST]
    return slope, slope + coefficients[_HIGHEST_OF_DIFFERENCE]


def _logistic(log_odds: float) -> float:
    if log_odds < 0:
        return math.exp(max(log_odds, -700.0)) / (1 + math.exp(max(log_odds, -700.0)))
    return 1 / (1 + math.exp(-min(log_odds, 700.0)))
