"""Words beside vectors where no mode is named: what it finds, how true its probability is, and what it costs.

    python -m benchmarks.search.automatic DATA [--every N] [--vectors FOLDER]

DATA is a folder with flickr8k and coco_captions.txt. *Found*: captions of the 1,000 validation photographs are asked,
each for its own photograph, while it, and what equals it, is held out of the full text; the other captions of its
language stay, or as many as the table says, of all photographs or of a part (drawn at random). *Hybrid* joins the
rankings of all (``--mode hybrid``), *chosen* is what a search does that names no mode: photographs without captions
keep their places.
*Probability*: captions, half of them without their photograph, and nonsense, of the half that the calibration was not
fitted on, in galleries of 5 photographs to all of these, which all have their captions; right is that the caption's own
photograph is among the first ten of *chosen*. The probability is that of the best hit by vectors. Of queries without a
word that full text finds vectors alone are asked. *Cost*: CPU of warm queries in one process, by vectors and by
*chosen* in turn, over random vectors of 512 numbers and captions of COCO, five a picture; and of the search for words
alone, which is what grows with the number of captions.
Rewrites automatic.md.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.calibrated import calibrated_mini, parser_of
from benchmarks.search.nothing import auroc, ece
from indexer.store.changes import Change, NewContent, NewItem, NewLink
from indexer.store.writer import Writer
from recipes.mini.calibration.nonsense import nonsense
from recipes.mini.calibration.questions import SAMPLE, rows_of_half
from recipes.mini.calibration.vectors import KeptVectors
from recipes.mini.photographs import Photograph, read_set
from retrieval.calibration import Asked, Calibration
from retrieval.collection import fulltext
from retrieval.collection.caption_words import images_by_words
from retrieval.contents import text_digest
from retrieval.query.by_words import FUSED_DEPTH
from retrieval.query.fuse import fuse, fuse_in_places
from retrieval.types import Mode

TABLE = Path(__file__).with_suffix(".md")
FOUND = ("language", "captions of a photograph", "photographs with captions", "queries", "by", "R@1", "R@5", "R@10",
         "of those with captions", "of those without")  # fmt: skip
CERTAIN = (
    "queries",
    "asked",
    "right",
    "mean probability",
    "ECE",
    "AUROC",
    "nothing, of answerable",
    "nothing, of others",
)
COST = ("captions", "queries", "by vectors, median", "chosen, median", "by vectors, 95th percentile",
        "chosen, 95th percentile")  # fmt: skip
COST_OF_WORDS = ("captions", "queries", "words alone, median", "words alone, 95th percentile")
SETTINGS = ((4, 1.0), (2, 1.0), (1, 1.0), (4, 0.5), (1, 0.5), (4, 0.1))
DRAWS = 40
HALF = 1  # what the calibration was not fitted on
LANGUAGES = ("english", "chinese")
LEAST_IMAGES = 5
DIMENSION = 512
BLOCK = 10_000  # captions of a commit
WORDS = (
    "a dog",
    "a red bus",
    "snow",
    "two people on a beach",
    "a cat on a laptop",
    "kitchen",
    "a man riding a horse",
)
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Captions:
    """Captions with a full text of their own: ``documents`` has photograph and text by row, from 1."""

    connection: sqlite3.Connection
    documents: Sequence[tuple[int, str]]

    @classmethod
    def of(cls, documents: Sequence[tuple[int, str]]) -> Captions:
        """Index captions, (photograph, text) each."""
        connection = sqlite3.connect(":memory:")
        connection.execute(fulltext.CREATE)
        connection.execute("CREATE TABLE items (kind)")
        rows = [(number, fulltext.spaced(text)) for number, (_, text) in enumerate(documents, start=1)]
        connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", rows)
        connection.executemany("INSERT INTO items VALUES (?)", [("text",)] * len(rows))
        return cls(connection, documents)

    def scores(self, text: str) -> list[tuple[int, float]]:
        """Give the rows that a text's rare words find, with their scores."""
        found = fulltext.find_rare(self.connection, text)
        return list(zip(found.ids.tolist(), found.scores.tolist(), strict=True))

    def ranked(
        self, scores: Sequence[tuple[int, float]], held_out: tuple[int, str] | None, among: frozenset[int]
    ) -> list[int]:
        """Rank the photographs of a gallery; each has the best of its captions, but for the one that is held out."""
        best: dict[int, float] = {}
        for row, score in scores:
            photograph, _ = document = self.documents[row - 1]
            if document != held_out and photograph in among:
                best[photograph] = max(best.get(photograph, 0.0), score)
        return sorted(best, key=lambda one: (-best[one], one))[:FUSED_DEPTH]


def main() -> None:
    """Rewrite the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--every", type=int, default=1, help="ask with every n-th caption alone")
    args = parser.parse_args()
    encoder, calibration = calibrated_mini()
    kept = KeptVectors(encoder, args.vectors)
    photographs = read_set("flickr_val", args.data)
    images = kept.images("flickr_val", photographs)
    found = [
        row for language in LANGUAGES for row in figures(photographs, images, kept, language, args.every)
    ]
    certain = list(probabilities(photographs, images, kept, calibration))
    kept.keep()
    texts = (args.data / "coco_captions.txt").read_text(encoding="utf-8")
    lines_of_texts = [line.strip() for line in texts.splitlines() if line.strip()]
    costs = [row for count in (1_000, 100_000) for row in cost(lines_of_texts, count)]
    of_words = [row for count in (1_000, 100_000) for row in cost_of_words(lines_of_texts, count)]
    note = "model mini"
    command = f"python -m benchmarks.search.automatic DATA --every {args.every}"
    lines = [
        "# Words beside vectors where no mode is named", "", *provenance(command, packages=("numpy",), note=note),
        "", introduction(__doc__), "", *markdown_table(FOUND, found), "", *markdown_table(CERTAIN, certain), "",
        *markdown_table(COST, costs), "", *markdown_table(COST_OF_WORDS, of_words), "", "Times in milliseconds.",
    ]  # fmt: skip
    print("\n".join(lines))
    write_table(TABLE, lines)


def figures(
    photographs: Sequence[Photograph], images: Rows, kept: KeptVectors, language: str, every: int
) -> Iterator[tuple[object, ...]]:
    """Ask captions of one language for their photographs, with all kinds of full texts."""
    captions = [(number, text) for number, one in enumerate(photographs) for text in getattr(one, language)]
    for most, share in SETTINGS:
        rng = np.random.default_rng(1)
        having = frozenset(rng.permutation(len(photographs))[: round(share * len(photographs))].tolist())
        left = {}
        for number, one in enumerate(photographs):
            own = getattr(one, language)
            left[number] = (
                own if most >= len(own) - 1 else [own[at] for at in rng.permutation(len(own))[:most]]
            )
        index = Captions.of([(number, text) for number in sorted(having) for text in left[number]])
        asked = [
            (number, text)
            for number, text in captions[::every]
            if most >= len(getattr(photographs[number], language)) - 1 or text not in left[number]
        ]
        vectors = kept.texts([text for _, text in asked])
        ranks: dict[str, list[int]] = {name: [] for name in ("vectors", "words", "hybrid", "chosen")}
        every_image = frozenset(range(len(photographs)))
        for (number, text), vector in zip(asked, vectors, strict=True):
            by_vector = np.argsort(-(images @ vector), kind="stable")[:FUSED_DEPTH].tolist()
            by_words = index.ranked(index.scores(text), (number, text), every_image)
            rankings = {
                "vectors": by_vector, "words": by_words,
                "hybrid": [one.id for one in fuse({"vector": by_vector, "words": by_words})],
                "chosen": [one.id for one in fuse_in_places(by_vector, by_words, having)],
            }  # fmt: skip
            for name, ranking in rankings.items():
                ranks[name].append(ranking.index(number) + 1 if number in ranking[:FUSED_DEPTH] else 0)
        mine = np.array([number in having for number, _ in asked])
        for name, found in ranks.items():
            places = np.array(found)
            yield (
                language.capitalize(), most, f"{share:.0%}", len(asked), name, *recalls(places),
                " / ".join(recalls(places[mine])), " / ".join(recalls(places[~mine])),
            )  # fmt: skip


def recalls(places: NDArray[np.int64]) -> list[str]:
    """Give R@1, R@5 and R@10 as percentages."""
    if not len(places):
        return []
    return [f"{100 * np.mean((places >= 1) & (places <= k)):.1f}" for k in (1, 5, 10)]


def probabilities(
    photographs: Sequence[Photograph], images: Rows, kept: KeptVectors, calibration: Calibration
) -> Iterator[tuple[object, ...]]:
    """Judge the probability by vectors where words have a say in the order."""
    rng = np.random.default_rng(5)
    answers = [
        one
        for language in LANGUAGES
        for one in _answers(photographs, images, kept, calibration, language, rng)
    ]
    kinds = np.array([one[0] for one in answers])
    said, nothing, right, able, by_words = (np.array([one[at] for one in answers]) for at in range(1, 6))
    for name in ("all", *dict.fromkeys(kinds.tolist())):
        own = np.ones(len(kinds), bool) if name == "all" else kinds == name
        yield _judged(name, own, said, nothing, right, able)
        if name == "all":
            yield _judged("all that full text finds", by_words, said, nothing, right, able)


def _judged(
    name: str,
    own: NDArray[np.bool_],
    said: NDArray[np.float64],
    nothing: NDArray[np.bool_],
    right: NDArray[np.bool_],
    able: NDArray[np.bool_],
) -> tuple[object, ...]:
    said, nothing, right, able = said[own], nothing[own], right[own], able[own]
    weights = np.ones(len(said))
    area = auroc(said, right, weights)
    return (
        name, len(said), f"{right.mean():.3f}", f"{said.mean():.3f}", f"{ece(said, right, weights):.3f}",
        "" if area is None else f"{area:.3f}",
        f"{nothing[able].mean():.3f}" if able.any() else "", f"{nothing[~able].mean():.3f}",
    )  # fmt: skip


def _answers(
    photographs: Sequence[Photograph],
    images: Rows,
    kept: KeptVectors,
    calibration: Calibration,
    language: str,
    rng: np.random.Generator,
) -> Iterator[tuple[str, float, bool, bool, bool, bool]]:
    """Ask; give kind, probability, whether nothing, right and answerable, and whether full text finds anything."""
    own = rows_of_half(len(photographs), HALF)
    documents = [(int(at), text) for at in own for text in getattr(photographs[at], language)]
    index = Captions.of(documents)
    typed = [text for of, text in nonsense(HALF) if of == {"english": "en", "chinese": "zh"}[language]]
    for _ in range(DRAWS):
        count = round(float(np.exp(rng.uniform(np.log(LEAST_IMAGES), np.log(len(own))))))
        gallery = rng.choice(own, count, replace=False)
        inside = [one for one in documents if one[0] in set(gallery.tolist())]
        queries: list[tuple[str, tuple[int, str] | None, str]] = [
            ("captions", inside[at], inside[at][1])
            for at in rng.choice(len(inside), min(60, len(inside)), replace=False)
        ]
        queries += [("nonsense", None, typed[at]) for at in rng.choice(len(typed), 30, replace=False)]
        for (kind, held_out, text), row in zip(queries, kept.texts([one[2] for one in queries]), strict=True):
            shown = gallery
            if held_out is not None and rng.random() < 0.5:
                shown = gallery[gallery != held_out[0]]
            if not len(shown):
                continue
            scores = images[shown] @ row
            by_vector = shown[np.argsort(-scores, kind="stable")].tolist()[:FUSED_DEPTH]
            among = frozenset(shown.tolist())
            by_words = index.ranked(index.scores(text), held_out, among)
            first = [one.id for one in fuse_in_places(by_vector, by_words, among)[:10]]
            wanted = None if held_out is None else held_out[0]
            judge = calibration.judge(Asked(row, scores[:SAMPLE], len(shown), texts=(text,)))
            said = judge.probability(float(scores.max()))
            nothing = said < judge.nothing_below
            yield f"{kind}, {language}", said, nothing, wanted in first, wanted in among, bool(by_words)


def cost_of_words(lines: Sequence[str], count: int) -> Iterator[tuple[object, ...]]:
    """Time the search for pictures by words of their captions, over so many captions."""
    documents = [(number // 5 + 1, text_at(lines, number)) for number in range(count)]
    connection = Captions.of(documents).connection
    connection.execute("CREATE TABLE links (image_item, text_item PRIMARY KEY)")
    links = [(count + picture, row) for row, (picture, _) in enumerate(documents, start=1)]
    connection.executemany("INSERT INTO links VALUES (?, ?)", links)
    captions = [text for _, text in documents[:: count // 200]]
    for name, queries in (("captions", captions), ("a few words", WORDS * 8)):
        spent = []
        for query in queries:
            began = time.process_time()
            images_by_words(connection, query, np.empty(0, np.int64))
            spent.append(1000 * (time.process_time() - began))
        yield f"{count:,}", name, f"{np.median(spent):.2f}", f"{np.percentile(spent, 95):.2f}"


def text_at(lines: Sequence[str], number: int) -> str:
    """Give the caption of a number; where the lines are used up they come again, each with a number of its own."""
    again = number // len(lines)
    return lines[number % len(lines)] + (f" {again}" if again else "")


def cost(lines: Sequence[str], count: int) -> list[tuple[object, ...]]:
    """Time warm queries by vectors and by what is chosen, in turn, over so many captions."""
    rng = np.random.default_rng(3)
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "collection"
        fill(path, lines, count, rng)
        with retrieval.open(path) as engine:
            captions = [lines[at] for at in rng.choice(min(len(lines), count), 60, replace=False)]
            for name, queries in (("captions", captions), ("a few words", WORDS * 8)):
                spent = timed(engine, queries)
                rows.append((
                    f"{count:,}", name,
                    *(f"{statistic(spent[mode]):.2f}"
                      for statistic in (np.median, lambda one: np.percentile(one, 95)) for mode in ("vector", None)),
                ))  # fmt: skip
    return rows


def timed(engine: retrieval.SearchEngine, queries: Sequence[str]) -> Mapping[Mode | None, list[float]]:
    """Ask each query by vectors and as is chosen, twice; give the milliseconds of CPU of the second time."""
    spent: dict[Mode | None, list[float]] = {"vector": [], None: []}
    for query in queries:
        for again in (False, True):
            for mode, times in spent.items():
                began = time.process_time()
                engine.search(query, find="image", mode=mode)
                if again:
                    times.append(1000 * (time.process_time() - began))
    return spent


def fill(path: Path, lines: Sequence[str], count: int, rng: np.random.Generator) -> None:
    """Make a collection of pictures with five captions each; nothing is encoded."""
    identity, known = retrieval.load_encoder("mini").identity, set[bytes]()
    with Writer(path) as writer:
        corpus = writer.ensure_corpus("generated:", "generated")
        for start in range(0, count, BLOCK):
            change = Change()
            for number in range(start, min(start + BLOCK, count)):
                image, text, words = (
                    f"generated:{number // 5}",
                    f"generated:{number}/",
                    text_at(lines, number),
                )
                of_image = sha256(image.encode()).digest()
                if number % 5 == 0:
                    change.contents["image", of_image] = NewContent("image", of_image, _unit(rng))
                    change.items[image] = NewItem(image, "image", of_image, corpus)
                of_text = text_digest(words)
                if of_text not in known:  # some captions come several times
                    change.contents["text", of_text] = NewContent("text", of_text, _unit(rng), words)
                    known.add(of_text)
                change.items[text] = NewItem(text, "text", of_text, corpus)
                change.links[image, text] = NewLink(image, text, corpus)
            writer.commit(change, identity)


def _unit(rng: np.random.Generator) -> Rows:
    row = rng.standard_normal(DIMENSION).astype(np.float32)
    return row / np.linalg.norm(row)


if __name__ == "__main__":
    main()
