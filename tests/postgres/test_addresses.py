"""Addresses of collections on servers: read, shown without passwords, and refused where they do not go."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer
import retrieval
from retrieval.errors import CollectionError, CollectionNotFound, UsageError
from retrieval.places import ServerAddress
from retrieval.postgres_address import is_address, parse_address
from tests.builders import HashEncoder
from tests.command_line import Run
from tests.postgres_server import new_place, require_server, server

SECRET = "hunter2secret"
ADDRESS = f"postgresql://me:{SECRET}@localhost:1/db/photos"


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_a_password_is_passed_on_and_never_shown(password: str) -> None:
    address = parse_address(
        f"postgresql://me:X{quote(password, safe='')}@db:5433/d/n?password=Y&sslmode=require"
    )

    assert f"X{quote(password, safe='')}" in address.conninfo
    assert str(address) == "postgresql://me@db:5433/d/n?sslmode=require"
    assert parse_address(str(address)).schema == address.schema == "n"
    assert "X" not in repr(address) + str(address)
    assert pickle.loads(pickle.dumps(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://",
        "postgresql:///",
        "postgresql://h/db",
        "postgresql://h/db/",
        "postgresql://h/db/a/b",
        "postgresql://h/db/Photos",
        "postgresql://h/db/pg_catalog",
        "postgresql://h/db/public",
        'postgresql://h/db/a";drop',
        f"postgresql://me:{SECRET}#x@h/db/n",
        f"postgresql://me:{SECRET}/x@h/db/n",
        f"postgresql://me:{SECRET}?x@h/db/n",
        f"postgresql://me:[{SECRET}@h/db/n",
        f"postgresql://me:{SECRET}@h:port/db/n",
        f"postgresql://me:{SECRET}@h/db/n\n",
        "postgresql:/h/db/n",
    ],
)
def test_an_address_of_another_form_is_refused_without_repeating_it(text: str) -> None:
    assert is_address(text)

    with pytest.raises(UsageError, match="the form postgresql://USER@HOST/DATABASE/NAME") as caught:
        parse_address(text)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["photos", "/a/postgresql", "postgresqlx://a/b/c", "http://h/a", "C:/x"])
def test_a_folder_is_not_an_address(text: str) -> None:
    assert not is_address(text)


WRITES: dict[str, Callable[[Any], object]] = {
    "optimize": lambda place: indexer.optimize(place),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("make", [str, Path])
def test_what_is_done_in_folders_alone_refuses_a_server_in_one_sentence_and_makes_nothing(
    name: str, make: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="not possible on a PostgreSQL collection yet; copy it to") as caught:
        WRITES[name](make(ADDRESS))

    assert SECRET not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["relative", "regions"])
def test_what_an_index_run_makes_of_files_is_refused_on_a_server(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: dict[str, Any] = {option: True}

    with pytest.raises(UsageError, match=f"index --{option} is not possible on a PostgreSQL collection yet"):
        indexer.build(".", ADDRESS, model=HashEncoder(), **asked)


def test_an_address_in_a_path_is_refused_by_what_writes_to_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="named by a text, not by a path") as caught:
        indexer.hide(Path(ADDRESS), ["x"])
    assert SECRET not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [["--relative"], ["--regions"], ["--shard", "1/2"]], ids=" ".join)
def test_a_command_that_cannot_do_it_says_how_to_go_on(run: Run, option: list[str], tmp_path: Path) -> None:
    done = run("index", tmp_path, *option, "--quiet", "--collection", ADDRESS)

    assert done.exit_code == 2
    said = f"index {option[0]} is not possible on a PostgreSQL collection yet; copy it to a folder with: vlsearch copy"
    assert said in " ".join(done.stderr.split())
    assert SECRET not in done.output


@pytest.mark.parametrize("command", ["serve", "mcp"])
def test_the_page_and_assistants_say_in_a_sentence_that_a_server_cannot_be_reached(
    run: Run, command: str
) -> None:
    done = run(command, ADDRESS)

    assert done.exit_code == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.output
    assert SECRET not in done.output


def test_a_server_that_does_not_answer_is_one_sentence_without_the_password(run: Run) -> None:
    require_server()

    done = run("info", "--collection", ADDRESS)

    assert done.exit_code == 1
    assert "the server of collection postgresql://me@localhost:1/db/photos cannot be reached (" in done.stderr
    assert SECRET not in done.output
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("option", [f"x={SECRET}", "connect_timeout=no", "port=no", "host=%zz"])
def test_an_option_that_postgresql_does_not_know_is_one_sentence(option: str) -> None:
    require_server()

    with pytest.raises((CollectionError, UsageError), match="address"):
        retrieval.open(f"postgresql://me@localhost:1/db/photos?{option}")


def test_a_collection_that_is_not_there_says_how_to_make_one() -> None:
    place = new_place()

    with pytest.raises(CollectionNotFound, match="make one with: vlsearch index CORPUS"):
        retrieval.open(place)


def test_a_database_without_pgvector_is_one_sentence() -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(server().conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain")
    place = parse_address(server().address("x").replace("/postgres/", "/plain/"))

    with pytest.raises(CollectionError, match="have its administrator run: CREATE EXTENSION vector"):
        retrieval.open(place)


def test_an_address_may_be_the_default_collection(run: Run) -> None:
    require_server()

    done = run("info", env={"VLSEARCH_COLLECTION": ADDRESS})

    assert isinstance(parse_address(ADDRESS), ServerAddress)
    assert "postgresql://me@localhost:1/db/photos" in done.stderr
    assert SECRET not in done.output


def test_the_address_of_a_web_server_is_no_folder_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for ask in (retrieval.open, indexer.open_writer):
        with pytest.raises(UsageError, match=r"ask a vlsearch server with retrieval\.connect") as refused:
            ask("http://someone:secret@127.0.0.1:8642")
        assert "secret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
