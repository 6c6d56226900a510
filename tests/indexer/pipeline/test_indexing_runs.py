"""What running ``vlsearch index`` again does: only what is new or changed is encoded, and nothing else is lost."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import indexer
from indexer import building
from indexer.pipeline import look_up
from indexer.pipeline.pace import CommitPace
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.maintenance import merge_small
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.corpora import Corpus, CorpusOptions, open_corpus
from retrieval.corpora.corpus import Entries, LeftOut
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.base import Encoder
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import CorpusFormatError, IdentityMismatch, ImageGivenUp, ImageUnreadable, UnknownModel
from retrieval.metadata.sidecars import Described
from retrieval.types import Limits, Location
from retrieval.uris import file_uri
from tests.builders import HashEncoder, Index, draw, unit_rows, uris

IsWanted = Callable[[bytes], bool]


def failures(collection: Path) -> dict[str, str]:
    with Collection.open(collection) as opened:
        return {failure.uri.rpartition("/")[2]: failure.reason for failure in opened.failures()}


def test_a_first_run_encodes_every_content_and_counts_what_the_collection_holds(
    index: Index, photos: Path
) -> None:
    report = index(photos)

    assert (report.images, report.captions, report.links) == (3, 2, 2)
    assert (report.encoded, report.unchanged, report.failed, report.removed) == (5, 0, 0, 0)


def test_the_model_is_gone_from_memory_when_an_accelerator_is_made(
    photos: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[HashEncoder]] = []
    left: list[HashEncoder | None] = []

    def load(name: str | Path) -> HashEncoder:
        encoder = HashEncoder()
        loaded.append(weakref.ref(encoder))
        return encoder

    def look(writer: Writer, encode: object) -> list[object]:
        gc.collect()
        left.extend(one() for one in loaded)
        return []

    monkeypatch.setattr(building, "load_encoder", load)
    monkeypatch.setattr(building, "accelerate_if_due", look)

    assert indexer.build(photos, collection, model="mini").encoded == 5
    assert left == [None]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_worker_holds_memory_any_more_while_the_last_pictures_are_encoded(
    photos: Path, collection: Path
) -> None:
    class Looking(HashEncoder):
        """Notes, whenever pictures are encoded, what processes the run has."""

        def encode_prepared(
            self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
        ) -> NDArray[np.float32]:
            seen.append(children())
            return super().encode_prepared(prepared, batch_size)

    def children() -> set[str]:
        threads = Path("/proc/self/task").glob("*/children")
        return {pid for thread in threads for pid in thread.read_text().split()}

    seen: list[set[str]] = []
    before = children()

    indexer.build(photos, collection, model=Looking())

    assert seen == [before]


def test_a_second_run_encodes_nothing_and_commits_nothing(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    with Collection.open(collection) as opened:
        before = opened.generation

    report = index(photos)

    assert (report.encoded, report.unchanged) == (0, 5)
    assert (report.images, report.captions, report.links) == (3, 2, 2)
    with Collection.open(collection) as opened:
        assert opened.generation == before


def test_a_file_that_was_touched_but_not_changed_is_read_and_not_encoded(index: Index, photos: Path) -> None:
    index(photos)
    os.utime(photos / "red.png", ns=(1, 1))

    report = index(photos)

    assert (report.encoded, report.unchanged) == (0, 5)


def test_a_changed_file_is_encoded_and_its_item_keeps_its_id(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    before = uris(collection)
    draw(photos / "red.png", (9, 9, 9), (9, 9))

    report = index(photos)

    assert (report.encoded, report.unchanged) == (1, 4)
    assert uris(collection) == before


def test_equal_bytes_are_encoded_once_within_a_run_and_across_runs(
    index: Index, photos: Path, collection: Path
) -> None:
    shutil.copy(photos / "red.png", photos / "red-too.png")
    assert index(photos).encoded == 5
    shutil.copy(photos / "red.png", photos / "red-three.png")

    report = index(photos)

    assert (report.images, report.encoded) == (5, 0)
    assert len(uris(collection)) == 5


def test_equal_captions_of_many_pictures_are_encoded_once(index: Index, photos: Path) -> None:
    (photos / "green.txt").write_text("a red square\n")

    assert index(photos).encoded == 5


def test_a_failure_has_a_reason_is_not_tried_again_and_is_tried_when_the_file_changes(
    index: Index, photos: Path, collection: Path
) -> None:
    broken = photos / "broken.png"
    broken.write_bytes((photos / "red.png").read_bytes()[:50])
    assert index(photos).failed == 1
    reason = failures(collection)["broken.png"]
    assert "cut short" in reason

    assert index(photos).failed == 1  # told again, not read again
    assert failures(collection) == {"broken.png": reason}

    draw(broken, (1, 2, 3))
    report = index(photos)
    assert (report.failed, report.encoded) == (0, 1)
    assert failures(collection) == {}


def test_a_failure_is_forgotten_when_its_file_is_gone(index: Index, photos: Path, collection: Path) -> None:
    (photos / "broken.png").touch()
    index(photos)
    (photos / "broken.png").unlink()

    index(photos)

    assert failures(collection) == {}


def test_a_picture_that_may_be_read_again_is_taken_though_the_file_is_as_it_was(
    index: Index, photos: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = prepare_for_encoder

    def refuse(
        pool: DecodePool,
        location: Location,
        encoder: Encoder,
        is_wanted: IsWanted | None = None,
        described: Described | None = None,
    ) -> PreparedImage:
        if "red" in str(location):
            raise ImageUnreadable("cannot be read (Permission denied)")
        return real(pool, location, encoder, is_wanted, described)

    with monkeypatch.context() as patch:
        patch.setattr("indexer.pipeline.reading.prepare_for_encoder", refuse)
        assert index(photos).failed == 1

    report = index(photos)

    assert (report.failed, report.encoded) == (0, 1)
    assert failures(collection) == {}


def test_what_a_limit_refused_is_tried_again_under_another_limit(
    index: Index, photos: Path, collection: Path
) -> None:
    draw(photos / "large.png", (5, 5, 5), (100, 100))
    assert index(photos, limits=Limits(pixels=5000)).failed == 1
    assert "over the limit" in failures(collection)["large.png"]

    assert index(photos, limits=Limits(pixels=5000)).failed == 1
    assert index(photos, limits=Limits(pixels=20_000)).failed == 0
    assert failures(collection) == {}


def test_the_size_of_a_file_is_capped(index: Index, photos: Path, collection: Path) -> None:
    size = (photos / "red.png").stat().st_size
    report = index(photos, limits=Limits(file_bytes=size - 1))

    assert report.images < 3
    assert "--max-bytes" in failures(collection)["red.png"]


def test_retry_failed_tries_an_unchanged_file_again(
    index: Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "broken.png").touch()
    index(photos)
    read = count_tries(monkeypatch, "")

    index(photos)
    assert read == []
    index(photos, retry_failed=True)
    assert len(read) == 1


def test_the_catalogue_keeps_a_pictures_own_size_not_that_of_the_reduced_decode(
    index: Index, tmp_path: Path, collection: Path
) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    (tmp_path / "jpegs").mkdir()
    Image.new("RGB", (640, 480), (1, 2, 3)).save(tmp_path / "jpegs/a.jpg", exif=exif)
    Image.new("RGB", (900, 10), (1, 2, 3)).save(tmp_path / "jpegs/strip.png")
    index(tmp_path / "jpegs")

    with Collection.open(collection) as opened, opened.reading() as view:
        sizes = view.connection.execute("SELECT width, height FROM contents ORDER BY id").fetchall()
    assert sizes == [(480, 640), (900, 10)]


def test_a_collection_keeps_its_encoder_and_refuses_another(
    index: Index, photos: Path, other_encoder: HashEncoder
) -> None:
    index(photos)

    with pytest.raises(IdentityMismatch, match="reindex"):
        index(photos, model=other_encoder)


def test_a_model_that_does_not_exist_leaves_no_collection(photos: Path, collection: Path) -> None:
    with pytest.raises(UnknownModel):
        indexer.build(photos, collection, model="no-such-model")
    assert not collection.exists()


def test_a_long_run_merges_its_segments_on_the_way(index: Index, tmp_path: Path, collection: Path) -> None:
    for number in range(25):
        draw(tmp_path / "many" / f"{number:02}.png", (number, 0, 0))
    most = 0

    def count(progress: indexer.Progress) -> None:
        nonlocal most
        most = max(most, len(list((collection / "segments").glob("*.faiss"))))

    report = index(tmp_path / "many", pace=CommitPace(contents=1, merge_after=10), on_progress=count)

    assert report.encoded == 25
    assert most <= 11
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_merging_in_the_middle_of_a_run_keeps_masked_contents_that_the_run_may_have_found(
    index: Index, photos: Path, collection: Path
) -> None:
    (photos / "red.txt").unlink()
    for number in range(12):  # so many that the deletion is below the tenth that is compacted
        draw(photos / f"{number:02}.png", (number, 9, 9))
    index(photos)
    red = (photos / "red.png").read_bytes()
    (photos / "red.png").unlink()
    index(photos, prune=True)
    with Writer(collection) as writer, writer.look_up() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM dead").scalar_one()
    with Writer(collection) as writer:
        for number in range(9):
            change = Change()
            digest = bytes([number]) * 32
            change.contents["image", digest] = NewContent("image", digest, unit_rows(1, seed=number)[0])
            change.items[f"x:{number}"] = NewItem(f"x:{number}", "image", digest, 1)
            writer.commit(change, HashEncoder().identity)
        assert merge_small(writer) > 0
    (photos / "red.png").write_bytes(red)

    assert before == 1
    assert index(photos).encoded == 0


def test_a_run_with_nothing_but_failures_leaves_the_choice_of_encoder_open(
    index: Index, tmp_path: Path, photos: Path, other_encoder: HashEncoder
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/x.png").touch()
    index(tmp_path / "bad")

    assert index(photos, model=other_encoder).encoded == 5


def test_a_caption_file_that_changes_replaces_the_text_and_keeps_the_link(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    (photos / "red.txt").write_text("a crimson square")

    report = index(photos)

    assert (report.encoded, report.links) == (1, 2)
    with Collection.open(collection) as opened:
        red = next(hit for hit in opened.items(range(9)) if hit.uri == file_uri(photos / "red.png"))
    assert [caption.text for caption in red.captions] == ["a crimson square"]


def test_vectors_do_not_depend_on_where_commits_fall_or_on_the_order_of_runs(
    index: Index, tmp_path: Path, encoder: HashEncoder
) -> None:
    folder = tmp_path / "many"
    for number in range(40):
        draw(folder / f"{number:02}.png", (number, 0, 0))
    whole = tmp_path / "whole"
    indexer.build(folder, whole, model=encoder)
    pieces = tmp_path / "pieces"
    shutil.move(folder / "03.png", tmp_path / "03.png")
    indexer.build(folder, pieces, model=encoder, pace=CommitPace(contents=7))
    shutil.move(tmp_path / "03.png", folder / "03.png")
    indexer.build(folder, pieces, model=encoder, pace=CommitPace(contents=7))

    query = encoder.encode_texts(["x"])
    with Collection.open(whole) as one, Collection.open(pieces) as other:
        assert {(hit.uri, hit.score) for hit in one.search(query, "image", 40)[0]} == {
            (hit.uri, hit.score) for hit in other.search(query, "image", 40)[0]
        }


def test_ctrl_c_commits_what_is_done_and_the_next_run_goes_on(
    index: Index, tmp_path: Path, collection: Path
) -> None:
    folder = tmp_path / "many"
    for number in range(200):
        draw(folder / f"{number:03}.png", (number, 0, 0))

    def interrupt(progress: indexer.Progress) -> None:
        if progress.done == 100:
            os.kill(os.getpid(), signal.SIGINT)

    report = index(folder, on_progress=interrupt)

    assert report.interrupted
    assert 100 <= report.images < 200
    assert len(uris(collection)) == report.images
    after = index(folder)
    assert not after.interrupted
    assert (after.images, after.encoded) == (200, 200 - report.images)


def test_ctrl_c_does_not_wait_for_a_picture_that_hangs(
    index: Index, photos: Path, monkeypatch: pytest.MonkeyPatch, collection: Path
) -> None:
    stuck = threading.Event()
    real = prepare_for_encoder

    def read(
        pool: DecodePool,
        location: Location,
        encoder: Encoder,
        is_wanted: IsWanted | None = None,
        described: Described | None = None,
    ) -> PreparedImage:
        if "green" in str(location):
            os.kill(os.getpid(), signal.SIGINT)
            stuck.wait(60)
        return real(pool, location, encoder, is_wanted, described)

    monkeypatch.setattr("indexer.pipeline.reading.prepare_for_encoder", read)
    report = index(photos)
    stuck.set()

    assert report.interrupted
    assert "green.png" not in uris(collection)


def test_signals_are_as_they_were_after_a_run(index: Index, photos: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    index(photos)

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_indexing_works_in_a_thread_of_its_own(index: Index, photos: Path) -> None:
    reports = []
    thread = threading.Thread(target=lambda: reports.append(index(photos)))
    thread.start()
    thread.join()

    assert reports[0].images == 3


def test_a_corpus_that_breaks_off_keeps_what_came_before(
    index: Index, photos: Path, collection: Path
) -> None:
    def entries(left_out: LeftOut | None) -> Entries:
        yield from open_corpus(str(photos), CorpusOptions()).entries(left_out)
        raise CorpusFormatError("somewhere", "ends in the middle", "Copy it again")

    with pytest.raises(CorpusFormatError, match="ends in the middle"):
        index(Corpus(file_uri(photos), "folder", entries))

    assert len(uris(collection)) == 3


def test_an_encoder_that_fails_leaves_the_collection_as_it_was(photos: Path, collection: Path) -> None:
    class Failing(HashEncoder):
        def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        indexer.build(photos, collection, model=Failing())

    assert indexer.doctor(collection).faults == ()
    assert indexer.build(photos, collection, model=HashEncoder()).encoded == 5


def test_a_failure_is_tried_again_once_another_decoder_is_installed(
    index: Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "broken.png").touch()
    tried = count_tries(monkeypatch, "broken")
    for versions in ("heif=none", "heif=none", "heif=1"):
        monkeypatch.setattr(look_up, "decoder_versions", lambda versions=versions: versions)
        index(photos)

    assert len(tried) == 2


def test_a_picture_that_was_given_up_is_tried_in_three_runs_and_then_left(
    index: Index, photos: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = count_tries(monkeypatch, "red", ImageGivenUp("took longer than 30 s"))

    reports = [index(photos) for _ in range(5)]

    assert [report.failed for report in reports] == [1] * 5
    assert len(tried) == look_up.ATTEMPTS == 3
    assert failures(collection) == {"red.png": "took longer than 30 s"}


def count_tries(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception | None = None) -> list[Location]:
    """A list that grows by each attempt at reading the picture of a name, which ends with the error given."""
    real = prepare_for_encoder
    tried: list[Location] = []

    def prepare(
        pool: DecodePool,
        location: Location,
        encoder: Encoder,
        is_wanted: IsWanted | None = None,
        described: Described | None = None,
    ) -> PreparedImage:
        if name in str(location):
            tried.append(location)
            if error is not None:
                raise error
        return real(pool, location, encoder, is_wanted, described)

    monkeypatch.setattr("indexer.pipeline.reading.prepare_for_encoder", prepare)
    return tried
