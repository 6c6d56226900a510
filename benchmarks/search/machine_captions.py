"""Captions that a machine wrote: whether search by people's words finds more with them, in English and Chinese.

    python -m benchmarks.search.machine_captions DATA [--every N] [--model NAME]

DATA is a folder with flickr8k. The 1,000 photographs of its val are indexed without any caption, and asked with
people's captions, each of which one photograph answers; then ``caption --add`` describes all photographs in the
language of the captions, and the same is asked again. *Default* is what a search does that names no mode; ``words``
wants all words of a query. *Gain* is in points of R@10 against vectors alone, with its 95 % interval drawn by
photograph. The captioner was chosen on these photographs' figures, and has not learned from them.
Rewrites machine_captions.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import indexer
import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from recipes.mini.photographs import Photograph, read_set
from retrieval.evaluation.intervals import bootstrap_intervals
from retrieval.types import Mode

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("queries", "asked", "captions of a machine", "mode", "R@1", "R@5", "R@10", "gain, R@10")
LANGUAGES = {"en": "English", "zh": "Chinese"}
MODES: Mapping[str, Mode | None] = {
    "vector": "vector",
    "default": None,
    "hybrid": "hybrid",
    "words": "words",
}
DEPTH = 10


@dataclass(frozen=True)
class Asked:
    """Captions that people wrote, and the numbers of the photographs that they describe."""

    texts: Sequence[str]
    photographs: NDArray[np.int64]


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="ask with every n-th caption alone")
    parser.add_argument("--model", default="mini", help="what writes the captions")
    args = parser.parse_args()
    photographs = read_set("flickr_val", args.data)
    asked = {language: people_ask(photographs, language, args.every) for language in LANGUAGES}
    rows: list[Sequence[object]] = []
    makers: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        collection = Path(folder) / "collection"
        index(photographs, Path(folder) / "photographs", collection)
        without = {language: answers(collection, some) for language, some in asked.items()}
        for language, some in asked.items():
            makers.append(indexer.write_captions(collection, args.model, lang=language).maker)
            with_them = answers(collection, some)
            rows += table_rows(language, some, without[language], with_them)
    command = f"python -m benchmarks.search.machine_captions DATA --every {args.every}"
    note = f"model mini; captions by {', '.join(makers)}"
    lines = [
        "# Captions of a machine, and search by people's words", "",
        *provenance(command, packages=("numpy",), note=note), "",
        introduction(__doc__), "", *markdown_table(HEAD, rows),
    ]  # fmt: skip
    print("\n".join(lines))
    write_table(TABLE, lines)


def index(photographs: Sequence[Photograph], folder: Path, collection: Path) -> None:
    """Build a collection of photographs without captions; their names are their numbers."""
    folder.mkdir()
    for number, one in enumerate(photographs):
        (folder / f"{number:04}.jpg").write_bytes(one.data)
    indexer.build(folder, collection, model="mini")


def people_ask(photographs: Sequence[Photograph], language: str, every: int) -> Asked:
    """Give every n-th caption of a language."""
    texts = [
        (number, text)
        for number, one in enumerate(photographs)
        for text in (one.english if language == "en" else one.chinese)
    ][::every]
    return Asked([text for _, text in texts], np.array([number for number, _ in texts]))


def answers(collection: Path, asked: Asked) -> dict[str, NDArray[np.int64]]:
    """Give by mode the rank of the photograph of each query, 0 where it is not among the first ten."""
    with retrieval.open(collection) as engine:
        return {
            name: np.array(
                [
                    rank_of(hits, number)
                    for hits, number in zip(
                        engine.search_batch(asked.texts, DEPTH, "image", literal=True, mode=mode),
                        asked.photographs.tolist(),
                        strict=True,
                    )
                ]
            )
            for name, mode in MODES.items()
        }


def rank_of(hits: retrieval.Hits, photograph: int) -> int:
    """Give the rank of a photograph among hits, 0 where it is not there."""
    return next((hit.rank for hit in hits if Path(hit.uri).stem == f"{photograph:04}"), 0)


def table_rows(
    language: str,
    asked: Asked,
    without: Mapping[str, NDArray[np.int64]],
    with_them: Mapping[str, NDArray[np.int64]],
) -> Iterator[Sequence[object]]:
    """Give the rows of a language; vectors are the same with captions and without."""
    yield LANGUAGES[language], len(asked.texts), "without", "vector", *hit_rates(without["vector"]), ""
    for name in ("default", "hybrid", "words"):
        for kind, ranks in (("without", without), ("with", with_them)):
            gain = gained(ranks[name], without["vector"], asked.photographs)
            yield LANGUAGES[language], len(asked.texts), kind, name, *hit_rates(ranks[name]), gain


def hit_rates(ranks: NDArray[np.int64]) -> Iterator[str]:
    """Give R@1, R@5 and R@10 as percentages."""
    for k in (1, 5, 10):
        yield f"{100 * np.mean((ranks >= 1) & (ranks <= k)):.1f}"


def gained(ranks: NDArray[np.int64], before: NDArray[np.int64], photographs: NDArray[np.int64]) -> str:
    """Give what the share of queries whose photograph is among the first ten gains, in points, with its interval."""
    gain = 100.0 * ((ranks > 0).astype(np.float64) - (before > 0))
    (interval,) = bootstrap_intervals(gain[:, None], photographs)
    return f"{gain.mean():+.1f} ({interval.low:+.1f} to {interval.high:+.1f})"


if __name__ == "__main__":
    main()
