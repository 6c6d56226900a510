"""Tars and tables in a store that are as they were when they were last read to their end are not fetched again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import indexer
from indexer import CorpusOptions, Shard
from retrieval.types import Limits
from tests.builders import HashEncoder, png
from tests.faults.states import state_of
from tests.retrieval.corpora.corpus_reading import write_tar
from tests.s3_server import Bucket, requests_counted

FIRST = {
    "1.png": png("red"),
    "1.txt": b"a red square",
    "2.png": png("tan"),
    "broken.png": b"\x89PNG\r\n\x1a\n",
    "y.sh": b"left out",
}
SECOND = {"3.png": png("blue"), "3.txt": b"blue", "3.json": b"{", "4.png": png("lime")}
TABLE = "file_name,caption\nd/5.png,five\nd/6.png,six\nd/5.png,a fifth\n"


@pytest.fixture
def tar(tmp_path: Path, bucket: Bucket) -> Callable[[str, dict[str, bytes]], str]:
    """Writes a tar into the bucket, later than the one that is there."""

    def put(key: str, members: dict[str, bytes]) -> str:
        data = write_tar(tmp_path / "written.tar", members).read_bytes()
        (bucket.put_later if key in bucket.listed() else bucket.put)(key, data)
        return f"s3://{bucket.name}/{key}"

    return put


@pytest.fixture
def tars(bucket: Bucket, tar: Callable[..., str]) -> str:
    tar("x-0.tar", FIRST)
    tar("x-1.tar", SECOND)
    return f"s3://{bucket.name}/x-{{0..1}}.tar"


@pytest.fixture
def table(bucket: Bucket) -> str:
    bucket.put("t/d/5.png", png("navy"))
    bucket.put("t/d/6.png", png("pink"))
    return bucket.put("t/t.csv", TABLE)


def build(source: str, collection: Path, **options: Any) -> tuple[indexer.Report, list[str]]:
    """Index; give the counts, without their time, and the keys of objects that were fetched, in whole or in part."""
    with requests_counted() as asked:
        report = indexer.build(source, collection, model=HashEncoder(), workers=1, **options)
    fetched = {key for name, key in asked if name == "GetObject"}
    return replace(report, seconds=0), sorted(fetched)


def forget(collection: Path) -> None:
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue, catalogue:
        assert catalogue.execute("DELETE FROM settings WHERE name LIKE 'objects:%'").rowcount


def compared(source: str, collection: Path, **options: Any) -> tuple[indexer.Report, list[str]]:
    """Index, as :func:`build`; what comes of it is what comes of fetching everything."""
    twin = collection.with_name("twin")
    shutil.rmtree(twin, ignore_errors=True)
    shutil.copytree(collection, twin)
    forget(twin)
    report, fetched = build(source, collection, **options)

    assert report == build(source, twin, **options)[0]
    assert state_of(collection).holdings == state_of(twin).holdings
    return report, fetched


def test_a_second_run_fetches_nothing_and_counts_and_keeps_everything(tars: str, collection: Path) -> None:
    first, fetched = build(tars, collection)
    again, nothing = compared(tars, collection, prune=True)

    assert fetched == ["x-0.tar", "x-1.tar"]
    assert nothing == []
    assert (first.images, first.captions, first.links, first.failed) == (4, 2, 2, 2)
    assert (again.unchanged, again.encoded, again.removed) == (6, 0, 0)
    assert (again.links, again.reasons, again.left_out) == (2, first.reasons, first.left_out)
    assert sum(first.left_out.values()) == 1


def test_only_the_tar_that_changed_is_fetched(tars: str, collection: Path, tar: Callable[..., str]) -> None:
    build(tars, collection)
    tar("x-1.tar", {"3.png": png("blue"), "9.png": png("gold")})
    kept, fetched = compared(tars, collection)
    again, unsettled = build(tars, collection)
    pruned, _ = compared(tars, collection, prune=True)

    assert (fetched, kept.vanished) == (["x-1.tar"], 2)
    assert (unsettled, again.vanished) == (["x-1.tar"], 2)  # items that are gone wait in it to be pruned
    assert (pruned.removed, pruned.images) == (2, 4)
    assert build(tars, collection)[1] == []


def test_whoever_asks_for_everything_gets_it(tars: str, collection: Path) -> None:
    build(tars, collection)

    both = ["x-0.tar", "x-1.tar"]
    assert build(tars, collection, reread=True)[1] == both
    assert build(tars, collection, retry_failed=True)[1] == both
    assert build(tars, collection, options=CorpusOptions(lang="en"))[1] == both
    assert build(tars, collection, options=CorpusOptions(lang="en"))[1] == []
    # a failure may have been one of the limits
    other = Limits(pixels=1_000_000)
    assert compared(tars, collection, options=CorpusOptions(lang="en"), limits=other)[1] == ["x-0.tar"]


def test_a_run_that_broke_off_notes_nothing(tars: str, collection: Path) -> None:
    class Killed(Exception):
        pass

    def die(progress: indexer.Progress) -> None:
        if progress.done == 4:
            raise Killed

    pace = indexer.CommitPace(contents=1)
    with pytest.raises(Killed):
        build(tars, collection, on_progress=die, pace=pace)
    report, fetched = build(tars, collection)

    assert fetched == ["x-0.tar", "x-1.tar"]
    assert report.images == 4
    assert build(tars, collection)[1] == []


@pytest.mark.parametrize("name", ["x-0.tar#1.png", "x-0.tar#broken.png"])
def test_what_somebody_deleted_comes_back_as_from_a_disk(
    tars: str, collection: Path, bucket: Bucket, name: str
) -> None:
    build(tars, collection)
    before = state_of(collection).holdings[0]
    indexer.delete(collection, [f"s3://{bucket.name}/{name}"])

    assert compared(tars, collection)[1] == ["x-0.tar"]
    assert {row[1] for row in state_of(collection).holdings[0]} == {row[1] for row in before}
    assert compared(tars, collection)[1] == []


def test_a_table_is_fetched_when_it_or_a_picture_beside_it_has_changed(
    table: str, collection: Path, bucket: Bucket
) -> None:
    first, _ = build(table, collection)
    again, nothing = compared(table, collection, prune=True)
    bucket.put("t/d/6.png", png("plum") + b"\0")
    changed, fetched = compared(table, collection)
    bucket.delete("t/d/6.png")
    gone, told = compared(table, collection)

    assert (first.images, first.captions, first.links) == (2, 3, 3)
    assert (nothing, again.unchanged, again.links) == ([], 5, 3)
    assert (changed.encoded, fetched) == (1, ["t/d/6.png", "t/t.csv"])
    assert (gone.failed, told) == (1, ["t/t.csv"])
    assert compared(table, collection)[1] == ["t/t.csv"]  # for what it names may come back


def test_shards_an_update_and_what_is_merged_fetch_nothing_either(
    tars: str, tmp_path: Path, collection: Path
) -> None:
    shards = [tmp_path / "1", tmp_path / "2"]
    for number, shard in enumerate(shards, start=1):
        options = CorpusOptions(shard=Shard(number, 2))
        build(tars, shard, options=options)
        assert compared(tars, shard, options=options)[1] == []
    indexer.merge(shards, collection)
    with requests_counted() as asked:
        [updated] = indexer.update(collection, model=HashEncoder(), workers=1)

    assert updated.report is not None
    assert (updated.report.unchanged, updated.report.failed) == (6, 2)
    assert [key for name, key in asked if name == "GetObject"] == []


@pytest.mark.parametrize("note", ['{"objects": {"a": 1}}', "[" * 10**5])
def test_a_note_that_no_version_wrote_is_no_note(tars: str, collection: Path, note: str) -> None:
    build(tars, collection)
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue, catalogue:
        catalogue.execute("UPDATE settings SET value = ? WHERE name LIKE 'objects:%'", [note])

    assert build(tars, collection)[1] == ["x-0.tar", "x-1.tar"]
