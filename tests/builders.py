"""Collections built from vectors, what one holds, and a naive ranking to compare."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indexer import Report
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.corpora import Corpus
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.testing import HashEncoder as HashEncoder
from retrieval.types import Hit

Colour = tuple[int, int, int]


class Index(Protocol):
    """``vlsearch index SOURCE`` on a test's collection; the options are those of :func:`indexer.build`."""

    def __call__(self, source: Path | str | Corpus, **options: Any) -> Report: ...


class Fill(Protocol):
    """Commit pictures (name to colour), texts (uri to words) and links (name, uri) to a collection."""

    def __call__(
        self,
        pictures: Mapping[str, Colour] = {},
        texts: Mapping[str, str] = {},
        links: Sequence[tuple[str, str]] = (),
        encoder: HashEncoder | None = None,
        name: str = "collection",
    ) -> Path: ...


DIMENSION = 16
IDENTITY = Identity("fake", "fake", "0" * 64, "", DIMENSION, "{}")


def unit_rows(n: int, d: int = 16, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    norms: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / norms


def image_change(corpus_id: int, names: Sequence[str], vectors: NDArray[np.float32]) -> Change:
    """A change that adds one picture a name, its content being its name before any ``=`` (``b=a`` copies ``a``)."""
    change = Change()
    for name, vector in zip(names, vectors, strict=True):
        digest = hashlib.sha256(name.partition("=")[2].encode() or name.encode()).digest()
        change.contents.setdefault(("image", digest), NewContent("image", digest, vector))
        change.items[f"test:{name}"] = NewItem(f"test:{name}", "image", digest, corpus_id)
    return change


def collection_of(path: Path, *parts: tuple[Sequence[str], NDArray[np.float32]]) -> Path:
    """A collection with one commit, and so one segment, a part."""
    with Writer(path) as writer:
        source = writer.ensure_corpus("test:", "test")
        for names, vectors in parts:
            identity = replace(IDENTITY, dimension=vectors.shape[1])
            writer.commit(image_change(source, names, vectors), identity)
    return path


def rank_naively(
    names: Sequence[str], vectors: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> list[tuple[str, float]]:
    """(name, score) best first, each score summed by itself in float64; equal ones in the order given."""
    scored = [
        (name, float(np.float32(np.sum(np.multiply(row, query, dtype=np.float64)))))
        for name, row in zip(names, vectors, strict=True)
    ]
    order = sorted(range(len(scored)), key=lambda at: (-scored[at][1], at))
    return [scored[at] for at in order[:k]]


def names_and_scores(hits: Sequence[Hit]) -> list[tuple[str, float]]:
    return [(hit.uri.removeprefix("test:"), hit.score) for hit in hits]


def draw(path: Path, colour: Colour, size: tuple[int, int] = (8, 8)) -> Path:
    """A picture of one colour, in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def png(colour: Colour | str = "red", size: tuple[int, int] = (8, 8)) -> bytes:
    """The same, as bytes."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def uris(collection: CollectionPlace, kind: str = "image") -> dict[str, int]:
    """Items of a kind: the last part of their path, and their ids."""
    with Collection.open(collection) as opened:
        hits = opened.items(range(1, 200))
    return {hit.uri.rpartition("/")[2]: hit.id for hit in hits if hit.kind == kind}


_NEWER = {
    2: ("DROP TABLE listings",),
    3: ("DROP TABLE hidden",),
    4: ("DROP TABLE accelerators",),
    5: (
        "DROP TABLE IF EXISTS words",
        "DROP TABLE attribute_values",
        "DROP TABLE attribute_names",
        "ALTER TABLE items DROP COLUMN indexed",
    ),
    6: ("DROP TABLE image_texts",),
    7: ("DROP TABLE albums",),
    8: ("DROP TABLE regions",),
}
"""What takes each schema's additions out of a catalogue again."""


def take_back_schema(collection: Path, version: int) -> None:
    """Make a collection one that a version with an older schema has written."""
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        for number, statements in sorted(_NEWER.items(), reverse=True):
            if number > version:
                for statement in statements:
                    catalogue.execute(statement)
        catalogue.execute(f"PRAGMA user_version = {version}")
        catalogue.commit()
