"""How right the tags of ``vlsearch tag`` are, and the logistic function that makes its probabilities.

    python -m benchmarks.search.tags DATA

DATA is a folder with coco_labels and flickr8k. Of the COCO photographs that ``mini`` was not trained on, brought to
4:3, every second one fits the logistic function on the names of COCO's 80 things in both languages, and the others
are judged: a tag is right if annotators marked the thing, who left small ones out. Of 500 validation photographs of
Flickr8k nothing was fitted; a tag is right there if one of five captions mentions the thing, so that a right tag
that nobody mentions counts as wrong. *Abstained*: photographs without any of the 80 names. *By* log odds of the
model's calibration, or, as for models without one, by a softmax over all bundled names.
Rewrites tags.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from recipes.mini.names import Names
from recipes.mini.photographs import Photograph, read_set
from retrieval.analysis.tag_probabilities import calibrated_probabilities, softmax_shares
from retrieval.analysis.vocabulary import Languages, Vocabulary, VocabularyName, find_vocabulary
from retrieval.calibration import Calibration
from retrieval.encoders.calibrations import calibration_of

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("photographs", "names", "by", "least", "precision", "recall", "abstained", "tags each", "ECE")
LEAST = (0.3, 0.5, 0.7)
CALLED = {
    "tv": "television",
    "mouse": "computer mouse",
    "remote": "remote control",
    "hair drier": "hair dryer",
    "sports ball": "ball",
}
"""COCO's names by those of the bundled vocabulary, where they differ."""
FLICKR = 500
SAID: tuple[tuple[str, Languages], ...] = (("en", "first"), ("zh", "other"), ("both", "both"))

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """Photographs, and which of the 80 things each shows: (photographs, 80) bool."""

    name: str
    images: NDArray[np.float32]
    right: Right


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    args = parser.parse_args()
    encoder = retrieval.load_encoder("mini")
    names, calibration = Names.read(), calibration_of(encoder.identity)
    assert calibration is not None, "mini has one"
    coco = read_set("coco_kept", args.data)
    flickr = read_set("flickr_val", args.data)[:FLICKR]
    labels = [name.label for name in names.all]
    marked = np.array([[label in one.labels for label in labels] for one in coco])
    mentioned = [frozenset[str]().union(*map(names.mentioned, one.english)) for one in flickr]
    told = np.array([[label in one for label in labels] for one in mentioned])
    images = _encoded(encoder, coco)
    fitted = Judged("COCO, fitted", images[::2], marked[::2])
    sets = [Judged("COCO", images[1::2], marked[1::2]), Judged("Flickr8k", _encoded(encoder, flickr), told)]
    vocabulary = find_vocabulary(None)
    place = {name.name: at for at, name in enumerate(vocabulary.names)}
    wanted = [vocabulary.names[place[CALLED.get(label, label)]] for label in labels]
    both = [_log_odds(encoder, wanted, one, fitted.images, calibration) for _, one in SAID[:2]]
    slope, intercept = _logistic(np.concatenate(both), np.concatenate([fitted.right, fitted.right]))
    rows: list[Sequence[object]] = []
    for judged in sets:
        for said, languages in SAID:
            raw = _log_odds(encoder, wanted, languages, judged.images, calibration)
            probabilities = 1 / (1 + np.exp(-(slope * raw + intercept)))
            rows += _figures(judged, said, "calibration", probabilities)
        for said, languages in SAID[:2]:
            shares = _shares(encoder, vocabulary, wanted, languages, judged.images)
            rows += _figures(judged, said, "softmax", shares)
    intro = f"{introduction(__doc__)} Fitted: {slope:.2f} times the log odds {intercept:+.2f}."
    head = provenance(
        "python -m benchmarks.search.tags DATA", packages=("numpy", "openvino"), note="model mini"
    )
    write_table(TABLE, ["# Tags", "", *head, "", intro, "", *markdown_table(HEAD, rows)])


def _encoded(encoder: retrieval.Encoder, photographs: Sequence[Photograph]) -> NDArray[np.float32]:
    batches = [photographs[start : start + 32] for start in range(0, len(photographs), 32)]
    return np.concatenate([encoder.encode_images([one.open() for one in batch]) for batch in batches])


def _log_odds(
    encoder: retrieval.Encoder,
    names: Sequence[VocabularyName],
    languages: Languages,
    images: NDArray[np.float32],
    calibration: Calibration,
) -> NDArray[np.float64]:
    """What the logistic function is given: log odds of the calibration."""
    vectors = Vocabulary("judged", tuple(names)).vectors(encoder, languages)
    found = np.concatenate(list(calibrated_probabilities(vectors, images, calibration)))
    clipped = np.clip(found.astype(np.float64), 1e-9, 1 - 1e-7)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _shares(
    encoder: retrieval.Encoder,
    vocabulary: Vocabulary,
    names: Sequence[VocabularyName],
    languages: Languages,
    images: NDArray[np.float32],
) -> NDArray[np.float64]:
    judged = Vocabulary("judged", tuple(names))
    rows, others = (
        np.concatenate(one.vectors(encoder, languages)) for one in (judged, vocabulary.without(judged))
    )
    return np.concatenate(list(softmax_shares(rows, others, images))).astype(np.float64)


def _logistic(values: NDArray[np.float64], right: Right) -> tuple[float, float]:
    """Fit slope and intercept by Newton's method."""
    x, y = np.stack([values.ravel(), np.ones(values.size)], 1), right.ravel().astype(float)
    weights = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        weights += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2), x.T @ (y - p))
    return float(weights[0]), float(weights[1])


def _figures(
    judged: Judged, names: str, way: str, probabilities: NDArray[np.float64]
) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    for least in LEAST:
        given = probabilities >= least
        right = int((given & judged.right).sum())
        rows.append(
            (
                judged.name,
                names,
                way,
                f"{least:g}",
                f"{right / max(int(given.sum()), 1):.3f}",
                f"{right / int(judged.right.sum()):.3f}",
                f"{float((~given.any(1)).mean()):.2f}",
                f"{float(given.sum(1).mean()):.2f}",
                f"{_calibration_error(probabilities, judged.right):.4f}",
            )
        )
    return rows


def _calibration_error(probabilities: NDArray[np.float64], right: Right) -> float:
    p, y = probabilities.ravel(), right.ravel()
    bins = np.minimum((p * 15).astype(int), 14)
    return float(sum(abs(p[bins == one].sum() - y[bins == one].sum()) for one in range(15)) / len(p))


if __name__ == "__main__":
    main()
