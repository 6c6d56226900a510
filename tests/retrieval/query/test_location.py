"""Which collection is meant where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import CollectionNotFound
from retrieval.query.location import collection_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VLSEARCH_COLLECTION", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    return tmp_path


def test_a_path_that_is_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLSEARCH_COLLECTION", "/from/environment")

    assert collection_path("/given") == Path("/given")


def test_the_environment_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLSEARCH_COLLECTION", "~/photos")

    assert collection_path() == Path("~/photos").expanduser()


@pytest.mark.parametrize("value", [None, ""])
def test_without_either_it_is_one_folder_in_the_users_data(
    value: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("VLSEARCH_COLLECTION", value)

    assert collection_path().is_relative_to(home)
    assert collection_path().parts[-2:] == ("vlsearch", "default")


def test_asking_creates_nothing(home: Path) -> None:
    collection_path()

    assert list(home.iterdir()) == []


def test_python_opens_the_same_default_as_the_command_line(home: Path) -> None:
    with pytest.raises(CollectionNotFound) as caught:
        retrieval.open()

    assert caught.value.path == collection_path()


@pytest.mark.parametrize("name", ["~nobody-of-that-name/c", "~0"])
def test_a_home_that_nobody_has_is_a_name_like_any_other(name: str) -> None:
    assert collection_path(name) == Path(name)
