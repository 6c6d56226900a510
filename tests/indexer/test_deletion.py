"""``vlsearch delete``: by key, uri or path; a folder or archive is everything in it, and nothing beside it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import indexer
from retrieval.collection import Collection
from retrieval.errors import CollectionLocked, CollectionNotFound, UsageError
from retrieval.uris import file_uri
from tests.builders import HashEncoder, Index, draw, uris


def test_a_path_a_uri_and_a_key_each_delete_one_item(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("my key", "some words")

    assert indexer.delete(collection, [str(photos / "green.png")]).items == 1
    assert indexer.delete(collection, [file_uri(photos / "red.png")]).items == 1
    assert indexer.delete(collection, ["my key"]).items == 1
    assert uris(collection).keys() == {"blue.png"}


@pytest.mark.parametrize("make", [str, Path, lambda name: [Path(name)], lambda name: (name for _ in "a")])
def test_one_name_by_itself_is_one_name_and_not_its_letters(
    make: Callable[[str], Any], index: Index, photos: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos)
    monkeypatch.chdir(photos.parent)
    name = f"{photos.name}/red.png"  # as paths, "/" and "." would be everything

    assert indexer.set_attributes(collection, make(name), {"rating": 5}) == 1
    assert indexer.hide(collection, make(name)) == 1
    assert indexer.unhide(collection, make(name)) == 1
    assert indexer.keep(collection, make(name)) == 1
    assert indexer.forget_kept(collection, make(name)) == 1
    assert indexer.delete(collection, make(name)).items == 1


def test_ids_are_whole_numbers_of_any_kind(index: Index, photos: Path, collection: Path) -> None:
    index(photos)
    with Collection.open(collection) as opened:
        ids = [item.id for item in opened.listed("image")]

    assert indexer.hide(collection, np.array(ids[:1])) == 1
    of_numpy: Any = np.int64(ids[1])
    assert indexer.delete(collection, of_numpy).items == 1
    for absent in (0, -1, 2**63, 2**70):
        assert indexer.hide(collection, [absent]) == 0


@pytest.mark.parametrize("name", ["", 1.5, None, b"red.png", [""], True, [False]])
def test_what_is_no_name_is_refused(name: Any, index: Index, photos: Path, collection: Path) -> None:
    index(photos)
    with pytest.raises(UsageError, match=r"name of an item"):
        indexer.delete(collection, name)
    assert len(uris(collection)) == 3


def test_a_folder_deletes_what_is_in_it_and_not_its_namesakes(
    index: Index, tmp_path: Path, collection: Path
) -> None:
    for name in ("a/1.png", "a/b/2.png", "a-side/3.png", "A/4.png", "a.png"):
        draw(tmp_path / "root" / name, (len(name), 0, 0))
    index(tmp_path / "root")

    assert indexer.delete(collection, [str(tmp_path / "root/a")]).items == 2
    assert uris(collection).keys() == {"3.png", "4.png", "a.png"}


def test_an_archive_deletes_its_members(index: Index, photos: Path, tmp_path: Path, collection: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(photos / "red.png", "one.png")
        tar.add(photos / "green.png", "two.png")
    index(tmp_path / "a.tar")
    index(photos)

    assert indexer.delete(collection, [str(tmp_path / "a.tar")]).items == 2
    assert uris(collection).keys() == {"red.png", "green.png", "blue.png"}


def test_wildcards_of_sql_are_plain_letters_of_a_name(index: Index, tmp_path: Path, collection: Path) -> None:
    for name in ("100%/1.png", "100x/2.png", "a_b/3.png", "axb/4.png"):
        draw(tmp_path / "root" / name, (len(name), ord(name[1]), 0))
    index(tmp_path / "root")

    assert indexer.delete(collection, [str(tmp_path / "root/100%"), str(tmp_path / "root/a_b")]).items == 2
    assert uris(collection).keys() == {"2.png", "4.png"}


def test_links_go_with_an_item_and_the_captions_stay(index: Index, photos: Path, collection: Path) -> None:
    index(photos)

    indexer.delete(collection, [str(photos / "red.png")])

    with Collection.open(collection) as opened:
        info = opened.info()
    assert (info.images, info.texts, info.links) == (2, 2, 1)


def test_an_item_without_a_vector_leaves_nothing_behind(index: Index, photos: Path, collection: Path) -> None:
    index(photos)
    for path in (collection / "segments").iterdir():
        path.unlink()
    indexer.doctor(collection, repair=True)

    assert indexer.delete(collection, [str(photos)]).items == 5
    with Collection.open(collection) as opened:
        assert opened.info().contents == 0


def test_what_is_not_there_counts_nothing(index: Index, photos: Path, collection: Path) -> None:
    index(photos)

    assert indexer.delete(collection, ["nothing", str(photos / "no.png")]).items == 0


def test_deleting_from_a_mistyped_collection_makes_none(tmp_path: Path) -> None:
    for act in (lambda path: indexer.delete(path, ["x"]), indexer.optimize):
        with pytest.raises(CollectionNotFound):
            act(tmp_path / "typo")
    assert list(tmp_path.iterdir()) == []


def test_deleting_beside_a_writer_is_refused(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    with indexer.open_writer(collection, model=encoder), pytest.raises(CollectionLocked):
        indexer.delete(collection, ["x"])


def failures(collection: Path) -> set[str]:
    with Collection.open(collection) as opened:
        return {failure.uri.rpartition("/")[2] for failure in opened.failures()}


def test_a_deleted_root_takes_its_failures_with_it(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    (photos / "sub/broken.png").write_bytes(b"x" * 100)
    (tmp_path / "side").mkdir()
    (tmp_path / "side/torn.png").write_bytes(b"x" * 100)
    index(photos)
    index(tmp_path / "side")

    gone = indexer.delete(collection, [str(photos)])

    assert (gone.items, gone.failures, gone.still_there) == (5, 1, True)
    assert failures(collection) == {"torn.png"}
    assert indexer.delete(collection, [str(tmp_path / "side/torn.png")]) == indexer.Deleted(0, 1, False)
    assert failures(collection) == set()


def test_a_deleted_archive_and_a_deleted_table_take_their_failures_with_them(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(photos / "red.png", "one.png")
        tar.add(photos / "red.txt", "two.png")
    (tmp_path / "t.csv").write_text(f"image,caption\n{photos}/red.png,red\n{photos}/none.png,none\n")
    index(tmp_path / "a.tar")
    index(tmp_path / "t.csv")
    assert failures(collection) == {"a.tar#two.png", "none.png"}

    assert indexer.delete(collection, [str(tmp_path / "a.tar")]).failures == 1
    assert indexer.delete(collection, [str(tmp_path / "t.csv")]).failures == 1
    assert failures(collection) == set()


def test_a_deletion_tells_whether_the_next_run_brings_the_items_back(
    index: Index, photos: Path, tmp_path: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("my key", "some words")
    (photos / "green.png").unlink()

    assert not indexer.delete(collection, ["my key"]).still_there
    assert not indexer.delete(collection, [str(photos / "green.png")]).still_there
    assert indexer.delete(collection, [str(photos / "red.png")]).still_there
