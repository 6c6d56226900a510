"""A digest is computed once, and again as soon as a file may have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retrieval.errors import ModelError
from retrieval.hub.weights_digest import file_digest, remembered_digest

LONG_AGO = 1_000_000_000_000_000_000  # ns since 1970


class Computed:
    """A digest, and how often it was computed."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> str:
        self.times += 1
        return f"{self.times:064x}"


def old_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


def test_a_digest_is_computed_once_while_its_files_stay_as_they_are(tmp_path: Path) -> None:
    files, compute = [old_file(tmp_path / name, b"weights") for name in "ab"], Computed()

    found = {remembered_digest(files, "rule", compute, tmp_path / "cache") for _ in range(3)}

    assert (len(found), compute.times) == (1, 1)


def test_another_rule_over_the_same_files_is_another_digest(tmp_path: Path) -> None:
    files, compute = [old_file(tmp_path / "a", b"weights")], Computed()

    one, other = (remembered_digest(files, rule, compute, tmp_path / "cache") for rule in ("one", "other"))

    assert one != other


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no time of the last change of a file's state")
def test_a_file_of_the_same_size_and_time_in_its_place_is_read_anew(tmp_path: Path) -> None:
    file = old_file(tmp_path / "model.safetensors", b"weights")
    before = file_digest(file, tmp_path / "cache")

    old_file(tmp_path / "new", b"WEIGHTS").replace(file)

    assert file_digest(file, tmp_path / "cache") != before


def test_a_file_that_was_just_written_is_read_every_time(tmp_path: Path) -> None:
    file, compute = tmp_path / "weights", Computed()
    file.write_bytes(b"weights")

    for _ in range(2):
        remembered_digest([file], "rule", compute, tmp_path / "cache")

    assert compute.times == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": [], "sha256": "x"}', b"\xff" * 9])
def test_a_note_that_is_damaged_counts_as_none(tmp_path: Path, content: bytes) -> None:
    file, cache = old_file(tmp_path / "weights", b"weights"), tmp_path / "cache"
    before = file_digest(file, cache)
    (note,) = cache.iterdir()
    note.write_bytes(content)

    assert file_digest(file, cache) == before


def test_where_the_cache_cannot_be_written_the_file_is_read_again(tmp_path: Path) -> None:
    file, cache = old_file(tmp_path / "weights", b"weights"), tmp_path / "cache"
    cache.write_text("not a folder")

    assert file_digest(file, cache) == file_digest(file, cache)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="weights cannot be read"):
        file_digest(tmp_path / "weights", tmp_path / "cache")
