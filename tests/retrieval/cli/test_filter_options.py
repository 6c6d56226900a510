"""``vlsearch query`` with conditions, and the fields that ``vlsearch info --attributes`` lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run, fill_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("filter_options")


@pytest.fixture(scope="module")
def dated(run: Run, folder: Path, model: Path) -> Path:
    """A collection of three pictures with attributes; no test changes it."""
    photos = fill_photos(folder / "photos")
    facts: dict[str, dict[str, str | float]] = {
        "red": {"taken": "2021-05-03T10:00:00", "camera": "Canon R5", "lat": 48.1, "lon": 11.5},
        "green": {"taken": "2020-01-01T10:00:00", "camera": "Nikon"},
        "blue": {"taken": "2022-02-02T10:00:00", "camera": "canon 5D", "lat": 0, "lon": 0},
    }
    table = folder / "photos.jsonl"
    table.write_text(
        "".join(json.dumps({"image": f"photos/{name}.png", **more}) + "\n" for name, more in facts.items()),
        encoding="utf-8",
    )
    collection = folder / "dated"
    done = run("index", table, "--collection", collection, "--model", model)
    assert done.exit_code == 0, done.output
    assert photos.is_dir()
    return collection


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--after", "2021"], ["blue", "red"]),
        (["--after", "2021", "--before", "2022"], ["red"]),
        (["--camera", "CANON"], ["blue", "red"]),
        (["--camera", "canon", "--near", "48.14,11.58,10km"], ["red"]),
        (["--where", "camera = nikon"], ["green"]),
        (["--where", "taken > 2020", "--where", "not camera contains 5D"], ["red"]),
        (["--in", "photos", "--in", "elsewhere"], ["blue", "green", "red"]),
        (["--in", "photos", "--offset", "2", "--sort", "name", "--min-score", "-1"], None),
    ],
)
def test_options_narrow_down_what_is_found(
    run: Run,
    dated: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    names: list[str] | None,
) -> None:
    monkeypatch.chdir(folder)

    done = run("query", "a red square", "--collection", dated, *options)

    assert done.exit_code == 0, done.output
    found = [Path(line).stem for line in done.stdout.splitlines()]
    assert sorted(found) == names if names is not None else len(found) == 1


def test_sort_gives_the_newest_first(run: Run, dated: Path) -> None:
    done = run("query", "a red square", "--collection", dated, "--sort", "taken")

    assert [Path(line).stem for line in done.stdout.splitlines()] == ["blue", "red", "green"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--where", "taken >"], "a value is expected"),
        (["--where", ""], "the condition is empty"),
        (["--where", "width = wide"], "width is a number"),
        (["--after", "soon"], "--after 'soon' is not a date"),
        (["--near", "48.14"], "--near '48.14' is not a place; write it as 48.14,11.58,10km"),
        (["--near", "1,1,1) or near(2,2,2"], "is not a place"),
        (["--near", "100,0,1km"], "there is no place at 100, 0"),
        (["--in", ""], "--in is empty"),
        (["--camera", "x", "--where", "lens = y"], "no item has a field 'lens'"),
    ],
)
def test_a_wrong_condition_is_one_sentence_and_exit_code_2(
    run: Run, dated: Path, options: list[str], said: str
) -> None:
    done = run("query", "a red square", "--collection", dated, *options)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_condition_that_nothing_meets_is_told(run: Run, dated: Path) -> None:
    done = run("query", "a red square", "--collection", dated, "--after", "2030")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "Note: nothing that could be found meets the condition\n"


def test_info_lists_the_fields_for_people_and_programs(run: Run, dated: Path) -> None:
    people = run("info", "--attributes", "--collection", dated).stdout
    programs = [
        json.loads(line)
        for line in run("info", "--attributes", "--json", "--collection", dated).stdout.splitlines()
    ]

    assert "camera   text     3 values: canon 5D, Canon R5, Nikon\n" in people
    assert "taken    date     3 values, 2020-01-01T10:00:00 to 2022-02-02T10:00:00\n" in people
    assert {"lat", "folder", "camera"} <= {one["name"] for one in programs}
    assert run("info", "--attributes", "--hidden", "--collection", dated).exit_code == 2
