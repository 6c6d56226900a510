"""The parts of an indexing run, each alone: reading, staging, counting, committing, and what vanished."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import indexer
from indexer.pipeline.commits import Commits
from indexer.pipeline.counts import Counts, MetItems
from indexer.pipeline.entries import EntryStager
from indexer.pipeline.look_up import LookedUp, LookedUpText
from indexer.pipeline.pace import CommitPace
from indexer.pipeline.reading import ImageReader
from indexer.pipeline.staging import Staged
from indexer.pipeline.vanished import VanishedItems
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.known import KnownItem
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError, ImageGivenUp, ImageUnreadable, UsageError
from retrieval.types import CorpusImage, CorpusText, FileBytes, Limits
from retrieval.uris import file_uri
from tests.builders import HashEncoder, draw, unit_rows, uris

DIGEST = b"d" * 32
IDENTITY = HashEncoder().identity


@pytest.fixture
def writer(collection: Path) -> Iterator[Writer]:
    with Writer(collection) as writer:
        writer.ensure_corpus("test:", "test")
        yield writer


def image_entry(path: Path, **facts: object) -> LookedUp:
    return LookedUp(CorpusImage(file_uri(path), FileBytes(path)), **facts)  # type: ignore[arg-type]


def add(writer: Writer, *names: str) -> None:
    """Commit image items of one content, with ids from 1."""
    change = Change()
    change.contents["image", DIGEST] = NewContent("image", DIGEST, unit_rows(1)[0])
    change.items = {name: NewItem(name, "image", DIGEST, corpus_id=1) for name in names}
    writer.commit(change, IDENTITY)


# Reading


def read(
    collection: Path, encoder: HashEncoder, entries: list[LookedUp], staged: bytes = b""
) -> list[PreparedImage | ImageError | None]:
    with Writer(collection) as writer:
        encoder_id = writer.ensure_encoder(encoder.identity)
    with (
        DecodePool(Limits(), workers=1) as pool,
        ImageReader(pool, encoder, collection, encoder_id, staged.__eq__, window=2) as reader,
    ):
        return [outcome for _, outcome in reader.read_all(entries, threading.Event())]


def test_a_reader_reads_what_must_be_read_in_order_and_decodes_what_has_no_vector(
    photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    indexer.build(photos / "sub", collection, model=encoder, workers=1)
    new, known, staged = photos / "red.png", photos / "sub/blue.png", photos / "green.png"
    (image,) = read(collection, encoder, [image_entry(staged, must_be_read=True)])
    assert isinstance(image, PreparedImage)

    found = read(
        collection,
        encoder,
        [
            LookedUp(),
            *(image_entry(path, must_be_read=True) for path in (new, known, staged)),
            image_entry(new),
        ],
        staged=image.digest,
    )

    read_images = [image for image in found if isinstance(image, PreparedImage)]
    assert [image is None for image in found] == [True, False, False, False, True]
    assert [image.array is None for image in read_images] == [False, True, True]


def test_an_image_behind_many_new_ones_is_told_from_known_ones_as_any_other(
    photos: Path, tmp_path: Path, collection: Path, encoder: HashEncoder
) -> None:
    new = [draw(tmp_path / f"{number}.png", (number, 0, 0)) for number in range(40)]
    indexer.build(photos / "sub", collection, model=encoder, workers=1)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"words")
    with Writer(collection) as writer:
        change = Change()
        digest = hashlib.sha256(b"words").digest()
        change.contents["image", digest] = NewContent("image", digest, unit_rows(1)[0])
        writer.commit(change, writer.identity or IDENTITY)
    paths = [*new[:20], photos / "sub/blue.png", *new[20:], broken]

    found = read(collection, encoder, [image_entry(path, must_be_read=True) for path in paths])

    assert [image.array is None for image in found if isinstance(image, PreparedImage)] == [
        path not in new for path in paths
    ]


def test_an_image_whose_bytes_cannot_be_read_loses_its_stamp_so_that_each_run_tries_it(
    tmp_path: Path, collection: Path, encoder: HashEncoder
) -> None:
    gone, broken = tmp_path / "gone.png", tmp_path / "broken.png"
    broken.write_bytes(b"words")
    entries = [image_entry(path, must_be_read=True, stamp="1") for path in (gone, broken)]

    outcomes = read(collection, encoder, entries)

    assert [type(outcome) for outcome in outcomes] == [ImageUnreadable, ImageError]
    assert [entry.stamp for entry in entries] == [None, "1"]


# Staging


def stage(entry: LookedUp, read: PreparedImage | ImageError | None = None) -> tuple[Staged, Counts]:
    staged, counts = Staged(), Counts()
    EntryStager(HashEncoder(), 1, counts, lambda entry: f"{entry.attempts}").stage(staged, entry, read)
    return staged, counts


def known_item(*, listed: bool = True) -> KnownItem:
    return KnownItem(7, DIGEST, stamp=None, lang=None, attributes={}, encoded=True, listed=listed)


def test_an_image_and_its_texts_are_staged_with_their_links(tmp_path: Path) -> None:
    text = LookedUpText(CorpusText("x:text", "Words"), "Words", b"t" * 32)
    entry = image_entry(tmp_path / "a.png", texts=[text], weight=5)

    staged, counts = stage(entry, PreparedImage(DIGEST, unit_rows(1), 1, 1))

    assert entry.taken
    assert staged.change.items.keys() == counts.fresh == {entry.uri, "x:text"}
    assert staged.change.links.keys() == {(entry.uri, "x:text")}
    assert (staged.contents, staged.characters, staged.may_be_renamed) == (2, 5, set())


def test_an_unchanged_item_is_met_and_listed_and_nothing_else(tmp_path: Path) -> None:
    staged, counts = stage(image_entry(tmp_path / "a.png", known=known_item(listed=False)))

    assert staged.change == Change(listed=[(7, 1)])
    assert 7 in counts.met
    assert not counts.fresh


def test_a_new_item_of_a_known_content_may_be_a_renamed_one(tmp_path: Path) -> None:
    entry = image_entry(tmp_path / "a.png")

    staged, _ = stage(entry, PreparedImage(DIGEST))

    assert staged.may_be_renamed == {entry.uri}


def test_a_failure_is_counted_and_staged_with_its_tries_and_its_texts_stay_unlinked(tmp_path: Path) -> None:
    text = LookedUpText(CorpusText("x:text", "Words"), "Words", b"t" * 32)
    entry = image_entry(tmp_path / "a.png", texts=[text], attempts=1)

    staged, counts = stage(entry, ImageGivenUp("took longer than 30 s"))

    assert [(failure.reason, failure.stamp) for failure in staged.change.failures.values()] == [
        ("took longer than 30 s", "2")
    ]
    assert (len(counts.failures), staged.change.links) == (1, {})
    assert staged.change.items.keys() == {"x:text"}


def test_a_known_image_that_fails_is_kept_where_its_file_is_there_and_not_where_it_is_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "there.png").touch()
    kept = []
    for name in ("there.png", "gone.png"):
        _, counts = stage(image_entry(tmp_path / name, known=known_item()), ImageError("is broken"))
        kept.append(7 in counts.met)

    assert kept == [True, False]


# Counting and committing


def test_each_content_that_a_commit_encodes_counts_for_the_first_item_that_has_it() -> None:
    counts, change = Counts(), Change()
    for digest in (DIGEST, b"e" * 32):
        change.contents["image", digest] = NewContent("image", digest, unit_rows(1)[0])
    change.items = {name: NewItem(name, "image", DIGEST, 1) for name in ("a", "b", "c")}
    counts.fresh = {"a", "b"}
    counts.restored = {("image", b"e" * 32): 9}

    counts.add_commit({"a": 1, "b": 2, "c": 3}, change, links=4)
    report = counts.report(left_out={}, removed=0, vanished=0, interrupted=False, seconds=0)

    assert [item in counts.encoded for item in (1, 2, 3, 9)] == [True, False, False, True]
    assert (report.images, report.links, report.known) == (3, 4, 1)
    assert not counts.fresh
    assert not counts.restored


def test_commits_come_as_their_pace_says_and_merge_small_segments_now_and_then(
    writer: Writer, collection: Path
) -> None:
    counts, encoder = Counts(), HashEncoder()
    commits = Commits(writer, encoder, 1, counts, CommitPace(contents=2, seconds=math.inf, merge_after=20))
    segments = []
    for number in range(40):
        digest = bytes([number]) * 32
        commits.staged.add_text(digest, f"words {number}", encoder)
        commits.staged.add_item(NewItem(f"x:{number}", "text", digest, 1))
        commits.commit_if_due()
        segments.append(len(list((collection / "segments").glob("*.faiss"))))

    assert segments[:6] == [0, 1, 1, 2, 2, 3]
    assert max(segments) == 19
    assert segments[-1] == 1
    assert counts.met.texts.count == counts.encoded.count == 40


# What vanished


def test_what_a_run_has_not_met_has_vanished_and_prune_drops_it(writer: Writer, collection: Path) -> None:
    add(writer, "x:a", "x:b", "x:c")
    met = MetItems()
    met.add("image", 1)
    met.kept.add(2)

    vanished = VanishedItems(writer, 1, "test:", "csv", met)

    assert vanished.count() == 1
    assert vanished.prune(IDENTITY) == 1
    assert set(uris(collection)) == {"x:a", "x:b"}


@pytest.mark.parametrize(("format_", "vanished"), [("folder", 1), ("csv", 0)])
def test_what_lies_in_an_unread_part_has_not_vanished_and_a_table_may_name_anything(
    writer: Writer, tmp_path: Path, format_: str, vanished: int
) -> None:
    for name in ("read/a.png", "unread/b.png"):
        draw(tmp_path / name, (1, 2, 3))
    add(writer, file_uri(tmp_path / "read/a.png"), file_uri(tmp_path / "unread/b.png"))
    met = MetItems()
    met.unread.add(file_uri(tmp_path / "unread"))

    assert VanishedItems(writer, 1, "test:", format_, met).count() == vanished


def test_prune_is_refused_where_the_corpus_holds_nothing_any_more(writer: Writer, collection: Path) -> None:
    add(writer, "x:a")

    with pytest.raises(UsageError, match="holds nothing now"):
        VanishedItems(writer, 1, "test:", "csv", MetItems()).prune(IDENTITY)
    with Collection.open(collection) as opened:
        assert len(opened.items([1])) == 1
