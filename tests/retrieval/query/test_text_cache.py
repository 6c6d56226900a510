"""Texts that were asked before need no model; the cache of their vectors changes no answer and breaks nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import retrieval
from retrieval.errors import UsageError
from retrieval.identity import Identity
from retrieval.query import text_cache
from retrieval.query.text_cache import FILE, find_vectors, forget_vectors, keep_vectors
from retrieval.sqlite_cache import VARIABLE
from tests.builders import Fill, HashEncoder, unit_rows

IDENTITY = HashEncoder().identity
OTHER = HashEncoder("1" * 64, "other").identity


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an empty cache."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / FILE


def vector(seed: int) -> NDArray[np.float32]:
    row: NDArray[np.float32] = unit_rows(1, seed=seed)[0]
    return row


def found(text: str, identity: Identity = IDENTITY) -> NDArray[np.float32] | None:
    return find_vectors(identity, [text]).get(text)


def change(cache: Path, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(cache)) as opened, opened:
        opened.execute(sql, parameters)


def test_a_vector_comes_back_bit_for_bit(cache: Path) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1), "狗": vector(2)})

    assert {
        text: row.tobytes() for text, row in find_vectors(IDENTITY, ["a dog", "狗", "a cat"]).items()
    } == {
        "a dog": vector(1).tobytes(),
        "狗": vector(2).tobytes(),
    }


def test_a_vector_is_found_for_its_own_encoder_alone(cache: Path) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1)})

    assert found("a dog", OTHER) is None


@pytest.mark.parametrize("name", ["VLSEARCH_RUNTIME", "VLSEARCH_PRECISION"])
def test_a_vector_by_another_runtime_or_precision_is_another_one(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1)})

    monkeypatch.setenv(name, {"VLSEARCH_RUNTIME": "torch", "VLSEARCH_PRECISION": "float32"}[name])

    assert found("a dog") is None


def test_after_a_package_was_installed_vectors_are_computed_anew(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    os.utime(packages, (1, 1))
    monkeypatch.syspath_prepend(str(packages))
    keep_vectors(IDENTITY, {"a dog": vector(1)})
    assert found("a dog") is not None

    (packages / "numpy-9.dist-info").mkdir()

    assert found("a dog") is None


def test_texts_do_not_stand_in_the_file(cache: Path) -> None:
    keep_vectors(IDENTITY, {"my own name": vector(1)})

    assert b"own name" not in cache.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_the_file_is_its_owners_alone(cache: Path) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1)})

    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700


def test_switched_off_nothing_is_kept_or_looked_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1)})
    before = cache.read_bytes()

    monkeypatch.setenv(VARIABLE, "off")
    keep_vectors(IDENTITY, {"a cat": vector(2)})

    assert found("a dog") is None
    assert cache.read_bytes() == before


WRONG = [
    b"",
    b"\0" * 7,
    (2 * vector(1)).tobytes(),
    np.full(16, np.nan, np.float32).tobytes(),
    np.zeros(16, np.float32).tobytes(),
    np.append(vector(1), 0).astype(np.float32).tobytes(),
    "text",
    5,
    1.5,
]


@pytest.mark.parametrize("stored", WRONG)
def test_a_row_that_is_not_a_unit_vector_of_the_dimension_counts_as_none(cache: Path, stored: object) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1)})

    change(cache, "UPDATE vectors SET vector = ?", stored)

    assert found("a dog") is None


def damaged_in_the_middle(cache: Path) -> None:
    data = bytearray(cache.read_bytes())
    data[4096:] = b"\xff" * len(data[4096:])
    cache.write_bytes(data)


DAMAGE: list[Callable[[Path], object]] = [
    lambda cache: cache.write_bytes(b"not SQLite, " * 1000),
    lambda cache: cache.write_bytes(b""),
    damaged_in_the_middle,
    lambda cache: change(cache, "ALTER TABLE vectors RENAME TO others"),
    lambda cache: change(cache, "CREATE TRIGGER t AFTER UPDATE ON vectors BEGIN DELETE FROM vectors; END"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_as_if_it_were_not_there_and_the_next_one_is_whole(
    cache: Path, damage: Callable[[Path], object]
) -> None:
    keep_vectors(IDENTITY, {f"text {number}": vector(number) for number in range(300)})
    damage(cache)

    assert found("text 1") is None
    for _ in range(2):  # the first attempt may be what finds the damage
        keep_vectors(IDENTITY, {"a cat": vector(2)})

    kept = found("a cat")
    assert kept is not None
    assert kept.tobytes() == vector(2).tobytes()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_is_left_alone(cache: Path, mode: int) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1)})
    cache.chmod(mode)

    keep_vectors(IDENTITY, {"a cat": vector(2)})

    assert found("a dog") is None
    cache.chmod(0o600)
    assert found("a cat") is None


def test_neither_a_link_nor_a_folder_in_its_place_is_followed_or_removed(cache: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    cache.parent.mkdir()
    cache.symlink_to(target)

    keep_vectors(IDENTITY, {"a dog": vector(1)})
    assert (found("a dog"), target.read_bytes()) == (None, b"mine")

    cache.unlink()
    cache.mkdir()
    keep_vectors(IDENTITY, {"a dog": vector(1)})
    assert (found("a dog"), cache.is_dir()) == (None, True)


def test_where_the_folder_cannot_be_made_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))

    keep_vectors(IDENTITY, {"a dog": vector(1)})

    assert found("a dog") is None


def test_a_file_that_another_process_writes_is_not_waited_for(cache: Path) -> None:
    keep_vectors(IDENTITY, {"a dog": vector(1)})
    with closing(sqlite3.connect(cache, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        keep_vectors(IDENTITY, {"a cat": vector(2)})
        assert found("a dog") is None

        other.execute("ROLLBACK")
    assert found("a dog") is not None
    assert found("a cat") is None


@pytest.mark.parametrize("limit", ["MOST_ROWS", "MOST_BYTES"])
def test_what_was_not_asked_for_longest_makes_room(
    cache: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    days = iter(range(10_000))
    monkeypatch.setattr(text_cache, "_today", lambda: next(days))
    monkeypatch.setattr(text_cache, limit, 50 if limit == "MOST_ROWS" else 50 * 64)

    for number in range(60):
        keep_vectors(IDENTITY, {f"text {number}": vector(number)})
        assert found("text 0") is not None  # asked for every day

    with closing(sqlite3.connect(cache)) as opened:
        ((count,),) = opened.execute("SELECT count(*) FROM vectors")
    assert 40 <= count <= 50
    assert found("text 1") is None
    assert found("text 59") is not None


def test_a_vector_of_very_many_dimensions_is_not_kept(cache: Path) -> None:
    wide = Identity("wide", "test", "0" * 64, "", 2**20, "{}")

    keep_vectors(wide, {"a dog": np.full(2**20, 2.0**-10, np.float32)})

    assert not cache.exists()


def test_without_new_texts_no_file_is_made(cache: Path) -> None:
    keep_vectors(IDENTITY, {})

    assert not cache.exists()


def test_forgetting_deletes_the_file(cache: Path) -> None:
    assert forget_vectors() is None
    keep_vectors(IDENTITY, {"a dog": vector(1)})

    assert forget_vectors() == cache

    assert not cache.exists()


def test_many_processes_keep_and_find_at_once(cache: Path) -> None:
    code = (
        "from tests.retrieval.query.test_text_cache import *;"
        "[keep_vectors(IDENTITY, {f'{n}': vector(n)}) for n in range(40)];"
        "rows = find_vectors(IDENTITY, [f'{n}' for n in range(40)]);"
        "assert all(row.tobytes() == vector(int(text)).tobytes() for text, row in rows.items())"
    )
    root = Path(__file__).parents[3]
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for _ in range(2)]

    assert [process.wait() for process in processes] == [0, 0]
    with closing(sqlite3.connect(cache)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert opened.execute("SELECT count(*) FROM vectors").fetchone() > (0,)


@pytest.fixture
def filled(fill: Fill) -> Path:
    """A collection of two pictures by a HashEncoder."""
    return fill({"red.png": (200, 0, 0), "blue.png": (0, 0, 200)})


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[HashEncoder]:
    """The encoders that were loaded by name."""
    made: list[HashEncoder] = []

    def load(identity: Identity) -> HashEncoder:
        made.append(HashEncoder())
        return made[-1]

    monkeypatch.setattr("retrieval.encoders.registry.load_bound_encoder", load)
    return made


def test_a_text_that_was_asked_in_another_process_loads_no_encoder(
    cache: Path, loads: list[HashEncoder], filled: Path
) -> None:
    with retrieval.open(filled) as engine:
        first = engine.search("words that it does not hold")
    assert len(loads) == 1

    with retrieval.open(filled) as engine:
        again = engine.search("words that it does not hold")
        same = engine.search(" words that it does not hold\n")

    assert len(loads) == 1
    assert [(hit.id, hit.score) for hit in first] == [(hit.id, hit.score) for hit in again]
    assert again == same


def test_a_text_that_is_new_beside_known_ones_loads_the_encoder_once(
    cache: Path, loads: list[HashEncoder], filled: Path
) -> None:
    with retrieval.open(filled) as engine:
        engine.search("known words")
    loads.clear()

    with retrieval.open(filled) as engine:
        engine.search(["known words", "new words"])
        engine.search("others")

    assert [encoder.encoded for encoder in loads] == [["new words", "others"]]


def test_what_an_encoder_of_the_callers_gives_is_never_kept(cache: Path, filled: Path) -> None:
    with retrieval.open(filled, encoder=HashEncoder()) as engine:
        engine.search("words that it does not hold")

    assert not cache.exists()


def test_a_runtime_that_does_not_exist_is_a_sentence_for_known_texts_too(
    cache: Path, loads: list[HashEncoder], filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with retrieval.open(filled) as engine:
        engine.search("known words")

    monkeypatch.setenv("VLSEARCH_RUNTIME", "abacus")

    with retrieval.open(filled) as engine, pytest.raises(UsageError, match="abacus"):
        engine.search("known words")
