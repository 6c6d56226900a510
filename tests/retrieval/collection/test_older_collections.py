"""A collection that an earlier release wrote: it opens, answers bit for bit as that release did, and is written to.

``schema_2_collection.tar.gz`` holds a collection by commit 3361a8a with a HashEncoder: a table of captions, a folder
with a copy and a broken picture, items with keys, and a deleted picture whose vector is masked. Beside it lie the
pictures and ``answers.json``, what that commit answered: ids, scores and captions of 30 searches, and ``info``.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from indexer.store.writer import Writer
from retrieval.collection.migrations import SCHEMA_VERSION
from retrieval.types import Hit, Kind
from tests.builders import HashEncoder

ARCHIVE = Path(__file__).with_name("schema_2_collection.tar.gz")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        if hasattr(tarfile, "data_filter"):  # Python from 3.11.4 on
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(tmp_path)
    return tmp_path


def released(folder: Path) -> dict[str, Any]:
    """Read what the earlier release said."""
    said: dict[str, Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return said


def answers_now(folder: Path) -> list[dict[str, Any]]:
    """Ask the same searches."""
    asked = released(folder)["answers"]
    with retrieval.open(folder / "collection", encoder=HashEncoder()) as engine:
        return [one | {"hits": _search(engine, folder, **one)} for one in asked]


def _search(
    engine: retrieval.SearchEngine,
    folder: Path,
    query: dict[str, str],
    find: Kind | None,
    distinct: bool,
    hits: list[Any],
) -> list[list[Any]]:
    ((kind, value),) = query.items()
    asked = value if kind == "text" else folder / "photos" / Path(value).name
    return [_facts(hit) for hit in engine.search(asked, k=30, find=find, distinct=distinct, mode="vector")]


def _facts(hit: Hit) -> list[Any]:
    captions = [caption.text for caption in hit.captions]
    return [hit.id, hit.uri, hit.score.hex(), hit.key, hit.text, captions, dict(hit.attributes)]


def test_a_collection_of_an_earlier_release_answers_bit_for_bit_as_it_did_there(unpacked: Path) -> None:
    assert answers_now(unpacked) == released(unpacked)["answers"]


def test_info_counts_in_it_what_that_release_counted(unpacked: Path) -> None:
    with retrieval.open(unpacked / "collection", encoder=HashEncoder()) as engine:
        now = asdict(engine.info())

    before = released(unpacked)["info"]
    assert {name: now[name] for name in before} == before | {"path": str(unpacked / "collection")}
    assert now["schema_version"] == 2 < SCHEMA_VERSION  # a reader migrates nothing
    assert (now["hidden"], now["left_out"]) == (0, {})


def test_a_writer_migrates_it_and_no_answer_changes(unpacked: Path) -> None:
    with Writer(unpacked / "collection"):
        pass
    assert indexer.doctor(unpacked / "collection") == indexer.Diagnosis((), ())
    assert answers_now(unpacked) == released(unpacked)["answers"]

    indexer.optimize(unpacked / "collection")
    assert answers_now(unpacked) == released(unpacked)["answers"]


def test_it_is_written_to_as_any_other(unpacked: Path) -> None:
    path = unpacked / "collection"
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        writer.add("new", "a new article")
        writer.upsert("sku-2", "an article with other words", attributes={"price": 1})
        writer.delete("sku-3")
        writer.hide("sku-4")

    with retrieval.open(path, encoder=HashEncoder()) as engine:
        assert engine.search("a new article", k=1)[0].key is None  # words find pictures where there are any
        assert engine.search("a new article", k=1, find="text")[0].key == "new"
        hits = engine.search("article 2", k=99, find="text")
        assert {hit.key for hit in hits if hit.key} == {"new", "sku-0", "sku-1", "sku-2", "sku-5"}
        assert engine.info().schema_version == SCHEMA_VERSION
    assert indexer.doctor(path) == indexer.Diagnosis((), ())
