"""Whether vlsearch knows that nothing matches: how true the first hit's probability is, and what is called nothing.

    python -m benchmarks.search.nothing DATA

DATA is a folder with classes, coco_labels and flickr8k. Queries and photographs are those of the half that the
calibration was not fitted on (recipes/mini/calibration/questions.py): names of held-out classes and of things in
kept COCO photographs, sums of two names, one without the other, captions, and nonsense; half of the time without
the photographs that answer them, in galleries of 5 to all of these. *Right*: the first hit shows what a name says, or
a caption's photograph is among the first ten. *ECE*: expected calibration error, 15 bins of equal width (Guo et al.,
ICML 2017). *AUROC* of right against not: of the highest score alone, and of the probability. *Nothing*: share called
"probably nothing" of answerable queries and of the others. *Words*: queries by verdict and the share right of each.
Which terms the probability and the bound of nothing have was chosen with both halves in sight, and nonsense of both
halves is made after the same patterns. *Halves exchanged*: what is fitted anew, in the same way, on the half that is
judged above, judged on the one that the calibration was fitted on. Each half has fewer than fifty names of classes.
Rewrites nothing.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.calibrated import calibrated_mini, parser_of
from recipes.mini.calibration.fit import family_weights, fit_on_half
from recipes.mini.calibration.questions import SETS, Answer, ask, families
from recipes.mini.calibration.vectors import KeptVectors
from recipes.mini.photographs import read_set
from retrieval.calibration import Calibration
from retrieval.types import VERDICTS

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "queries", "asked", "right", "ECE", "AUROC, highest score", "AUROC, probability", "difference",
    "nothing, of answerable", "nothing, of others",
)  # fmt: skip
COMPOSED = ("sums", "without")
BINS = 15


@dataclass(frozen=True)
class Judged:
    """Answers with what was said of them; ``weights`` make each family and language count the same."""

    answers: Sequence[Answer]
    probabilities: NDArray[np.float64]
    verdicts: NDArray[np.str_]
    weights: NDArray[np.float64]


def main() -> None:
    """Rewrite the table."""
    parser = parser_of(__doc__)
    args = parser.parse_args()
    encoder, calibration = calibrated_mini()
    kept = KeptVectors(encoder, args.vectors)
    photographs = {name: read_set(name, args.data) for name in (*SETS, "flickr_train")}
    images = {name: kept.images(name, photographs[name]) for name in SETS}
    halves = [
        [one for family in families(photographs, images, half) for one in ask(family, kept.texts, rng)]
        for half, rng in enumerate(map(np.random.default_rng, (0, 1)))
    ]
    judged, each_ms = judge(calibration, halves[1])
    exchanged, _ = judge(fit_on_half(calibration, photographs, images, kept.texts, 1), halves[0])
    kept.keep()
    note = f"model mini; {each_ms:.3f} ms of CPU a query, beside the product with the sample's vectors"
    head = provenance("python -m benchmarks.search.nothing DATA", packages=("numpy",), note=note)
    lines = [
        *markdown_table(HEAD, rows(judged)),
        "",
        *markdown_table(("verdict", "share of queries", "right"), words(judged)),
        "",
        "Halves exchanged:",
        "",
        *markdown_table(HEAD, rows(exchanged)),
    ]
    print("\n".join(lines))
    write_table(TABLE, ["# Nothing matches", "", *head, "", introduction(__doc__), "", *lines])


def judge(calibration: Calibration, answers: Sequence[Answer]) -> tuple[Judged, float]:
    """Say how likely each first hit is right, in numbers and words; and what that takes, in ms of CPU."""
    begun = time.process_time()
    judges = [calibration.judge(one.asked) for one in answers]
    said = [judge.probability(one.highest) for judge, one in zip(judges, answers, strict=True)]
    verdicts = [judge.verdict(by) for judge, by in zip(judges, said, strict=True)]
    each_ms = 1000 * (time.process_time() - begun) / len(answers)
    return Judged(answers, np.array(said), np.array(verdicts), family_weights(answers)), each_ms


def rows(judged: Judged) -> list[tuple[object, ...]]:
    """Give a row for all queries, each family and language counting the same, and one for each of these."""
    kinds = np.array([f"{one.family}, {one.language}" for one in judged.answers])
    kind_names, every = np.array([one.family for one in judged.answers]), np.ones(len(kinds), bool)
    alike = replace(judged, weights=np.ones(len(kinds)))
    return [
        _row("all, each query the same", alike, every),
        _row("all, each kind the same", judged, every),
        _row("all but sums and differences, each kind the same", judged, ~np.isin(kind_names, COMPOSED)),
        *(_row(kind, judged, kinds == kind) for kind in dict.fromkeys(kinds.tolist())),
    ]


def words(judged: Judged) -> list[tuple[object, ...]]:
    """Give how often each verdict is said, and how often the first hit is right then."""
    right = np.array([one.right for one in judged.answers])
    found = list[tuple[object, ...]]()
    for word in VERDICTS:
        own = judged.verdicts == word
        weights = judged.weights[own]
        share = weights.sum() / judged.weights.sum()
        found.append((word, f"{share:.3f}", f"{np.average(right[own], weights=weights):.3f}"))
    return found


def _row(name: str, judged: Judged, own: NDArray[np.bool_]) -> tuple[object, ...]:
    answers = [one for one, mine in zip(judged.answers, own, strict=True) if mine]
    right, able = (np.array([getattr(one, fact) for one in answers]) for fact in ("right", "answerable"))
    weights, said = judged.weights[own], judged.probabilities[own]
    raw = auroc(np.array([one.highest for one in answers]), right, weights)
    mine = auroc(said, right, weights)
    nothing = judged.verdicts[own] == VERDICTS[-1]
    return (
        name, len(answers), f"{np.average(right, weights=weights):.3f}", f"{ece(said, right, weights):.3f}",
        _shown(raw), _shown(mine), "" if raw is None or mine is None else f"{mine - raw:+.3f}",
        _share(nothing[able], weights[able]), _share(nothing[~able], weights[~able]),
    )  # fmt: skip


def ece(said: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """Compute the expected calibration error: the mean distance of probability and share right, over bins."""
    at = np.minimum((said * BINS).astype(int), BINS - 1)
    error = 0.0
    for number in np.unique(at):
        own = at == number
        gap = np.average(said[own], weights=weights[own]) - np.average(right[own], weights=weights[own])
        error += abs(gap) * weights[own].sum()
    return float(error / weights.sum())


def auroc(
    scores: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> float | None:
    """Compute the share of pairs (right, not right) in which the right one scores higher; ties count half."""
    if right.all() or not right.any():
        return None
    values, at = np.unique(scores, return_inverse=True)
    good = np.bincount(at, weights * right, len(values))
    bad = np.bincount(at, weights * ~right, len(values))
    below = np.cumsum(bad) - bad
    return float((good * (below + bad / 2)).sum() / (good.sum() * bad.sum()))


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(of: NDArray[np.bool_], weights: NDArray[np.float64]) -> str:
    return f"{np.average(of, weights=weights):.3f}" if len(of) else ""


if __name__ == "__main__":
    main()
