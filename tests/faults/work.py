"""What the killed writers do, on a corpus with broken files, in commits of a few items; importable by a process."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import numpy as np
from PIL import Image

import indexer
from indexer import region_making
from tests.builders import HashEncoder


def make_corpus(folder: Path, pictures: int = 24) -> Path:
    """Pictures with captions beside them, copies, and files of seven broken kinds."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(pictures):
        path = folder / f"{number:03}.png"
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(path)
        if number % 2:
            path.with_suffix(".txt").write_text(f"caption {number // 4}")
        if number % 6 == 0:
            (folder / f"{number:03}-copy.png").write_bytes(path.read_bytes())
    (folder / "004-empty.jpg").touch()
    (folder / "005-truncated.png").write_bytes((folder / "001.png").read_bytes()[:60])
    (folder / "007-words.jpg").write_text("no picture at all")
    (folder / "009-zeros.jpg").write_bytes(bytes(1000))
    (folder / "011-folder.jpg").mkdir()
    (folder / "013-nowhere.jpg").symlink_to(folder / "nothing")
    (folder / "015-head.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(200)))
    return folder


SMALL_STEPS = indexer.CommitPace(contents=8, seconds=math.inf)
"""Commits every few contents, so that a small corpus takes many; none by the clock, so that all runs take the same."""


def index(corpus: Path, collection: Path) -> None:
    indexer.build(corpus, collection, model=HashEncoder(), workers=2, pace=SMALL_STEPS)


def delete(collection: Path, corpus: Path) -> None:
    indexer.delete(collection, [str(corpus / f"{number:03}.png") for number in range(0, 20)])


def hide(collection: Path, corpus: Path) -> None:
    indexer.hide(collection, [str(corpus / f"{number:03}.png") for number in range(0, 20)])


def add_keyed(collection: Path) -> None:
    with indexer.open_writer(collection, model=HashEncoder()) as writer:
        for number in range(12):
            writer.add(f"{number}", f"words {number}", attributes={"n": number})


def edit(collection: Path) -> None:
    """Change attributes, hide by key and move a hidden item, in three commits; done again, it changes nothing."""
    with indexer.open_writer(collection, model=HashEncoder()) as writer:
        for number in range(12):
            writer.set_attributes(f"{number}", {"n": number, "tags": ["a", f"{number % 3}"]})
        writer.commit()
        writer.hide(*(f"{number}" for number in range(4)))
        writer.upsert(
            "0", "other words", uri="https://example.org/0", attributes={"n": 0, "tags": ["a", "0"]}
        )


def add_regions(corpus: Path, collection: Path) -> None:
    """Give the pictures of a collection regions, in commits of a few."""
    region_making.COMMIT_IMAGES, region_making.MERGE_AFTER = 5, 2
    indexer.build(corpus, collection, model=HashEncoder(), workers=2, pace=SMALL_STEPS, regions=True)


def optimize(collection: Path) -> None:
    indexer.optimize(collection)


def reindex(collection: Path) -> None:
    indexer.reindex(collection, HashEncoder("1" * 64, "other"), pace=SMALL_STEPS)


def index_with_mini(corpus: Path, collection: Path, die_at: int | None = None) -> None:
    """Index with the bundled model in commits of a few batches; dies by SIGKILL at that entry."""

    def watch(progress: indexer.Progress) -> None:
        if progress.done == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    pace = indexer.CommitPace(contents=40, seconds=math.inf)
    indexer.build(corpus, collection, model="mini", workers=2, pace=pace, on_progress=watch)
