"""What a run does with what moved or vanished: a rename keeps its ids, and only ``prune`` drops anything."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from retrieval.corpora import CorpusOptions
from retrieval.corpora.corpus import LeftOut
from retrieval.corpora.trees import LocalFolder, LocalTree
from retrieval.errors import UsageError
from tests.builders import Index, draw, uris


def test_a_renamed_file_is_recognised_by_its_bytes_keeps_its_id_and_is_not_encoded(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    before = uris(collection)
    (photos / "red.png").rename(photos / "crimson.png")
    (photos / "red.txt").rename(photos / "crimson.txt")

    report = index(photos)

    after = uris(collection)
    assert report.encoded == 0
    assert after["crimson.png"] == before["red.png"]
    assert "red.png" not in after


def test_a_renamed_folder_keeps_the_ids_of_everything_in_it(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    before = uris(collection), uris(collection, "text")
    (photos / "sub").rename(photos / "moved")

    report = index(photos, prune=True)

    assert (report.encoded, report.removed, report.links) == (0, 0, 2)
    assert (uris(collection), uris(collection, "text")) == before


def test_a_copy_is_a_second_item_and_no_rename_while_the_first_is_there(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    shutil.copy(photos / "red.png", photos / "sub/copy.png")

    index(photos)

    assert {"red.png", "copy.png"} <= uris(collection).keys()


def test_what_vanished_stays_without_prune_and_goes_with_it(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    (photos / "red.png").unlink()
    (photos / "red.txt").unlink()

    assert index(photos).removed == 0
    assert "red.png" in uris(collection)
    assert index(photos, prune=True).removed == 2
    assert "red.png" not in uris(collection)
    assert uris(collection, "text").keys() == {"blue.txt#L1"}


def test_a_picture_that_can_no_longer_be_read_is_a_failure_and_not_pruned(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    (photos / "red.png").write_bytes(b"overwritten by mistake")

    report = index(photos, prune=True)

    assert (report.failed, report.removed) == (1, 0)
    assert "red.png" in uris(collection)


def test_a_renamed_archive_keeps_the_ids_of_its_members(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(photos / "red.png", "red.png")
        tar.add(photos / "red.txt", "red.txt")
    index(tmp_path / "a.tar")
    before = sorted(uris(collection).values()), sorted(uris(collection, "text").values())
    (tmp_path / "a.tar").rename(tmp_path / "b.tar")

    report = index(tmp_path / "b.tar")

    assert (report.encoded, report.images) == (0, 1)
    assert (sorted(uris(collection).values()), sorted(uris(collection, "text").values())) == before
    assert all(name.startswith("b.tar#") for name in uris(collection))


def test_prune_of_a_folder_above_takes_what_a_run_below_had_brought(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos / "sub")
    (photos / "sub/blue.png").unlink()
    (photos / "sub/blue.txt").unlink()

    assert index(photos, prune=True).removed == 2
    assert uris(collection, "text").keys() == {"red.txt#L1"}


def test_prune_of_a_folder_leaves_archives_in_it_alone(index: Index, photos: Path, collection: Path) -> None:
    with tarfile.open(photos / "a.tar", "w") as tar:
        tar.add(photos / "red.png", "member.png")
    index(photos / "a.tar")

    assert index(photos, prune=True).removed == 0
    assert "a.tar#member.png" in uris(collection)


def test_a_link_that_leads_nowhere_does_not_keep_what_is_excluded_from_prune(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")

    report = index(photos, prune=True, options=CorpusOptions(exclude=("sub",)))

    assert (report.failed, report.removed) == (1, 2)
    assert uris(collection).keys() == {"red.png", "green.png"}


def test_prune_spares_what_lies_in_a_folder_that_cannot_be_listed_and_nothing_else(
    index: Index, photos: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos)
    (photos / "red.png").rename(photos / ".red.png")
    (photos / "red.txt").unlink()
    found = LocalTree.folder

    def refuse(tree: LocalTree, relative: str, left_out: LeftOut) -> LocalFolder | None:
        if relative == "sub/":
            raise PermissionError(13, "Permission denied")
        return found(tree, relative, left_out)

    monkeypatch.setattr(LocalTree, "folder", refuse)
    report = index(photos, prune=True)

    assert (report.failed, report.removed) == (1, 2)
    assert uris(collection).keys() == {"blue.png", "green.png"}


def test_prune_refuses_to_empty_a_collection_whose_corpus_is_empty_all_of_a_sudden(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    shutil.rmtree(photos)
    photos.mkdir()

    with pytest.raises(UsageError, match="would drop all 5 items"):
        index(photos, prune=True)
    assert len(uris(collection)) == 3


def test_prune_takes_a_folder_of_another_case_for_another_folder(
    index: Index, tmp_path: Path, collection: Path
) -> None:
    draw(tmp_path / "Photos/a.png", (1, 1, 1))
    draw(tmp_path / "photos/b.png", (2, 2, 2))
    index(tmp_path / "Photos")
    index(tmp_path / "photos", prune=True)

    assert uris(collection).keys() == {"a.png", "b.png"}


def test_prune_keeps_a_file_that_moved_into_another_corpus(
    index: Index, tmp_path: Path, collection: Path
) -> None:
    draw(tmp_path / "inbox/a.png", (1, 1, 1))
    draw(tmp_path / "inbox/b.png", (2, 2, 2))
    (tmp_path / "album").mkdir()
    index(tmp_path / "inbox")
    (tmp_path / "inbox/a.png").rename(tmp_path / "album/a.png")
    index(tmp_path / "album")

    report = index(tmp_path / "inbox", prune=True)

    assert report.removed == 0
    assert uris(collection).keys() == {"a.png", "b.png"}


def test_prune_keeps_a_picture_that_another_corpus_captions(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    def table(name: str, *pictures: str) -> Path:
        path = tmp_path / name
        rows = [{"image": str(photos / picture), "caption": f"{name} {picture}"} for picture in pictures]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    index(table("one.jsonl", "red.png", "green.png"))
    index(table("two.jsonl", "green.png"))

    index(table("one.jsonl", "red.png"), prune=True)

    assert uris(collection).keys() == {"red.png", "green.png"}
