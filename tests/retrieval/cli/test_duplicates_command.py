"""``vlsearch duplicates``: groups of three classes, decisions, and nothing changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from retrieval.duplicates import print_cache
from tests.command_line import Run
from tests.photographs import PixelEncoder, fill_with_copies, photograph, save_photograph


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill_with_copies(tmp_path / "pictures")


@pytest.fixture
def collection(folder: Path, tmp_path: Path) -> Path:
    indexer.build(folder, tmp_path / "collection", model=PixelEncoder())
    return tmp_path / "collection"


def groups_of(run: Run, collection: Path, *options: str) -> list[dict[str, Any]]:
    result = run("duplicates", "--json", "--collection", collection, *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def named(groups: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    return [
        (group["class"], [copy["path"].rpartition("/")[2] for copy in group["copies"]]) for group in groups
    ]


ALL = [
    ("bytes", ["a.jpg", "a (1).jpg"]),
    ("picture", ["a.jpg", "mirrored.jpg"]),
    ("moment", ["frame1.jpg", "frame2.jpg"]),
]


def test_each_class_has_groups_of_its_own_the_best_copy_first(run: Run, collection: Path) -> None:
    groups = groups_of(run, collection)

    assert named(groups) == ALL or named(groups) == [*ALL[:2], ("moment", ["frame2.jpg", "frame1.jpg"])]
    assert [group["why"] for group in groups[:2]] == ["not named a copy", "most pixels"]
    assert [copy["best"] for copy in groups[1]["copies"]] == [True, False]


@pytest.mark.parametrize("kind", ["bytes", "picture", "moment"])
def test_one_class_can_be_asked_for_alone(run: Run, collection: Path, kind: str) -> None:
    assert {group["class"] for group in groups_of(run, collection, "--only", kind)} == {kind}


def test_pictures_taken_further_apart_are_of_other_moments(run: Run, collection: Path) -> None:
    assert groups_of(run, collection, "--only", "moment", "--within", "2") == []


def test_nothing_is_changed(run: Run, collection: Path, folder: Path) -> None:
    files = {path: path.read_bytes() for path in folder.iterdir()}
    with retrieval.open(collection) as engine:
        generation = engine.collection.generation

    groups_of(run, collection)

    assert {path: path.read_bytes() for path in folder.iterdir()} == files
    with retrieval.open(collection) as engine:
        assert engine.collection.generation == generation


def test_what_is_kept_is_not_listed_again_until_a_further_copy_comes(
    run: Run, collection: Path, folder: Path
) -> None:
    kept = run("duplicates", "--keep", folder / "a.jpg", folder / "mirrored.jpg", "--collection", collection)
    assert kept.exit_code == 0, kept.output
    assert kept.stdout.endswith(
        f": vlsearch duplicates --forget {folder / 'a.jpg'} --collection {collection}\n"
    )

    assert "picture" not in [kind for kind, _ in named(groups_of(run, collection))]
    assert "bytes" in [kind for kind, _ in named(groups_of(run, collection))]
    assert ALL[1] in named(groups_of(run, collection, "--kept"))

    (folder / "mirrored.jpg").rename(folder / "renamed.jpg")
    save_photograph(photograph(1).resize((200, 150)), folder / "further.jpg")
    indexer.build(folder, collection, model=PixelEncoder(), prune=True)

    assert ("picture", ["a.jpg", "further.jpg", "renamed.jpg"]) in named(groups_of(run, collection))


def test_a_decision_is_taken_back(run: Run, collection: Path, folder: Path) -> None:
    run("duplicates", "--keep", folder / "a.jpg", "--collection", collection)
    assert "bytes" not in [kind for kind, _ in named(groups_of(run, collection))]

    result = run("duplicates", "--forget", folder / "a (1).jpg", "--collection", collection)

    assert result.stdout == "1 decision taken back\n"
    assert ALL[0] in named(groups_of(run, collection))


def test_decisions_leave_the_collection_sound(run: Run, collection: Path, folder: Path) -> None:
    run("duplicates", "--keep", folder / "a.jpg", folder / "mirrored.jpg", "--collection", collection)

    assert indexer.doctor(collection).faults == ()


def test_lines_for_pipes_have_group_class_rank_and_path(run: Run, collection: Path, folder: Path) -> None:
    result = run("duplicates", "--only", "bytes", "--collection", collection)

    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines == [
        ["1", "bytes", "best", str(folder / "a.jpg")],
        ["1", "bytes", "other", str(folder / "a (1).jpg")],
    ]
    assert "6 pictures in" in result.stderr
    assert "1 group of equal files" in result.stderr


def test_people_see_sizes_and_why_a_copy_is_the_best(run: Run, collection: Path) -> None:
    shown = run("duplicates", "--list", "--collection", collection).stdout

    assert "The same picture in other files" in shown
    assert "320 x 240" in shown
    assert "(most pixels)" in shown


def test_a_file_that_has_changed_since_is_not_looked_at(run: Run, collection: Path, folder: Path) -> None:
    shutil.copy(folder / "a.jpg", folder / "alone.jpg")  # other bytes than were indexed
    (folder / "frame2.jpg").unlink()

    result = run("duplicates", "--only", "picture", "--json", "--collection", collection)

    assert named([json.loads(line) for line in result.stdout.splitlines()]) == [ALL[1]]
    assert "2 pictures could not be looked at" in result.stderr


def test_hidden_pictures_are_left_out(run: Run, collection: Path, folder: Path) -> None:
    indexer.hide(collection, [str(folder / "mirrored.jpg")])

    assert "picture" not in [kind for kind, _ in named(groups_of(run, collection))]


def test_the_second_time_no_picture_is_decoded(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSEARCH_QUERY_CACHE", str(tmp_path / "cache"))
    with retrieval.open(collection) as engine:
        first = engine.duplicates()
        monkeypatch.setattr("retrieval.duplicates.fingerprinting.DecodePool", None)

        assert engine.duplicates() == first


@pytest.mark.parametrize("damage", [b"", b"not a database" * 100])
def test_a_damaged_cache_is_as_if_it_were_not_there(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setenv("VLSEARCH_QUERY_CACHE", str(tmp_path))
    (tmp_path / print_cache.FILE).write_bytes(damage)
    (tmp_path / print_cache.FILE).chmod(0o600)

    with retrieval.open(collection) as engine:
        assert len(engine.duplicates().groups) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.jpg"], "names go with --keep or --forget"),
        (["--keep"], "name the pictures to keep"),
        (["--keep", "--forget", "a.jpg"], "contradict each other"),
        (["--keep", "nowhere.jpg"], "nowhere.jpg names no picture in it"),
        (["--keep", ""], "is empty"),
    ],
)
def test_a_mistake_gets_a_sentence(run: Run, collection: Path, arguments: list[str], sentence: str) -> None:
    result = run("duplicates", *arguments, "--collection", collection)

    assert result.exit_code == 2
    assert sentence in result.stderr
