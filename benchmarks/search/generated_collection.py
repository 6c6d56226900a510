"""Collections of generated vectors: written block by block, gone on with after an interruption, with progress.

The generator is ``make.py`` of the project's shared data (``data/scale``); a smaller collection holds the first rows of
a larger one. Beside a row's image vector it makes the vectors of texts about it.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.contents import text_digest, vector_digest
from retrieval.errors import CollectionNotFound
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.types import Kind

STORED_TEXTS = 1000
CHUNK = 4096  # rows that the generator makes together
BLOCK = 32 * CHUNK  # rows a commit, and a segment: 256 MiB, as compaction makes them
IDENTITY = Identity("generated", "generated", "0" * 64, "", 512, "{}")
CORPUS = "generated:"


def load_generator(path: Path) -> Any:
    """Import the generator from its file, and give its model with seed 0."""
    spec = importlib.util.spec_from_file_location("scale_make", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model(0)


def parser_of(docstring: str | None, rows: int, queries: int) -> argparse.ArgumentParser:
    """Make a parser of the options of benchmarks of one collection: GENERATOR, how much of it is asked, and where."""
    parser = argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("generator", type=Path)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--queries", type=int, default=queries)
    parser.add_argument("--work", type=Path, help="keep the collection in this folder, or take it from there")
    parser.add_argument("--note", default="", help="what else a reader must know of the machine meanwhile")
    return parser


def asked_texts(model: Any, rows: int, count: int) -> NDArray[np.float32]:
    """Make so many text vectors, (count, d) float32 unit rows, that a collection of so many images does not hold."""
    return texts(model, rows, STORED_TEXTS + count)[STORED_TEXTS:]


def texts(model: Any, rows: int, count: int) -> NDArray[np.float32]:
    """Make text vectors, (count, d) float32 unit rows, about images chosen at random among so many rows."""
    targets = np.random.default_rng(0).integers(0, rows, count)
    return _unit(model.texts(targets))


def write_collection(path: Path, model: Any, rows: int, identity: Identity = IDENTITY) -> float:
    """Write what a collection lacks of so many images and 1,000 texts; give images written a second, 0 if none were."""
    begin = held(path)
    started = time.monotonic()
    with Writer(path) as writer:
        corpus = writer.ensure_corpus(CORPUS, "generated")
        for start in range(begin, rows, BLOCK):
            stop = min(start + BLOCK, rows)
            writer.commit(_images(model, start, stop, corpus), identity)
            _report(path, stop, rows, (stop - begin) / (time.monotonic() - started))
        rate = (rows - begin) / (time.monotonic() - started)
        if not held(path, "text"):
            writer.commit(_texts(texts(model, rows, STORED_TEXTS), corpus), identity)
    return rate


def held(place: CollectionPlace, kind: Kind = "image") -> int:
    """Count the items of a kind that a collection holds; 0 where there is none."""
    try:
        with Collection.open(place) as collection:
            return collection.count(kind)
    except CollectionNotFound:
        return 0


def _images(model: Any, start: int, stop: int, corpus: int) -> Change:
    change = Change()
    for first in range(start, stop, CHUNK):
        for number, vector in enumerate(_unit(model.images(first, min(first + CHUNK, stop))), first):
            digest, uri = vector_digest(vector), f"{CORPUS}{number}"
            change.contents["image", digest] = NewContent("image", digest, vector)
            change.items[uri] = NewItem(uri, "image", digest, corpus)
    return change


def _texts(vectors: NDArray[np.float32], corpus: int) -> Change:
    change = Change()
    for number, vector in enumerate(vectors):
        words, uri = f"text {number}", f"{CORPUS}text{number}"
        digest = text_digest(words)
        change.contents["text", digest] = NewContent("text", digest, vector, words)
        change.items[uri] = NewItem(uri, "text", digest, corpus)
    return change


def _unit(vectors: Any) -> NDArray[np.float32]:
    rows = np.asarray(vectors, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _report(path: Path, done: int, rows: int, rate: float) -> None:
    left = (rows - done) / rate
    print(f"{path}: {done:,} of {rows:,} images, {rate:,.0f}/s, {left / 60:.1f} min left", file=sys.stderr)
