"""``indexer.write_captions``: captions by a generator, once for each content, found by words, apart from people's."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL.Image import Image

import indexer
import retrieval
from retrieval.collection import Collection
from retrieval.decoding.preparations import Fit
from retrieval.errors import CollectionNotFound, UsageError
from retrieval.evaluation.evaluate import load_evaluation
from retrieval.generators.base import Answer, GeneratorIdentity, Task, WrittenCaption
from retrieval.places import CollectionPlace
from tests.builders import HashEncoder, draw
from tests.postgres_server import new_place


@dataclass
class ColourGenerator:
    """Describes an image by the number of its red; ``after`` is called with the number of images so far."""

    version: str = "1"
    seen: list[int] = field(default_factory=list)
    after: Callable[[int], None] = lambda _: None
    languages: tuple[str, ...] = ("en", "zh")
    tasks: tuple[Task, ...] = ("caption",)
    preparation: Fit = field(default_factory=lambda: Fit(32))

    @property
    def identity(self) -> GeneratorIdentity:
        return GeneratorIdentity("colours", "fake", self.version * 64, "", "{}")

    def describe(
        self, images: Sequence[Image], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        return self.describe_prepared([self.preparation.prepare(image) for image in images], lang, candidates)

    def describe_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        if lang not in (None, *self.languages):
            raise UsageError(f"colours writes en, zh alone, not {lang}")
        reds = [int(array[0, 0, 0]) for array in prepared]
        self.seen += reds
        self.after(len(self.seen))
        return [(WrittenCaption(f"红 {red}" if lang == "zh" else f"crimson {red}", 0.0),) for red in reds]

    def answer(
        self, images: Sequence[Image], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        raise UsageError("colours answers no questions")

    def answer_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        raise UsageError("colours answers no questions")


@pytest.fixture(params=["folder", "server"])
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> CollectionPlace:
    return new_place() if request.param == "server" else tmp_path / "collection"


@pytest.fixture
def photos(tmp_path: Path, collection: CollectionPlace) -> Path:
    """Twelve pictures, which are two batches, with a caption by a person beside each."""
    folder = tmp_path / "photos"
    for red in range(0, 120, 10):
        draw(folder / f"{red}.png", (red, 0, 0), (40, 30))
        (folder / f"{red}.txt").write_text(f"a person saw {red}", encoding="utf-8")
    indexer.build(folder, collection, model=HashEncoder())
    return folder


def names_with(collection: CollectionPlace, words: str) -> list[str]:
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        hits = engine.search(words, mode="words", find="image")
    return sorted(hit.uri.rpartition("/")[2] for hit in hits)


def test_words_find_pictures_by_captions_that_hits_show_apart_with_their_maker(
    photos: Path, collection: CollectionPlace
) -> None:
    generator = ColourGenerator()

    written = indexer.write_captions(collection, generator)

    assert (written.written, written.failed, written.maker) == (12, 0, generator.identity.maker("en"))
    assert names_with(collection, "crimson 30") == ["30.png"]
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        (hit,) = engine.search("crimson 30", mode="words", find="image")
    assert hit.texts == (retrieval.ImageText("written", written.maker, "crimson 30"),)
    assert [text.text for text in hit.captions] == ["a person saw 30"]


def test_a_content_is_described_once_by_each_model_and_language_and_the_last_replaces_the_others(
    photos: Path, collection: CollectionPlace
) -> None:
    indexer.write_captions(collection, ColourGenerator())
    again, newer = ColourGenerator(), ColourGenerator("2")

    assert indexer.write_captions(collection, again).written == 0
    assert indexer.write_captions(collection, newer).written == 12
    assert indexer.write_captions(collection, newer, lang="zh").written == 12

    assert again.seen == []
    assert names_with(collection, "crimson") == []
    assert names_with(collection, "红 30") == ["30.png"]
    with Collection.open(collection) as opened:
        assert opened.info().image_texts == {f"written by {newer.identity.maker('zh')}": 12}


def test_no_evaluation_and_no_export_of_captions_takes_them_for_peoples(
    photos: Path, collection: CollectionPlace
) -> None:
    indexer.write_captions(collection, ColourGenerator())

    with Collection.open(collection) as opened, opened.reading() as view:
        assert view.info().texts == 12
    assert len(load_evaluation(photos).texts) == 12


def test_pictures_that_cannot_be_read_are_counted_with_their_reasons_and_tried_again(
    photos: Path, collection: CollectionPlace
) -> None:
    (photos / "20.png").unlink()
    draw(photos / "30.png", (31, 0, 0))

    written = indexer.write_captions(collection, ColourGenerator())

    assert (written.written, written.failed) == (10, 2)
    assert "has changed since it was indexed; index its corpus first" in {g.reason for g in written.reasons}
    assert indexer.write_captions(collection, ColourGenerator()).failed == 2


def test_what_was_committed_stays_when_a_run_dies_and_the_next_one_goes_on(
    photos: Path, collection: CollectionPlace
) -> None:
    def die(count: int) -> None:
        if count > 8:
            raise MemoryError

    with pytest.raises(MemoryError):
        indexer.write_captions(collection, ColourGenerator(after=die))
    rest = ColourGenerator()
    indexer.write_captions(collection, rest)

    assert len(rest.seen) == 4
    assert len(names_with(collection, "crimson")) == 10  # of twelve, as a query gives by default


def test_ctrl_c_keeps_what_was_written(photos: Path, collection: CollectionPlace) -> None:
    def interrupt(count: int) -> None:
        if count == 8:
            os.kill(os.getpid(), signal.SIGINT)

    written = indexer.write_captions(collection, ColourGenerator(after=interrupt))

    assert written.interrupted
    assert written.written == 8
    assert len(names_with(collection, "crimson")) == 8


def test_a_language_that_the_model_does_not_write_and_a_missing_collection_are_sentences(
    photos: Path, collection: CollectionPlace, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="writes en, zh alone"):
        indexer.write_captions(collection, ColourGenerator(), lang="fr")
    with pytest.raises(CollectionNotFound):
        indexer.write_captions(tmp_path / "none", ColourGenerator())
