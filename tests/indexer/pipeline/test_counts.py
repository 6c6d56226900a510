"""The counts of a run add up: each item is encoded, known by content, unchanged, failed or left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import indexer
from indexer.pipeline.report import Failures, SeenItems
from retrieval.types import Failure
from tests.builders import Index, draw


def parts(report: indexer.Report) -> dict[str, int]:
    """The five counts; every report is checked for adding up."""
    counts = {name: getattr(report, name) for name in ("encoded", "known", "unchanged", "failed")}
    counts["left out"] = sum(report.left_out.values())
    assert sum(counts.values()) == report.seen
    assert report.encoded + report.known + report.unchanged == report.images + report.captions
    assert sum(group.count for group in report.reasons) == report.failed
    return counts


def test_each_item_of_a_folder_is_counted_once_in_one_way(index: Index, photos: Path) -> None:
    shutil.copy(photos / "red.png", photos / "red again.png")
    (photos / "broken.png").write_bytes(b"no picture")
    (photos / "empty.jpg").touch()
    (photos / "drawing.svg").write_bytes(b"<svg/>")
    (photos / ".hidden.png").write_bytes(b"hidden")
    files = sum(path.is_file() for path in photos.rglob("*"))

    first = index(photos)

    assert parts(first) == {"encoded": 5, "known": 1, "unchanged": 0, "failed": 2, "left out": 2}
    assert first.seen == files

    os.utime(photos / "green.png", (1, 1))  # touched: read again, and the same
    draw(photos / "sub/blue.png", (1, 2, 3))  # changed
    (photos / "red.txt").write_text("a blue square")  # changed to a text that is known
    (photos / "red again.png").rename(photos / "moved.png")
    (photos / "broken.png").unlink()
    draw(photos / "new.png", (9, 9, 9))

    second = index(photos)

    assert parts(second) == {"encoded": 2, "known": 2, "unchanged": 3, "failed": 1, "left out": 2}
    assert parts(index(photos)) == {"encoded": 0, "known": 0, "unchanged": 7, "failed": 1, "left out": 2}


def test_a_picture_in_many_rows_is_one_item_and_one_that_fails_is_one_failure(
    index: Index, photos: Path, tmp_path: Path
) -> None:
    rows = "".join(f"red.png,caption {number}\nnone.png,words {number}\n" for number in range(300))
    (photos / "table.csv").write_text(f"image,caption\n{rows}")

    report = index(photos / "table.csv")

    assert (report.images, report.captions) == (1, 600)
    assert parts(report) == {"encoded": 601, "known": 0, "unchanged": 0, "failed": 1, "left out": 0}
    assert parts(index(photos / "table.csv"))["unchanged"] == 601


def test_equal_texts_are_encoded_once_and_the_others_are_known(index: Index, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one\ntwo\none\none\n")

    assert parts(index(tmp_path / "lines.txt")) == {
        "encoded": 2, "known": 2, "unchanged": 0, "failed": 0, "left out": 0,
    }  # fmt: skip


def test_what_another_corpus_brought_is_known_or_unchanged(
    index: Index, photos: Path, tmp_path: Path
) -> None:
    index(photos)
    shutil.copytree(photos, tmp_path / "copy")

    assert parts(index(tmp_path / "copy"))["known"] == 5
    assert parts(index(photos / "sub"))["unchanged"] == 2


def test_an_item_that_had_lost_its_vector_counts_as_encoded(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    for segment in (collection / "segments").glob("*.faiss"):
        segment.unlink()
    indexer.doctor(collection, repair=True)

    assert parts(index(photos)) == {"encoded": 5, "known": 0, "unchanged": 0, "failed": 0, "left out": 0}


def test_failures_are_grouped_by_reason_with_an_example_the_most_frequent_first(
    index: Index, photos: Path
) -> None:
    for number in range(3):
        (photos / f"empty {number}.jpg").touch()
    (photos / "words.png").write_bytes(b"no picture")

    empty, words = index(photos).reasons

    assert (empty.count, empty.reason) == (3, "the file is empty")
    assert empty.example.endswith("empty%200.jpg")
    assert words.count == 1


def test_reasons_that_differ_in_numbers_and_names_are_one_group() -> None:
    failures = Failures()
    for number in range(4):
        failures.add(Failure(f"file:///{number}", f"{number}7,000 bytes of 'a{number}', over the limit of 9"))
    failures.add(Failure("file:///0", "something else"))  # its first failure counts
    failures.add(Failure("file:///9", "something else"))
    failures.forget("file:///3")
    failures.forget("file:///unknown")

    assert [(group.count, group.reason) for group in failures.groups()] == [
        (3, "07,000 bytes of 'a0', over the limit of 9"),
        (1, "something else"),
    ]
    assert len(failures) == 4


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1, 9, 70_000], [9]), ([3], [3, 80_000])])
def test_items_of_one_set_without_those_of_another_are_counted(ours: list[int], theirs: list[int]) -> None:
    first, second = SeenItems(), SeenItems()
    for item in ours:
        first.add(item)
    for item in theirs:
        second.add(item)

    assert first.count_without(second) == len(set(ours) - set(theirs))


def test_what_is_no_longer_there_is_counted_and_is_what_prune_drops(index: Index, photos: Path) -> None:
    assert index(photos).vanished == 0
    (photos / "red.png").unlink()
    (photos / "red.txt").unlink()

    assert index(photos).vanished == 2
    assert index(photos / "sub").vanished == 0
    pruned = index(photos, prune=True)
    assert (pruned.removed, pruned.vanished) == (2, 0)
    assert index(photos).vanished == 0


def test_what_another_corpus_still_lists_has_not_vanished(index: Index, photos: Path, tmp_path: Path) -> None:
    index(photos)
    (photos / "table.csv").write_text("image\nred.png\ngreen.png\n")
    index(photos / "table.csv")
    (photos / "table.csv").write_text("image\ngreen.png\n")

    assert index(photos / "table.csv").vanished == 0
