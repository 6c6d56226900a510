"""Duplicates of a collection on a server are those of the folder, and decisions about them hold there too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import indexer
from tests.command_line import Run
from tests.photographs import PixelEncoder, fill_with_copies
from tests.postgres_server import new_address


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what was seen of pictures from one command to the next."""
    monkeypatch.setenv("VLSEARCH_QUERY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return fill_with_copies(tmp_path / "pictures")


@pytest.fixture
def both(tmp_path: Path, pictures: Path) -> tuple[str, str]:
    """A collection in a folder, and its copy on a server."""
    address = new_address()
    indexer.build(pictures, tmp_path / "collection", model=PixelEncoder())
    indexer.copy_collection(tmp_path / "collection", address)
    return str(tmp_path / "collection"), address


def found(run: Run, place: str, *options: str) -> list[dict[str, Any]]:
    done = run("duplicates", "--json", "--quiet", "--collection", place, *options)
    assert (done.exit_code, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_groups_are_those_of_the_folder_and_so_are_decisions(
    run: Run, both: tuple[str, str], pictures: Path
) -> None:
    of_folder, of_server = (found(run, place) for place in both)
    assert [group["class"] for group in of_server] == ["bytes", "picture", "moment"]
    assert of_server == of_folder

    mirrored = [pictures / "a.jpg", pictures / "mirrored.jpg"]
    said = [run("duplicates", "--keep", *mirrored, "--collection", place).output for place in both]
    assert len({one.partition("--collection ")[0] for one in said}) == 1
    assert [group["class"] for group in found(run, both[1])] == ["bytes", "moment"]
    assert found(run, both[1], "--kept") == of_folder
    assert indexer.doctor(both[1]).faults == ()

    forgotten = run("duplicates", "--forget", pictures / "mirrored.jpg", "--collection", both[1])
    assert forgotten.stdout == "1 decision taken back\n"
    assert found(run, both[1]) == of_folder


def test_the_summary_names_the_server_without_its_password(run: Run, both: tuple[str, str]) -> None:
    address = both[1].replace("postgres@", "postgres:hunter2@")

    done = run("duplicates", "--only", "bytes", "--collection", address)
    unknown = run("duplicates", "--keep", "nowhere.jpg", "--collection", address)

    assert f"6 pictures in {both[1]}, 1 group of equal files" in done.stderr
    assert f"collection {both[1]}: nowhere.jpg names no picture in it" in unknown.stderr
    assert "hunter2" not in done.output + unknown.output
