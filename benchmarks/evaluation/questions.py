"""How often mini's answers are right: whether something is there, and which of four things it is.

    python -m benchmarks.evaluation.questions DATA

DATA is a folder with coco_labels, classes and flickr8k. Each of the photographs of COCO that mini was not trained on is
asked ten times for one thing that is labelled and one that is not (so that half of the answers are yes), and which of
four things it is, one of them labelled; these are drawn each time. What is missing is drawn by how often things are
labelled, or by how often they are in one photograph with the thing that is there, which is harder. The figures in
retrieval/query/asking.py were fitted on the photographs of one half, and the table is of the other; the wordings were
chosen with both in sight. Labels leave small things out, so that some answers that are counted as wrong are right.
*Refused*: questions whose form was not understood. *Interval*: 95 % of 1,000 drawings of the photographs with
repetition.
Rewrites questions.md; --fit prints the figures that the first half gives.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from recipes.mini.calibration.fit import logistic
from recipes.mini.calibration.vectors import KeptVectors
from recipes.mini.names import Names
from recipes.mini.photographs import read_set
from retrieval.encoders.calibrations import calibration_of
from retrieval.identity import Identity
from retrieval.query.asking import TextEncoder, answer_by_encoder, averaged_names, evidence, phrase
from retrieval.query.questions import understand

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("questions", "asked", "refused", "yes where there", "no where not", "balanced accuracy", "interval")
DRAWS = 10
CHOICE_HEAD = ("choice of four", "asked", "refused", "right")
MISSING = ("by frequency", "by co-occurrence")
OPEN = {"en": "what is in the picture?", "zh": "图里有什么？"}
EXISTENCE = {"en": "is there {} in the picture?", "zh": "图里有{}吗？"}


@dataclass(frozen=True)
class Drawn:
    """A photograph, its number, a thing that is labelled in it, and things that are not, by how they were drawn."""

    number: int
    image: NDArray[np.float32]
    there: str
    missing: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class KeptTexts:
    """An encoder that computes each text once."""

    identity: Identity
    encode_texts: Callable[[Sequence[str]], NDArray[np.float32]]


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--fit", action="store_true", help="print the figures of the half that was fitted on")
    parser.add_argument("--vectors", type=Path, help="keep vectors in this folder, or take them from there")
    args = parser.parse_args()
    encoder = retrieval.load_encoder("mini")
    photographs = read_set("coco_kept", args.data)
    kept = KeptVectors(encoder, args.vectors)
    images, texts = kept.images("coco_kept", photographs), KeptTexts(encoder.identity, kept.texts)
    drawn = draw([sorted(one.labels) for one in photographs], images, 0 if args.fit else 1)
    written = {"en": {one.label: one.label for one in Names.read().all}}
    written["zh"] = {one.label: one.chinese[0] for one in Names.read().all}
    if args.fit:
        print(" ".join(f"{figure:.2f}" for figure in fit(texts, drawn, written)))
        return
    existences, choices = [], []
    for language, names in written.items():
        for missing in MISSING:
            existences.append(existence(texts, drawn, language, names, missing))
            choices.append(choice(texts, drawn, language, names, missing))
    lines = [*markdown_table(HEAD, existences), "", *markdown_table(CHOICE_HEAD, choices)]
    print("\n".join(lines))
    head = provenance(
        "python -m benchmarks.evaluation.questions DATA", packages=("numpy",), note="model mini"
    )
    write_table(TABLE, ["# Questions", "", *head, "", introduction(__doc__), "", *lines])


def draw(labels: Sequence[Sequence[str]], images: NDArray[np.float32], half: int) -> list[Drawn]:
    """Draw the things that the photographs of a half are asked for; the same at every call."""
    often = Counter(name for own in labels for name in own)
    together = Counter((one, other) for own in labels for one in own for other in own)
    found = []
    for row, own in enumerate(labels):
        if not own or hashlib.sha256(str(row).encode()).digest()[0] % 2 != half:
            continue
        rng = random.Random(row)
        others = [name for name in sorted(often) if name not in own]
        by_frequency = [float(often[name]) for name in others]
        for _ in range(DRAWS):
            there = rng.choice(own)
            by_company = [together[there, name] + 0.01 for name in others]
            drawn = {
                kind: _three(rng, others, weights)
                for kind, weights in zip(MISSING, (by_frequency, by_company), strict=True)
            }
            found.append(Drawn(row, images[row], there, drawn))
    return found


def fit(
    encoder: TextEncoder, drawn: Sequence[Drawn], written: Mapping[str, Mapping[str, str]]
) -> NDArray[np.float64]:
    """Fit the figures of the logistic function to balanced questions in all languages; (4,), the constant last."""
    calibration = calibration_of(encoder.identity)
    assert calibration is not None, "mini has a calibration"
    rows, right = [], []
    for language, names in written.items():
        rows_of_names = averaged_names(encoder, list(names.values()), language, sentences=False)
        vectors = dict(zip(names, rows_of_names, strict=True))
        for one in drawn:
            for label in (one.there, one.there, *(one.missing[kind][0] for kind in MISSING)):
                rows.append(evidence(calibration, one.image, vectors[label]))
                right.append(label == one.there)
    return logistic(np.array(rows), np.array(right), np.ones(len(rows)))


def existence(
    encoder: TextEncoder, drawn: Sequence[Drawn], language: str, names: Mapping[str, str], missing: str
) -> tuple[object, ...]:
    """Give the row of the questions whether something is there."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    photographs: dict[bool, list[int]] = {True: [], False: []}
    refused = 0
    for one in drawn:
        for is_there, label in ((True, one.there), (False, one.missing[missing][0])):
            understood = understand(EXISTENCE[language].format(phrase(names[label], language)))
            if understood is None:
                refused += 1
                continue
            answer = answer_by_encoder(encoder, one.image, understood)
            right[is_there].append((answer.text in ("yes", "有")) == is_there)
            photographs[is_there].append(one.number)
    yes, no = (float(np.mean(right[is_there])) for is_there in (True, False))
    asked = 2 * len(drawn)
    kind = f"{language}, missing {missing}"
    low, high = interval(right, photographs)
    shares = (f"{share:.3f}" for share in (refused / asked, yes, no, (yes + no) / 2))
    return kind, asked, *shares, f"{low:.3f} to {high:.3f}"


def interval(
    right: Mapping[bool, Sequence[bool]], photographs: Mapping[bool, Sequence[int]]
) -> NDArray[np.float64]:
    """Bootstrap the 95 % interval of the balanced accuracy over photographs."""
    many = 1 + max(max(own) for own in photographs.values())
    times = np.random.default_rng(0).multinomial(
        len(set(photographs[True])), _alike(photographs[True], many), 1000
    )
    accuracy = np.zeros(len(times))
    for is_there in (True, False):
        own = np.array(photographs[is_there])
        good = np.bincount(own, np.array(right[is_there], np.float64), many)
        accuracy += times @ good / (times @ np.bincount(own, minlength=many)) / 2
    return np.asarray(np.quantile(accuracy, (0.025, 0.975)))


def _alike(numbers: Sequence[int], many: int) -> NDArray[np.float64]:
    """Give each photograph that was asked the same probability."""
    was_asked = np.bincount(np.array(numbers), minlength=many) > 0
    return np.asarray(was_asked / was_asked.sum())


def choice(
    encoder: TextEncoder, drawn: Sequence[Drawn], language: str, names: Mapping[str, str], missing: str
) -> tuple[object, ...]:
    """Give the row of the questions which of four things it is."""
    right = []
    for one in drawn:
        options = sorted(names[label] for label in (one.there, *one.missing[missing]))
        understood = understand(OPEN[language], options)
        if understood is not None:
            right.append(answer_by_encoder(encoder, one.image, understood).text == names[one.there])
    refused = 1 - len(right) / len(drawn)
    return f"{language}, missing {missing}", len(drawn), f"{refused:.3f}", f"{np.mean(right):.3f}"


def _three(rng: random.Random, names: Sequence[str], weights: Sequence[float]) -> tuple[str, ...]:
    drawn: list[str] = []
    while len(drawn) < 3:
        drawn += [name for name in rng.choices(names, weights) if name not in drawn]
    return tuple(drawn)


if __name__ == "__main__":
    main()
