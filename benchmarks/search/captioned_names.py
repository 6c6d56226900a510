"""How true the probability is where captions hold the words of a name.

    python -m benchmarks.search.captioned_names DATA [--vectors FOLDER]

DATA is a folder with flickr8k and coco_mini. Asked are names of the 80 kinds of things of COCO, as words and in short
phrases, over galleries of five photographs to all, half of the time without those that show the thing; counted are
queries with a word that captions hold, where words rank beside vectors. *flickr8k*: each photograph has two of its
captions of the language of the query; it shows a thing if one of its other captions, of either language, mentions it,
so that what only one caption mentions counts as not shown. *coco_mini*: the 55 photographs with boxes, which say what
they show, and their five captions. *Right*: the hit that is shown first shows the thing. *Before*: the probability of
the best hit by vectors; *now*: that of the first hit that is shown, which counts a caption with all words
(retrieval/calibration.py). The two constants of that are fitted on the half of Flickr8k that is not judged here, both
languages together. ECE and AUROC as in nothing.md; *nothing*: share called "probably nothing" now.
Rewrites captioned_names.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.automatic import Captions
from benchmarks.search.calibrated import calibrated_mini, parser_of
from benchmarks.search.nothing import auroc, ece
from recipes.mini.calibration.fit import logistic
from recipes.mini.calibration.questions import LEAST_IMAGES, SAMPLE, rows_of_half
from recipes.mini.calibration.vectors import KeptVectors
from recipes.mini.names import Name, Names
from recipes.mini.photographs import read_set
from retrieval.calibration import Asked, Calibration, with_caption
from retrieval.collection import fulltext
from retrieval.query.by_words import FUSED_DEPTH
from retrieval.query.fuse import fuse_in_places
from retrieval.texts import fold

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "photographs", "asked", "right", "a caption holds all words", "of these right", "said of these before", "now",
    "ECE before", "ECE now", "AUROC before", "AUROC now", "nothing, of answerable", "nothing, of others",
)  # fmt: skip
KEPT_CAPTIONS = 2
DRAWS, QUERIES = 200, 60
Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Captioned:
    """Photographs with captions.

    Attributes:
        rows: numbers of the photographs.
        captions: (photograph, text) each.
        shown: labels of the things that each photograph shows.
        images: vectors, by number.
    """

    rows: NDArray[np.int64]
    captions: Sequence[tuple[int, str]]
    shown: dict[int, frozenset[str]]
    images: Rows


@dataclass(frozen=True, slots=True)
class Answer:
    """The first hit of a name: its probabilities, and below which there is nothing; and what is true of it."""

    by_best: float
    by_first: float
    nothing_below: float
    held: bool
    right: bool
    answerable: bool

    @property
    def now(self) -> float:
        """What the product says."""
        return with_caption(self.by_first) if self.held else self.by_best


def main() -> None:
    """Rewrite the table."""
    parser = parser_of(__doc__)
    args = parser.parse_args()
    encoder, calibration = calibrated_mini()
    kept, rng = KeptVectors(encoder, args.vectors), np.random.default_rng(7)
    fitted, table = [], []
    for language in ("english", "chinese"):
        fitted += list(ask(flickr(args.data, kept, 0, language, rng), kept, calibration, language, rng))
    for language in ("english", "chinese"):
        found = list(ask(flickr(args.data, kept, 1, language, rng), kept, calibration, language, rng))
        table.append(row(f"flickr8k, {language}", found))
    found = list(ask(coco_mini(args.data, kept), kept, calibration, "english", rng))
    table.append(row("coco_mini, english", found))
    kept.keep()
    slope, constant = fit(fitted)
    lines = [
        "# Names that captions hold", "",
        *provenance("python -m benchmarks.search.captioned_names DATA", packages=("numpy",), note="model mini"),
        "", introduction(__doc__), "",
        *markdown_table(HEAD, table), "",
        f"Fitted: {slope:.2f} times the log odds by vectors, and {constant:.2f}.",
    ]  # fmt: skip
    print("\n".join(lines))
    write_table(TABLE, lines)


def flickr(data: Path, kept: KeptVectors, half: int, language: str, rng: np.random.Generator) -> Captioned:
    """Read half of the validation photographs; captions that are not kept say what is shown."""
    photographs, names = read_set("flickr_val", data), Names.read().all
    rows, captions = rows_of_half(len(photographs), half), list[tuple[int, str]]()
    shown: dict[int, frozenset[str]] = {}
    for number in rows.tolist():
        one = photographs[number]
        own: Sequence[str] = getattr(one, language)
        order = rng.permutation(len(own)).tolist()
        captions += [(number, own[at]) for at in order[:KEPT_CAPTIONS]]
        left = [own[at] for at in order[KEPT_CAPTIONS:]]
        english, chinese = (left, one.chinese) if language == "english" else (one.english, left)
        shown[number] = frozenset(name.label for name in names if is_mentioned(name, english, chinese))
    return Captioned(rows, captions, shown, kept.images("flickr_val", photographs))


def coco_mini(data: Path, kept: KeptVectors) -> Captioned:
    """Read the photographs with boxes, which say what is shown."""
    photographs = read_set("coco_mini", data)
    folder = data / "coco_mini"
    boxes = json.loads((folder / "annotations" / "instances_mini.json").read_text(encoding="utf-8"))
    label = {one["id"]: one["name"] for one in boxes["categories"]}
    listed = (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    number_of = {int(Path(json.loads(line)["image"]).stem): number for number, line in enumerate(listed)}
    shown: dict[int, frozenset[str]] = {}
    for box in boxes["annotations"]:
        number = number_of[box["image_id"]]
        shown[number] = shown.get(number, frozenset()) | {label[box["category_id"]]}
    rows = np.array(sorted(shown), np.int64)
    captions = [(number, text) for number in rows.tolist() for text in photographs[number].english]
    return Captioned(rows, captions, shown, kept.images("coco_mini", photographs))


def is_mentioned(name: Name, english: Sequence[str], chinese: Sequence[str]) -> bool:
    """Whether captions mention a thing."""
    words = "|".join(re.escape(fold(word)) for word in (name.label, *name.english, *name.mentions))
    said = re.search(rf"\b({words})(s|es)?\b", fold(" ".join(english))) is not None
    return said or any(word in text for word in name.chinese for text in chinese)


def queries_of(language: str) -> list[tuple[str, str]]:
    """Give labels with what is typed for them."""
    found = []
    for name in Names.read().all:
        english = (name.label, *name.english, f"a {name.label}", f"a photo of a {name.label}")
        found += [(name.label, text) for text in (english if language == "english" else name.chinese)]
    return found


def ask(
    of: Captioned, kept: KeptVectors, calibration: Calibration, language: str, rng: np.random.Generator
) -> Iterator[Answer]:
    """Ask names of galleries of random sizes, half of the time without what answers them."""
    queries, index = queries_of(language), Captions.of(of.captions)
    rows = kept.texts([text for _, text in queries])
    for _ in range(DRAWS):
        count = round(float(np.exp(rng.uniform(np.log(LEAST_IMAGES), np.log(len(of.rows))))))
        gallery = rng.choice(of.rows, count, replace=False)
        for at in rng.choice(len(queries), QUERIES, replace=False):
            (label, text), row = queries[at], rows[at]
            keep = np.array([label not in of.shown[one] for one in gallery.tolist()])
            shown = gallery[keep] if rng.random() < 0.5 else gallery
            among = frozenset(shown.tolist())
            by_words = index.ranked(index.scores(text), None, among)
            if not by_words:
                continue
            scores = of.images[shown] @ row
            nearest = shown[np.argsort(-scores, kind="stable")].tolist()[:FUSED_DEPTH]
            first = fuse_in_places(nearest, by_words, among)[0]
            judge = calibration.judge(Asked(row, scores[:SAMPLE], len(shown), texts=(text,)))
            yield Answer(
                judge.probability(float(scores.max())),
                judge.probability(float(of.images[first.id] @ row)),
                judge.nothing_below,
                "words" in first.ranks and is_held(index, first.id, text),
                label in of.shown[first.id],
                any(label in of.shown[one] for one in among),
            )


def is_held(index: Captions, photograph: int, text: str) -> bool:
    """Whether a caption of a photograph holds all words."""
    own = [row for row, (number, _) in enumerate(index.documents, start=1) if number == photograph]
    return fulltext.holds_all(index.connection, own, text)


def fit(answers: Sequence[Answer]) -> NDArray[np.float64]:
    """Fit the slope and the constant of hits with such a caption."""
    held = [one for one in answers if one.held]
    said = np.array([one.by_first for one in held])
    right = np.array([one.right for one in held])
    return logistic(np.log(said / (1 - said))[:, None], right, np.ones(len(held)))


def row(name: str, answers: Sequence[Answer]) -> tuple[object, ...]:
    """Give a row of the table."""
    before, now = (np.array([getattr(one, fact) for one in answers]) for fact in ("by_best", "now"))
    held, right, able = (
        np.array([getattr(one, fact) for one in answers]) for fact in ("held", "right", "answerable")
    )
    alike = np.ones(len(answers))
    nothing = now < np.array([one.nothing_below for one in answers])
    return (
        name, len(answers), f"{right.mean():.3f}", f"{held.mean():.3f}", f"{right[held].mean():.3f}",
        f"{before[held].mean():.3f}", f"{now[held].mean():.3f}",
        *(f"{ece(said, right, alike):.3f}" for said in (before, now)),
        *(f"{auroc(said, right, alike):.3f}" for said in (before, now)),
        f"{nothing[able].mean():.3f}", f"{nothing[~able].mean():.3f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
