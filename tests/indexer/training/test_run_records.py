"""Records of a run: what a folder is known by, what a refused call leaves, and how two runs' settings differ."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.training.record import (
    LOCK,
    SETTINGS,
    MetricsLog,
    differences,
    read_settings,
    write_settings,
)
from retrieval.errors import TrainingError
from tests.command_line import vlsearch

SETTINGS_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, min_size=1, max_size=3),
    max_leaves=6,
)
FACTS = st.dictionaries(st.text("xyz", min_size=1, max_size=2), SETTINGS_VALUES, max_size=4)


def test_settings_that_are_written_are_read_back(tmp_path: Path) -> None:
    facts = {"command": "vlsearch train ä", "settings": {"epochs": 3, "out": str(tmp_path)}}

    write_settings(tmp_path, facts)

    assert read_settings(tmp_path) == facts
    assert [file.name for file in tmp_path.iterdir()] == [SETTINGS]


@pytest.mark.parametrize("left", [[], [LOCK], [f".{SETTINGS}.draft"], [LOCK, f".{SETTINGS}.draft"]])
def test_a_folder_with_no_more_than_a_refused_call_leaves_is_free(tmp_path: Path, left: list[str]) -> None:
    for name in left:
        (tmp_path / name).touch()

    assert read_settings(tmp_path) is None
    assert read_settings(tmp_path / "not there") is None


def test_a_folder_with_files_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    (tmp_path / "holiday.jpg").touch()

    with pytest.raises(TrainingError, match="holds files and no training run"):
        read_settings(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"settings": 3}', b"\xff", b"null", b'"a"'])
def test_damaged_settings_are_named_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SETTINGS).write_bytes(content)

    with pytest.raises(TrainingError, match=r"run\.json is damaged .*; delete the folder to start again"):
        read_settings(tmp_path)


def test_a_call_that_was_refused_can_be_made_again_in_the_same_folder(tmp_path: Path) -> None:
    """A mistyped corpus costs one sentence, and no other name for the run."""
    said = []
    for _ in range(2):
        done = vlsearch("train", tmp_path / "none.csv", "--out", tmp_path / "run")
        said.append((done.exit_code, done.stderr))

    assert said[0] == said[1]
    assert "there is no such file or folder" in said[1][1]


@given(FACTS)
def test_equal_settings_do_not_differ(facts: dict[str, object]) -> None:
    assert differences(facts, facts) == ""
    assert differences(json.loads(json.dumps(facts)), dict(reversed(facts.items()))) == ""


@given(FACTS, st.text("xyz", min_size=1, max_size=2))
def test_a_setting_that_differs_is_named_with_both_values(facts: dict[str, object], name: str) -> None:
    before = {**facts, name: "old"}
    now = {**facts, name: "new"}

    assert differences(before, now) == f"{name} was old and is new"


def test_nested_settings_have_dotted_names_and_four_are_shown() -> None:
    before = {"recipe": {f"r{number}": number for number in range(6)}}
    now = {"recipe": {f"r{number}": -1 for number in range(6)}}

    said = differences(before, now)

    assert said.startswith("recipe.r0 was 0 and is -1; ")
    assert said.endswith("; and 2 more")
    assert said.count(" was ") == 4


@settings(max_examples=30)
@given(st.lists(FACTS, max_size=5), st.integers(0, 5))
def test_a_log_that_is_cut_back_holds_the_lines_before_the_cut(
    lines: list[dict[str, object]], kept: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = MetricsLog(Path(folder) / "metrics.jsonl")
        sizes = [log.size()]
        for line in lines:
            log.write(line)
            sizes.append(log.size())
        kept = min(kept, len(lines))

        log.cut(sizes[kept])

        assert list(log.lines()) == lines[:kept]
        log.cut(10**9)  # never longer than it is
        assert log.size() == sizes[kept]


def test_a_log_that_is_not_there_is_empty_and_cutting_it_makes_none(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")

    log.cut(5)

    assert (log.size(), list(log.lines())) == (0, [])
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "none" / "metrics.jsonl")

    with pytest.raises(TrainingError, match=r"metrics\.jsonl"):
        log.write({"step": 1})
