"""Shards of a corpus merged straight into a collection on a server: what a merge into a folder gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import indexer
from retrieval.errors import CollectionLocked
from retrieval.places import CollectionPlace
from retrieval.types import Progress
from tests.command_line import Run
from tests.faults.work import make_corpus
from tests.indexer.test_merging import SMALL, build_shards
from tests.indexer.test_reading_texts import ColourReader
from tests.postgres.histories import answers_of_any_generation
from tests.postgres_server import new_address, new_place


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three shards of pictures, captions, copies and broken files, with text read in the pictures."""
    corpus = make_corpus(tmp_path_factory.mktemp("corpus") / "pictures")
    paths = build_shards(corpus, 3, tmp_path_factory.mktemp("shards"))
    for path in paths:
        indexer.set_reads_text(path, True)
        indexer.read_texts(path, reader=ColourReader())
    return paths


def told(place: CollectionPlace) -> dict[str, Any]:
    found = answers_of_any_generation(place)
    hidden, failures, corpora, *rest = found["rest"]
    return found | {"rest": (hidden, failures, [replace(corpus, read=None) for corpus in corpora], rest)}


def test_shards_merge_as_into_a_folder_and_once(shards: list[Path], tmp_path: Path) -> None:
    place, folder = new_place(), tmp_path / "merged"
    reports = [
        [replace(indexer.merge(shards, where), seconds=0) for _ in range(2)] for where in (place, folder)
    ]

    assert reports[0] == reports[1]
    assert reports[0][0].encoded
    assert not reports[0][1].encoded
    assert told(place) == told(folder)
    assert indexer.doctor(place).faults == ()


def test_a_merge_that_died_goes_on_as_into_a_folder(shards: list[Path], tmp_path: Path) -> None:
    place, folder = new_place(), tmp_path / "merged"

    class Died(BaseException):
        pass

    def die(progress: Progress) -> None:
        if progress.done == 20:
            raise Died

    for where in (place, folder):
        with pytest.raises(Died):
            indexer.merge(shards, where, pace=SMALL, on_progress=die)
        indexer.merge(shards, where, pace=SMALL)

    assert told(place) == told(folder)
    assert indexer.doctor(place).faults == ()


def test_a_merge_waits_for_the_one_writer_and_no_longer_than_asked(shards: list[Path]) -> None:
    place = new_place()
    indexer.merge(shards, place)

    with indexer.open_writer(place), pytest.raises(CollectionLocked):
        indexer.merge(shards, place)


def test_the_command_prints_what_it_prints_of_a_folder(run: Run, shards: list[Path], tmp_path: Path) -> None:
    places = (str(tmp_path / "merged"), new_address())

    done = [run("merge", *shards, "--collection", place, "--json", "--quiet") for place in places]

    assert [one.exit_code for one in done] == [0, 0]
    of_folder, of_server = (json.loads(one.stdout) | {"seconds": 0} for one in done)
    assert of_server == of_folder
