"""The cache of what is derived from models: whole entries or none, within a limit, and nothing else removed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from retrieval.encoders.runtimes import derived_cache

KEYS = [f"{number:032x}" for number in range(4)]


def write(folder: Path) -> Mapping[str, Any]:
    (folder / "graph.bin").write_bytes(b"x" * 1000)
    return {"row": [1.0]}


def test_an_entry_is_found_with_its_facts_and_is_private(tmp_path: Path) -> None:
    made = derived_cache.add(KEYS[0], write, tmp_path / "root")

    assert made == derived_cache.find(KEYS[0], tmp_path / "root")
    assert made is not None
    assert made.facts == {"row": [1.0]}
    assert (made.folder / "graph.bin").read_bytes() == b"x" * 1000
    assert made.folder.stat().st_mode & 0o077 == 0
    assert derived_cache.find(KEYS[1], tmp_path / "root") is None


def test_an_entry_that_fails_while_it_is_made_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> Mapping[str, Any]:
        write(folder)
        raise ValueError("the converter does not know this")

    with pytest.raises(ValueError, match="does not know"):
        derived_cache.add(KEYS[0], fail, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fill(folder: Path) -> Mapping[str, Any]:
        raise OSError(28, "No space left on device")

    assert derived_cache.add(KEYS[0], fill, tmp_path) is None
    assert "No space left" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_make_an_entry_the_first_stays(tmp_path: Path) -> None:
    def while_another_is_faster(folder: Path) -> Mapping[str, Any]:
        derived_cache.add(KEYS[0], write, tmp_path)
        return {"row": [2.0]}

    made = derived_cache.add(KEYS[0], while_another_is_faster, tmp_path)

    assert made is not None
    assert made.facts == {"row": [1.0]}


def test_beyond_the_limit_the_entries_that_were_not_used_for_longest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age, key in zip((300, 100, 200), KEYS, strict=False):
        entry = derived_cache.add(key, write, tmp_path)
        assert entry is not None
        os.utime(entry.folder / "facts.json", (1e9 - age, 1e9 - age))
    monkeypatch.setattr(derived_cache, "LARGEST_BYTES", 3000)

    derived_cache.add(KEYS[3], write, tmp_path)

    left = {key for key in KEYS if derived_cache.find(key, tmp_path)}
    assert left == {KEYS[1], KEYS[3]}


def test_clearing_removes_entries_and_unfinished_ones_and_touches_nothing_else(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    derived_cache.add(KEYS[0], write, root)
    for folder in (root / ".new-abc", root / "notes", outside):
        folder.mkdir()
        (folder / "file").write_text("text")
    (root / KEYS[1]).symlink_to(outside)

    freed = derived_cache.clear(root)

    assert freed > 1000
    assert sorted(path.name for path in root.iterdir()) == [KEYS[1], "notes"]
    assert (outside / "file").exists()
    assert derived_cache.clear(tmp_path / "missing") == 0
