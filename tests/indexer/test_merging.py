"""Shards of a corpus, indexed apart and merged, are to the last bit what a single run makes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import indexer
from indexer import CommitPace, CorpusOptions, Report, Shard, open_corpus
from indexer.pipeline import held
from retrieval.collection import Collection
from retrieval.collection.statement import Select
from retrieval.corpora.shard import shard_number
from retrieval.errors import CorpusFormatError, IdentityMismatch, UsageError
from tests.builders import HashEncoder, draw, unit_rows
from tests.every_kind import files as files_of_every_kind
from tests.faults.states import state_of
from tests.faults.work import make_corpus

SMALL = CommitPace(contents=8, rows=8, seconds=3600)


def build(corpus: Path, collection: Path, shard: Shard | None = None, **options: Any) -> Report:
    """``vlsearch index CORPUS --shard SHARD --collection COLLECTION``."""
    opened = open_corpus(str(corpus), CorpusOptions(shard=shard))
    defaults: dict[str, Any] = {"model": HashEncoder(), "workers": 1}
    return indexer.build(opened, collection, **(defaults | options))


def build_shards(corpus: Path, count: int, place: Path, **options: Any) -> list[Path]:
    paths = [place / f"shard-{number}" for number in range(1, count + 1)]
    for number, path in enumerate(paths, start=1):
        build(corpus, path, Shard(number, count), **options)
    return paths


def answers(collection: Path) -> list[list[tuple[int, str, float, tuple[str, ...]]]]:
    with Collection.open(collection) as opened:
        if opened.identity is None:
            return []
        found = [opened.search(unit_rows(5), kind, 7) for kind in ("image", "text")]
    return [
        [(hit.id, hit.uri, hit.score, tuple(text.text for text in hit.texts)) for hit in hits]
        for of_kind in found
        for hits in of_kind
    ]


def assert_equal(merged: Path, single: Path) -> None:
    """Same items by id, contents, vectors, links, attributes, failures, counts and answers."""
    assert state_of(merged).holdings == state_of(single).holdings
    with Collection.open(merged) as one, Collection.open(single) as other:
        assert list(one.failures()) == list(other.failures())
        facts = [replace(opened.info(), path="", generation=0, catalogue_bytes=0) for opened in (one, other)]
        assert replace(facts[0], segments=0, vector_bytes=0) == replace(facts[1], segments=0, vector_bytes=0)
        assert [replace(c, read=None) for c in one.corpora()] == [
            replace(c, read=None) for c in other.corpora()
        ]
    assert answers(merged) == answers(single)


def assert_merges(corpus: Path, count: int, place: Path) -> Report:
    single, merged = place / "single", place / "merged"
    expected = build(corpus, single)
    report = indexer.merge(build_shards(corpus, count, place), merged)
    assert_equal(merged, single)
    assert replace(report, seconds=0) == replace(expected, seconds=0)
    assert indexer.doctor(merged) == indexer.Diagnosis((), ())
    return report


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, captions, copies, and files of seven broken kinds, and some that are left out."""
    folder = make_corpus(tmp_path_factory.mktemp("corpus") / "pictures")
    (folder / "notes.doc").write_text("no picture")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    first, *others = (Image.new("RGB", (8, 8), (0, shade, 0)) for shade in (1, 2, 3))
    first.save(folder / "pages.tif", save_all=True, append_images=others)
    return folder


@pytest.fixture(scope="module")
def shards(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build_shards(corpus, 3, tmp_path_factory.mktemp("shards"))


def test_shards_of_a_folder_with_copies_and_broken_files_merge_to_the_single_run(
    corpus: Path, tmp_path: Path
) -> None:
    report = assert_merges(corpus, 3, tmp_path)

    assert report.failed == 7
    assert sum(report.left_out.values()) == 1
    assert report.known > 0


@pytest.mark.slow
def test_every_kind_of_file_stays_whole_in_its_shard_and_merges_to_the_single_run(tmp_path: Path) -> None:
    folder = tmp_path / "every kind"
    folder.mkdir()
    for name, data in files_of_every_kind():
        (folder / name).write_bytes(data)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    with tarfile.open(folder / "inner.tar", "w") as tar:
        tar.add(folder / "pages.tif", "pages.tif")

    assert_merges(folder, 4, tmp_path)

    for number in range(1, 5):
        with Collection.open(tmp_path / f"shard-{number}") as shard:
            pages = [item.uri for item in shard.newest("image", 100) if "pages.tif" in item.uri]
        assert len(pages) in (0, 3)


def test_a_table_with_a_row_for_each_caption_merges_to_the_single_run(tmp_path: Path) -> None:
    for number in range(7):
        draw(tmp_path / f"{number}.png", (number, 0, 0))
    names = [0, 1, 2, 0, 3, 9, 1, 4, 5, 6, 0]
    rows = [f"{name}.png,caption {at % 5}" for at, name in enumerate(names)]
    table = tmp_path / "captions.csv"
    table.write_text("\n".join(["image,caption", *rows, ",nothing"]) + "\n")

    report = assert_merges(table, 3, tmp_path)

    assert (report.images, report.captions) == (7, 11)


def test_pictures_in_tars_merge_to_the_single_run(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(9):
        draw(source / f"{number}.png", (number // 2, 0, 0))
        (source / f"{number}.txt").write_text(f"caption {number}")
    for part in range(2):
        with tarfile.open(tmp_path / f"train-{part}.tar", "w") as tar:
            for path in sorted(source.iterdir())[part * 9 : part * 9 + 9]:
                tar.add(path, path.name)

    assert_merges(tmp_path / "train-{0..1}.tar", 3, tmp_path)


@st.composite
def folders(draw_from: st.DrawFn) -> list[tuple[str, int | None, str | None]]:
    """Files of a folder: name, colour (None: broken), caption; few colours, so that some contents are equal."""
    names = draw_from(st.lists(st.sampled_from([f"{d}/{n}" for d in "ab" for n in range(6)]), unique=True))
    facts = st.tuples(
        st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.sampled_from(["x", "y\nz", ""]))
    )
    return [(name, *draw_from(facts)) for name in names]


def _merges_to_the_single_run(
    place: Path, files: Sequence[tuple[str, int | None, str | None]], count: int
) -> None:
    folder = place / "pictures"
    folder.mkdir(parents=True)
    for name, colour, caption in files:
        path = folder / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        if colour is None:
            path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
        else:
            Image.new("RGB", (8, 8), (colour, 0, 0)).save(path)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption)
    assert_merges(folder, count, place)
    shutil.rmtree(place)


@settings(max_examples=2)
@given(files=folders(), count=st.integers(1, 5))
def test_shards_of_any_folder_merge_to_the_single_run(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[tuple[str, int | None, str | None]],
    count: int,
) -> None:
    _merges_to_the_single_run(tmp_path_factory.mktemp("any"), files, count)


@pytest.mark.slow
@settings(max_examples=60)
@given(files=folders(), count=st.integers(1, 5))
def test_shards_of_many_folders_merge_to_the_single_run(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[tuple[str, int | None, str | None]],
    count: int,
) -> None:
    _merges_to_the_single_run(tmp_path_factory.mktemp("any"), files, count)


def test_an_export_of_the_merged_collection_is_that_of_the_single_run(
    corpus: Path, shards: list[Path], tmp_path: Path
) -> None:
    build(corpus, tmp_path / "single")
    indexer.merge(shards, tmp_path / "merged")

    for name in ("single", "merged"):
        indexer.export_collection(tmp_path / name, tmp_path / f"{name}.export")
    exported = [
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "vlsearch.json"  # which says the generation
        }
        for folder in (tmp_path / "single.export", tmp_path / "merged.export")
    ]
    assert exported[0] == exported[1]
    assert len(exported[0]) == 3


def test_a_merge_that_is_run_again_takes_nothing_over_twice(shards: list[Path], tmp_path: Path) -> None:
    indexer.merge(shards, tmp_path / "merged")
    before = state_of(tmp_path / "merged")

    report = indexer.merge(reversed(shards), tmp_path / "merged")  # type: ignore[arg-type]

    assert (report.encoded, report.known) == (0, 0)
    assert report.unchanged > 0
    assert state_of(tmp_path / "merged").holdings == before.holdings


@pytest.mark.parametrize(
    "statement", [held._ITEMS, held._FAILED, held._TEXTS], ids=["items", "failures", "texts"]
)
def test_what_shards_are_asked_for_is_looked_up_and_not_searched_for_among_all(
    shards: list[Path], statement: Select[Any]
) -> None:
    with closing(sqlite3.connect(shards[0] / "catalogue.sqlite")) as catalogue:
        plan = [step for *_, step in catalogue.execute(f"EXPLAIN QUERY PLAN {statement.sql}", ["[]"])]

    assert not [
        step for step in plan if "(kind=?)" in step or (step.startswith("SCAN") and "json_each" not in step)
    ]


def test_small_commits_change_nothing_of_a_merge(corpus: Path, shards: list[Path], tmp_path: Path) -> None:
    build(corpus, tmp_path / "single")

    indexer.merge(shards, tmp_path / "merged", pace=SMALL)

    assert_equal(tmp_path / "merged", tmp_path / "single")


def test_a_merged_collection_is_kept_up_to_date_by_ordinary_runs(
    corpus: Path, shards: list[Path], tmp_path: Path
) -> None:
    encoder = HashEncoder()
    indexer.merge(shards, tmp_path / "merged")

    report = build(corpus, tmp_path / "merged", model=encoder)

    assert (report.encoded, report.known, report.failed) == (0, 0, 7)
    assert encoder.encoded == []


def test_a_shard_takes_the_names_whose_hash_says_so(corpus: Path, shards: list[Path]) -> None:
    seen = 0
    for number, path in enumerate(shards, start=1):
        with Collection.open(path) as shard:
            uris = [item.uri for item in shard.newest("image", 100)]
        assert all(shard_number(uri.partition("#")[0], 3) == number for uri in uris)
        seen += len(uris)
    assert seen == 31


def test_the_split_is_the_one_that_is_documented() -> None:
    assert [shard_number(f"file:///{name}.jpg", 8) for name in "abcdef"] == [7, 3, 5, 7, 8, 5]


def test_a_shard_remembers_which_it_is_and_is_indexed_again_as_such(
    corpus: Path, shards: list[Path], tmp_path: Path
) -> None:
    shard = shutil.copytree(shards[1], tmp_path / "shard")
    before = state_of(shard)

    (updated,) = indexer.update(shard, model=HashEncoder())

    assert updated.report is not None
    assert updated.report.encoded == 0
    assert state_of(shard).holdings == before.holdings
    with Collection.open(shard) as opened:
        assert opened.info().shard == "2/3"


@pytest.mark.parametrize("other", [Shard(1, 3), Shard(2, 4), None], ids=str)
def test_a_shard_refuses_to_become_another(
    corpus: Path, shards: list[Path], tmp_path: Path, other: Shard | None
) -> None:
    shard = shutil.copytree(shards[1], tmp_path / "shard")

    with pytest.raises(UsageError, match="is shard 2/3 of its corpus, and cannot be indexed"):
        build(corpus, shard, other)


def test_a_shard_refuses_another_corpus_and_a_whole_collection_refuses_a_shard(
    corpus: Path, shards: list[Path], photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="takes no other corpus"):
        build(photos, shutil.copytree(shards[1], tmp_path / "shard"), Shard(2, 3))
    build(photos, tmp_path / "whole")
    with pytest.raises(UsageError, match="is not a shard"):
        build(photos, tmp_path / "whole", Shard(1, 2))


@pytest.mark.parametrize("option", ["regions", "relative"])
def test_what_a_shard_does_not_keep_is_refused(photos: Path, tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match="a shard keeps no"):
        build(photos, tmp_path / "shard", Shard(1, 2), **{option: True})
    assert not (tmp_path / "shard").exists()


@pytest.mark.parametrize("wrong", ["0/4", "5/4", "1/0", "1/10001"])
def test_there_are_no_other_shards_than_those_from_1_to_n(wrong: str) -> None:
    with pytest.raises(UsageError, match="there is no shard"):
        indexer.parse_shard(wrong)


@pytest.mark.parametrize("wrong", ["", "1", "1/", "/4", "a/b", "1/4/2", "-1/4", "1 / 4", "\u0661/4"])
def test_a_shard_is_spelt_with_two_numbers(wrong: str) -> None:
    with pytest.raises(UsageError, match="is not a shard; write i/n"):
        indexer.parse_shard(wrong)


def _pictures(folder: Path, count: int = 24) -> Path:
    """So many that no shard of two is empty: which one takes a picture hangs on where the folder lies."""
    for number in range(count):
        draw(folder / f"{number}.png", (number, 9, 9))
    return folder


def _other_model(place: Path, shards: list[Path]) -> list[Path]:
    build(place / "pictures", place / "other", Shard(2, 2), model=HashEncoder("1" * 64, "other"))
    return [shards[0], place / "other"]


def _other_options(place: Path, shards: list[Path]) -> list[Path]:
    opened = open_corpus(str(place / "pictures"), CorpusOptions(exclude=("0.png",), shard=Shard(2, 2)))
    indexer.build(opened, place / "other", model=HashEncoder(), workers=1)
    return [shards[0], place / "other"]


def _other_corpus(place: Path, shards: list[Path]) -> list[Path]:
    build(_pictures(place / "others"), place / "other", Shard(2, 2))
    return [shards[0], place / "other"]


def _other_split(place: Path, shards: list[Path]) -> list[Path]:
    build(place / "pictures", place / "other", Shard(2, 3))
    return [shards[0], place / "other"]


def _not_a_shard(place: Path, shards: list[Path]) -> list[Path]:
    build(place / "pictures", place / "other")
    return [shards[0], place / "other"]


def _twice(place: Path, shards: list[Path]) -> list[Path]:
    return [*shards, shutil.copytree(shards[0], place / "other")]


def _unfinished(place: Path, shards: list[Path]) -> list[Path]:
    other = shutil.copytree(shards[1], place / "other")
    with closing(sqlite3.connect(other / "catalogue.sqlite")) as catalogue:
        catalogue.execute("DELETE FROM settings WHERE name LIKE 'corpus:%'")
        catalogue.commit()
    return [shards[0], other]


def _hidden(place: Path, shards: list[Path]) -> list[Path]:
    other = shutil.copytree(shards[1], place / "other")
    with Collection.open(other) as opened:
        uri = opened.newest("image", 1)[0].uri
    indexer.hide(other, [uri])
    return [shards[0], other]


REFUSED: dict[Callable[[Path, list[Path]], list[Path]], str] = {
    _other_model: "which cannot be compared",
    _other_options: "other options",
    _other_corpus: "merge the shards of one corpus",
    _other_split: "merge the shards of one split",
    _not_a_shard: "is not a shard",
    _twice: "are both shard 1/2",
    _unfinished: "was not indexed to its end",
    _hidden: "has hidden items, which a merge does not take over",
    lambda place, shards: shards[:1]: "shard 2/2 is missing",
    lambda place, shards: []: "there are no shards",
}


def test_shards_that_do_not_belong_together_are_refused_in_a_sentence(tmp_path: Path) -> None:
    shards = build_shards(_pictures(tmp_path / "pictures"), 2, tmp_path)
    for change, sentence in REFUSED.items():
        with pytest.raises(UsageError, match=sentence):
            indexer.merge(change(tmp_path, shards), tmp_path / "merged")
        shutil.rmtree(tmp_path / "other", ignore_errors=True)
    assert not (tmp_path / "merged").exists()


def test_a_collection_that_cannot_take_the_shards_is_refused(
    photos: Path, shards: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="is one of the shards"):
        indexer.merge(shards, shards[0])
    build(photos, tmp_path / "shard", Shard(1, 2))
    with pytest.raises(UsageError, match="takes no other corpus"):
        indexer.merge(shards, tmp_path / "shard")
    build(photos, tmp_path / "other", model=HashEncoder("1" * 64, "other"))
    with pytest.raises(IdentityMismatch):
        indexer.merge(shards, tmp_path / "other")


def test_a_corpus_that_has_changed_since_is_said_and_merges_when_its_shards_know(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "pictures")
    shards = build_shards(folder, 2, tmp_path)
    draw(folder / "3.png", (200, 0, 0))
    draw(folder / "new.png", (210, 0, 0))

    with pytest.raises(UsageError, match=r"(3|new)\.png is not in shard ./2 .* as it is now"):
        indexer.merge(shards, tmp_path / "merged")

    build_shards(folder, 2, tmp_path)
    indexer.merge(shards, tmp_path / "merged")
    build(folder, tmp_path / "single")
    assert state_of(tmp_path / "merged").vectors == state_of(tmp_path / "single").vectors


def test_a_corpus_that_is_gone_is_said(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "pictures")
    shards = build_shards(folder, 2, tmp_path)
    folder.rename(tmp_path / "elsewhere")

    with pytest.raises(CorpusFormatError, match="no such file or folder"):
        indexer.merge(shards, tmp_path / "merged")


def test_texts_read_in_pictures_and_the_wish_to_read_them_come_along(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "pictures")
    shards, empty = build_shards(folder, 2, tmp_path), 0
    for shard in shards:
        indexer.set_reads_text(shard, True)
        with closing(sqlite3.connect(shard / "catalogue.sqlite")) as catalogue:
            catalogue.execute(
                "INSERT INTO image_texts SELECT id, 'read', 'reader 1', 'words ' || id, '[]' FROM contents"
            )
            empty += catalogue.execute("UPDATE image_texts SET text = '' WHERE content_id = 1").rowcount
            catalogue.commit()

    indexer.merge(shards, tmp_path / "merged")

    assert indexer.reads_text(tmp_path / "merged")
    with closing(sqlite3.connect(tmp_path / "merged" / "catalogue.sqlite")) as catalogue:
        texts = [text for (text,) in catalogue.execute("SELECT text FROM image_texts")]
    assert len(texts) == 24
    assert texts.count("") == empty


def test_the_corpus_is_spelt_with_its_shard_where_it_is_remembered(corpus: Path) -> None:
    spec = open_corpus(str(corpus), CorpusOptions(shard=Shard(2, 3))).spec
    assert spec is not None
    assert json.loads(spec.to_json())["options"] == {"shard": {"number": 2, "count": 3}}
    assert type(spec).from_json(spec.to_json()) == spec
    for wrong in ({"number": 4, "count": 3}, {"number": 1}, "2/3", {"number": True, "count": 3}):
        text = json.dumps({"source": os.fspath(corpus), "options": {"shard": wrong}})
        assert type(spec).from_json(text) is None


def test_a_failure_of_the_listing_itself_is_in_one_shard(tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    draw(tmp_path / "a.png", (1, 2, 3))
    table.write_text("image,caption\na.png,one\n,two\n,three\n,four\n")

    report = assert_merges(table, 2, tmp_path)

    assert report.images == 1
