"""Indexing from an S3 store: what is as it was is not read again, and nothing but what is gone is ever dropped."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import indexer
from indexer import CorpusOptions, Shard, open_corpus
from retrieval.collection import Collection
from retrieval.corpora import Corpus
from retrieval.errors import CorpusFormatError, ImageUnreadable
from retrieval.locations.object_store import StoredFolder, StoreFault, list_folder
from retrieval.types import Limits
from tests.builders import HashEncoder, Index, uris
from tests.command_line import Run
from tests.faults.states import state_of
from tests.hostile_s3 import hostile_store, refuse
from tests.s3_server import SECRET, Bucket, requests_counted, settings_of

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{}"/></rdf:RDF></x:xmpmeta>'
)


def encoded(*colours: str, format: str = "PNG") -> bytes:
    first, *others = (Image.new("RGB", (16, 12), colour) for colour in colours)
    file = io.BytesIO()
    first.save(file, format, **({"save_all": True, "append_images": others} if others else {}))
    return file.getvalue()


@pytest.fixture
def index(collection: Path, encoder: HashEncoder) -> Index:
    """``vlsearch index SOURCE --workers 1`` on the collection."""

    def run(source: Path | str | Corpus, **options: Any) -> indexer.Report:
        return indexer.build(source, collection, model=encoder, workers=1, **options)

    return run


@pytest.fixture
def stored(bucket: Bucket) -> Bucket:
    """A bucket with the folder ``p``: two pictures with captions, one of them below, and a TIFF of two pages."""
    bucket.put("p/red.png", encoded("red"))
    bucket.put("p/red.txt", "a red square")
    bucket.put("p/red.xmp", XMP.format(4))
    bucket.put("p/sub/blue.png", encoded("blue"))
    bucket.put("p/sub/blue.txt", "a blue square")
    bucket.put("p/pages.tif", encoded("green", "white", format="TIFF"))
    return bucket


def pictures_asked(asked: list[tuple[str, str]]) -> list[str]:
    return [key for name, key in asked if name == "GetObject" and not key.endswith(".txt")]


def test_what_is_as_it_was_is_known_from_the_listing_alone(
    stored: Bucket, index: Index, collection: Path
) -> None:
    first = index(f"s3://{stored.name}/p")
    with requests_counted() as asked:
        again = index(f"s3://{stored.name}/p")

    assert (first.images, first.captions, first.links, first.failed) == (4, 2, 2, 0)
    assert (again.unchanged, again.encoded, again.failed) == (6, 0, 0)
    assert pictures_asked(asked) == []
    assert uris(collection).keys() == {"pages.tif", "pages.tif#page%3D2", "red.png", "blue.png"}


def test_an_object_with_another_etag_is_read_again_though_its_size_is_the_same(
    stored: Bucket, index: Index
) -> None:
    index(f"s3://{stored.name}/p")
    pages = bytearray(encoded("green", "white", format="TIFF"))
    pages[-1] ^= 1  # a pixel
    stored.put("p/pages.tif", bytes(pages))
    stored.put_later("p/sub/blue.png", encoded("blue"))  # as it is
    with requests_counted() as asked:
        again = index(f"s3://{stored.name}/p")

    assert set(pictures_asked(asked)) == {"p/pages.tif", "p/sub/blue.png"}
    assert (again.encoded, again.failed) == (2, 0)


def test_a_sidecar_that_changed_gives_its_picture_new_attributes(
    stored: Bucket, index: Index, collection: Path
) -> None:
    index(f"s3://{stored.name}/p")
    stored.put("p/red.xmp", XMP.format(5))
    index(f"s3://{stored.name}/p")

    with Collection.open(collection) as opened:
        rated = {
            one.uri: one.attributes["rating"] for one in opened.items(range(9)) if "rating" in one.attributes
        }
    assert rated == {f"s3://{stored.name}/p/red.png": 5}


def test_prune_drops_what_is_gone_and_nothing_while_the_store_cannot_be_listed(
    stored: Bucket, index: Index, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    index(f"s3://{stored.name}/p")
    stored.delete("p/sub/blue.png")

    def refused(bucket: str, prefix: str) -> StoredFolder:
        if prefix == "p/sub/":
            raise StoreFault("the store answered AccessDenied (403)")
        return list_folder(bucket, prefix)

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.corpora.object_tree.list_folder", refused)
        failed = index(f"s3://{stored.name}/p", prune=True)
    with hostile_store() as down, settings_of(down.url):
        down.respond = refuse(403, "AccessDenied")
        with pytest.raises(CorpusFormatError, match="the store answered"):
            index(f"s3://{stored.name}/p", prune=True)

    assert (failed.failed, failed.removed, len(uris(collection))) == (1, 0, 4)
    assert [group.reason for group in failed.reasons] == [
        "the folder cannot be read (the store answered AccessDenied (403))"
    ]
    assert index(f"s3://{stored.name}/p", prune=True).removed == 2


def test_a_connection_that_is_lost_fails_the_items_that_were_to_be_read_and_they_are_tried_again(
    stored: Bucket, index: Index, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)

    def lost(*_: object) -> bytes:
        raise ImageUnreadable("cannot be read (no connection to the store can be made)")

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.locations.fetch._read_object", lost)
        report = index(f"s3://{stored.name}/p")
    again = index(f"s3://{stored.name}/p")

    assert [(group.count, group.reason) for group in report.reasons] == [
        (3, "cannot be read (no connection to the store can be made)")
    ]
    assert report.captions == 2
    assert (again.images, again.failed) == (4, 0)


def test_shards_of_a_corpus_in_a_store_merge_to_what_a_single_run_makes(
    stored: Bucket, tmp_path: Path
) -> None:
    members = {f"{number}.png": encoded(colour) for number, colour in enumerate(["tan", "navy", "lime"])}
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    stored.put("x.tar", (tmp_path / "x.tar").read_bytes())
    for number, source in enumerate([f"s3://{stored.name}/p", f"s3://{stored.name}/x.tar"]):
        place = tmp_path / str(number)
        place.mkdir()
        single, shards = place / "single", [place / "1", place / "2"]
        indexer.build(open_corpus(source, CorpusOptions()), single, model=HashEncoder(), workers=1)
        for which, path in enumerate(shards, start=1):
            corpus = open_corpus(source, CorpusOptions(shard=Shard(which, 2)))
            indexer.build(corpus, path, model=HashEncoder(), workers=1)

        indexer.merge(shards, place / "merged")

        assert state_of(place / "merged") == state_of(single)


def test_the_command_line_indexes_from_a_store_updates_and_finds_and_repeats_no_secret(
    stored: Bucket, run: Run, tmp_path: Path
) -> None:
    collection = tmp_path / "collection"
    indexed = run("index", f"s3://{stored.name}/p", "--collection", collection, "--model", "mini")
    stored.put("p/new.png", encoded("yellow"))
    updated = run("index", "--collection", collection)
    inside = ("--in", f"s3://{stored.name}/p/sub", "--find", "image")
    alike = run("similar", f"s3://{stored.name}/p/new.png", "--collection", collection, *inside)

    assert (indexed.exit_code, updated.exit_code, alike.exit_code) == (0, 0, 0)
    assert "4 images, 2 captions" in indexed.stdout
    assert "1 encoded" in updated.stdout
    assert [line for line in alike.stdout.splitlines() if "s3://" in line] == [
        line for line in alike.stdout.splitlines() if f"s3://{stored.name}/p/sub/blue.png" in line
    ]
    assert "blue.png" in alike.stdout
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        everything = "\n".join(catalogue.iterdump())
    said = "".join(done.stdout + done.stderr for done in (indexed, updated, alike))
    assert SECRET not in everything + said
    assert "someone" not in everything + said


def test_a_video_is_sampled_as_on_a_disk_fetched_once_and_only_where_it_has_changed(
    bucket: Bucket, collection: Path, tmp_path: Path
) -> None:
    from tests.videos import make_video

    folder = tmp_path / "v"
    folder.mkdir()
    for name, scenes in {"a.mp4": [(0, 0, 255), (0, 255, 0)], "b.mkv": [(9, 9, 9)]}.items():
        bucket.put(f"v/{name}", make_video(folder / name, scenes, seconds=6, rate=1).read_bytes())
    here = indexer.build(folder, tmp_path / "here", model=HashEncoder(), workers=1)
    with requests_counted() as asked:
        there = indexer.build(f"s3://{bucket.name}/v", collection, model=HashEncoder(), workers=1)
    with requests_counted() as asked_again:
        again = indexer.build(f"s3://{bucket.name}/v", collection, model=HashEncoder(), workers=1)

    assert (there.images, there.encoded, there.failed) == (here.images, here.encoded, 0)
    assert there.images == 3
    assert pictures_asked(asked) == ["v/a.mp4", "v/b.mkv"]
    assert pictures_asked(asked_again) == []
    assert again.unchanged == there.images
    frames = [
        {(str(row[1]).rpartition("/")[2], row[3]) for row in state_of(path).items}
        for path in (collection, tmp_path / "here")
    ]
    assert frames[0] == frames[1]


def test_a_video_over_the_limit_of_bytes_fails_without_being_fetched(bucket: Bucket, index: Index) -> None:
    bucket.put("v/a.mp4", b"\0" * 2000)
    with requests_counted() as asked:
        report = index(f"s3://{bucket.name}/v", limits=Limits(file_bytes=1000))

    assert [group.reason for group in report.reasons] == [
        "2,000 bytes, over the limit of 1,000 (--max-bytes)"
    ]
    assert pictures_asked(asked) == []


def test_what_is_called_a_video_and_is_a_picture_is_read_as_one(bucket: Bucket, index: Index) -> None:
    bucket.put("v/a.mp4", encoded("red"))

    assert index(f"s3://{bucket.name}/v").images == 1


def test_a_renamed_object_and_a_renamed_folder_keep_their_items_and_a_copy_is_a_new_one(
    stored: Bucket, index: Index, collection: Path
) -> None:
    index(f"s3://{stored.name}/p")
    before = ids(collection)
    for old, new in {"p/pages.tif": "p/leaves.tif", "p/sub/blue.png": "p/below/a/blue.png"}.items():
        stored.put(new, stored.get(old))
        stored.delete(old)
    stored.put("p/again.png", stored.get("p/red.png"))
    stored.delete("p/sub/blue.txt")
    with requests_counted() as asked:
        report = index(f"s3://{stored.name}/p", prune=True)
    after = ids(collection)

    assert (report.known, report.encoded, report.removed) == (4, 0, 1)  # the text
    assert after["leaves.tif"] == before["pages.tif"]
    assert after["leaves.tif#page%3D2"] == before["pages.tif#page%3D2"]
    assert after["blue.png"] == before["blue.png"]
    assert after["red.png"] == before["red.png"] != after["again.png"]
    assert [key for name, key in asked if name == "HeadObject" and key.endswith("blue.png")] == []


def test_a_store_that_does_not_say_what_is_gone_has_nothing_renamed(
    stored: Bucket, index: Index, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(bucket: str, name: str) -> bool:
        raise StoreFault("the store answered AccessDenied (403)")

    index(f"s3://{stored.name}/p")
    stored.put("p/new.png", stored.get("p/red.png"))
    stored.delete("p/red.png")
    monkeypatch.setattr("indexer.pipeline.renames.find_object", refused)

    assert index(f"s3://{stored.name}/p").vanished == 2  # with its caption
    assert {"new.png", "red.png"} <= ids(collection).keys()


def ids(collection: Path) -> dict[str, int]:
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        rows = catalogue.execute("SELECT uri, id FROM items WHERE kind = 'image'").fetchall()
    return {uri.rpartition("/")[2]: number for uri, number in rows}
