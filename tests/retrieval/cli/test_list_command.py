"""``vlsearch list``, and ``vlsearch similar`` with conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run


def names(output: str) -> list[str]:
    return [Path(line).name for line in output.splitlines()]


def test_list_prints_plain_paths_into_a_pipe_and_relative_names_for_people(
    run: Run, collection: Path, indexed_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(indexed_photos)

    piped = run("list", "--sort", "name")
    shown = run("list", "--sort", "name", "--list")

    assert piped.stdout.splitlines() == [
        str(indexed_photos / f"{name}.png") for name in ("blue", "green", "red")
    ]
    assert shown.stdout.splitlines() == ["blue.png", "green.png", "red.png"]


def test_list_takes_conditions_offset_and_limit(run: Run, collection: Path) -> None:
    found = run("list", "--where", "not name = green.png", "--sort", "name", "--offset", "1", "--limit", "5")
    nul = run("list", "--where", "name = red.png", "-0")

    assert names(found.stdout) == ["red.png"]
    assert nul.stdout.endswith("red.png\0")


def test_list_prints_items_as_json_with_their_captions(run: Run, collection: Path) -> None:
    lines = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    texts = [json.loads(line) for line in run("list", "--kind", "text", "--json").stdout.splitlines()]

    assert sorted(len(line["captions"]) for line in lines) == [2, 2, 2]
    assert {line["kind"] for line in texts} == {"text"}
    assert "a red square" in {line["text"] for line in texts}


def test_similar_takes_the_conditions_of_query(run: Run, collection: Path, indexed_photos: Path) -> None:
    found = run("similar", indexed_photos / "red.png", "--where", "name != blue.png")

    assert names(found.stdout) == ["green.png"]


@pytest.mark.parametrize("command", [("list",), ("similar", "red.png")])
def test_a_condition_on_an_unknown_field_is_one_sentence(
    run: Run,
    collection: Path,
    indexed_photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.chdir(indexed_photos)

    done = run(*command, "--where", "colour = red")

    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "no item has a field 'colour'" in done.stderr
