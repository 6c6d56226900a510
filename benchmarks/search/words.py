"""Words beside meaning: what full text adds to search by vectors, in English and Chinese, and what it costs.

    python -m benchmarks.search.words FLICKR8K [--every N]

FLICKR8K is a folder with val-*.tar (WebDataset: images, with captions and captions_zh in JSON). Each caption is asked
in turn for the image that it describes, while it is held out of the full text; the image's other four captions of that
language stay. Words are ranked as in ``--mode hybrid``: any word counts, BM25, an image has the best of its captions.
Ranks beyond 200 count as not found. Times are CPU of one process. Rewrites words.md.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import indexer
import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from indexer.store.word_rows import rebuild_words
from indexer.store.writer import Writer
from retrieval.collection import Collection, View, fulltext
from retrieval.query.fuse import fuse

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("language", "queries", "ranked by", "R@1", "R@5", "R@10", "mean reciprocal rank")
COST = (
    "texts", "catalogue without words", "words", "bytes of words a text", "CPU s to build", "CPU ms a query, median",
    "95th percentile",
)  # fmt: skip
DEPTH = 200
SOURCES = ("vector", "words", "hybrid")


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("flickr8k", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--every", type=int, default=1, help="ask with every n-th caption alone")
    args = parser.parse_args()
    rows: list[Sequence[object]] = []
    costs: list[Sequence[object]] = []
    for language, column in (("English", "captions:en"), ("Chinese", "captions_zh:zh")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "collection"
            options = indexer.CorpusOptions(caption_columns=(indexer.parse_caption_column(column),))
            indexer.build(args.flickr8k / "val-000.tar", path, model=args.model, options=options)
            with Collection.open(path) as collection, collection.reading() as view:
                ranks, spent = ask(view, args.every)
            for source in SOURCES:
                rows.append((language, len(ranks[source]), source, *figures(np.array(ranks[source]))))
                print(*rows[-1], sep="\t", flush=True)
            costs.append(cost(path, spent))
            print(*costs[-1], sep="\t", flush=True)
    lines = [
        "# Words and meaning",
        "",
        *provenance(
            f"python -m benchmarks.search.words FLICKR8K --every {args.every}",
            packages=("numpy",),
            note=f"model {args.model}",
        ),
        "",
        introduction(__doc__),
        "",
        *markdown_table(HEAD, rows),
        "",
        f"SQLite {sqlite3.sqlite_version}; the texts are the captions of each language, and the names of the images.",
        "",
        *markdown_table(COST, costs),
    ]
    write_table(TABLE, lines)


def ask(view: View, every: int) -> tuple[dict[str, list[int]], list[float]]:
    """Ask with every n-th caption for its image; give its ranks by source (0: not found), and CPU seconds for words."""
    images = [row for page in view.pages("image") for row in page]
    texts = [row for page in view.pages("text") for row in page]
    image_of = {link.text: link.image for link in view.links("text", [row.id for row in texts])}
    image_ids = np.array([row.id for row in images])
    image_rows = view.vectors("image", [row.encoding for row in images if row.encoding is not None])
    text_rows = view.vectors("text", [row.encoding for row in texts if row.encoding is not None])
    ranks: dict[str, list[int]] = {source: [] for source in SOURCES}
    spent = []
    for row, vector in list(zip(texts, text_rows, strict=True))[::every]:
        by_vector = image_ids[np.argsort(-(image_rows @ vector), kind="stable")[:DEPTH]].tolist()
        started = time.process_time()
        by_words = words_ranked(view, row.id, str(row.text))
        spent.append(time.process_time() - started)
        joined = [one.id for one in fuse({"vector": by_vector, "words": by_words})]
        for source, items in zip(SOURCES, (by_vector, by_words, joined), strict=True):
            wanted = image_of[row.id]
            ranks[source].append(items.index(wanted) + 1 if wanted in items[:DEPTH] else 0)
    return ranks, spent


def words_ranked(view: View, held_out: int, text: str) -> list[int]:
    """Rank the images by the words of a caption that is held out; as View.search_words, which cannot hold one out."""
    connection = view._connection
    found = fulltext.find_any(connection, text)
    others = found.ids != held_out
    kept = fulltext.Matches(found.ids[others], found.scores[others])
    scores = fulltext.of_kind(connection, kept, "image")
    return sorted(scores, key=lambda item: (-scores[item], item))[:DEPTH]


def figures(ranks: NDArray[np.int64]) -> Iterator[str]:
    """Give R@1, R@5, R@10 (one image answers each query) and the mean reciprocal rank, as percentages."""
    for k in (1, 5, 10):
        yield f"{100 * np.mean((ranks >= 1) & (ranks <= k)):.1f}"
    yield f"{100 * np.mean(np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0)):.1f}"


def cost(path: Path, spent: Sequence[float]) -> tuple[object, ...]:
    """Measure what words take on disk, and the time to build them for all items."""
    with Writer(path) as writer:
        started = time.process_time()
        with writer.catalogue.without_generation() as connection:
            rebuild_words(connection)
        seconds = time.process_time() - started
    with retrieval.open(path) as engine:
        texts = engine.info().texts
    others, words = bytes_of_words(path)
    milliseconds = 1000 * np.array(spent)
    return (
        f"{texts:,}", f"{others / 1e6:.2f} MB", f"{words / 1e6:.2f} MB", f"{words / texts:.0f}", f"{seconds:.2f}",
        f"{np.median(milliseconds):.2f}", f"{np.percentile(milliseconds, 95):.2f}",
    )  # fmt: skip


def bytes_of_words(path: Path) -> tuple[int, int]:
    """Measure the catalogue of a folder without words, and what words add to it, when nothing in it is free."""
    sizes = []
    copy = path.with_name("copy.sqlite")
    shutil.copy(path / "catalogue.sqlite", copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as catalogue:
        for statement in ("VACUUM", "DROP TABLE words", "VACUUM"):
            catalogue.execute(statement)
            pages, size = (
                catalogue.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
            )
            sizes.append(pages * size)
    return sizes[2], sizes[0] - sizes[2]


if __name__ == "__main__":
    main()
