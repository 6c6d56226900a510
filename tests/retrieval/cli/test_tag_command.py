"""``vlsearch tag``, with the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run

CAT = Path(__file__).resolve().parents[3] / "retrieval" / "cli" / "demo_photographs" / "chelsea.jpg"


@pytest.fixture
def collection(tmp_path: Path, run: Run) -> Path:
    """A collection of one photograph, of a cat."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(CAT.read_bytes())
    run("index", tmp_path / "photos", "--collection", tmp_path / "c", "--model", "mini", "-q")
    return tmp_path / "c"


def test_a_cat_is_tagged_in_both_languages_found_by_it_and_the_tags_taken_off(
    collection: Path, run: Run
) -> None:
    dry = run("tag", "--collection", collection, "--dry-run")
    assert dry.stdout.split("\t")[1].startswith("cat 0.9")
    assert "1 would be tagged" in dry.stderr
    assert run("list", "--collection", collection, "--where", "tags contains cat").exit_code == 2

    done = run("tag", "--collection", collection)
    assert done.stdout.splitlines()[0].split() == ["1", "cat", "猫"]
    assert "1 picture: 1 tagged, 0 without a likely name, 1 changed  (mini-8, everyday 1" in done.stderr

    hits = run(
        "query", "an animal", "--collection", collection, "--where", "tags contains 猫 and tag:cat > 0.8"
    )
    assert hits.stdout.endswith("cat.jpg\n")
    fields = run("info", "--attributes", "--collection", collection).stdout
    assert "tag:NAME" in fields
    assert "tag:cat" not in fields

    removed = run("tag", "--remove", "--collection", collection)
    assert removed.stdout.startswith("1 picture in ")
    assert run("list", "--collection", collection, "--where", "tags contains cat").stdout == ""


def test_json_has_an_object_a_picture(collection: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\tKatze\nrocket\n", encoding="utf-8")

    done = run("tag", "--vocabulary", tmp_path / "names.txt", "--json", "-q", "--collection", collection)

    (facts,) = map(json.loads, done.stdout.splitlines())
    assert facts["path"].endswith("cat.jpg")
    assert [(one["name"], one["other"]) for one in facts["tags"]] == [("cat", "Katze")]
    assert 0.5 <= facts["tags"][0]["probability"] <= 1
    assert done.stderr == ""


def test_mistakes_are_one_sentence(collection: Path, run: Run, tmp_path: Path) -> None:
    both = run("tag", "--remove", "--json", "--collection", collection)
    gone = run("tag", "--vocabulary", tmp_path / "gone.txt", "--collection", collection)

    assert (both.exit_code, gone.exit_code) == (2, 2)
    assert "--remove takes off all tags" in both.stderr
    assert "cannot be read: No such file" in gone.stderr
