"""``deploy/compose.yaml``, as far as it can be checked without a daemon; tests/postgres starts it as processes."""

from __future__ import annotations

import click
import pytest

from retrieval.cli import main
from retrieval.places import ServerAddress
from retrieval.postgres_address import place_of
from retrieval.server.access import Hosts
from retrieval.server.settings import ServerSettings
from tests.postgres.compose import FILE, Service, services

VARIABLES = {"DATABASE_PASSWORD": "secret", "VLSEARCH_TOKEN": "token", "PICTURES": "/home/me/Pictures"}


@pytest.fixture
def found() -> dict[str, Service]:
    pytest.importorskip("yaml")
    return services(VARIABLES)


def test_there_are_a_database_a_worker_that_indexes_and_two_servers(found: dict[str, Service]) -> None:
    assert set(found) == {"database", "index", "server-1", "server-2"}
    for name in ("index", "server-1", "server-2"):
        assert found[name].facts["depends_on"] == {"database": {"condition": "service_healthy"}}
        assert found[name].facts["build"] == ".."
        assert found[name].facts["restart"] == "unless-stopped"


def test_all_use_the_collection_that_lies_in_the_database(found: dict[str, Service]) -> None:
    made = found["database"].environment
    for name in ("index", "server-1", "server-2"):
        place = place_of(found[name].environment["VLSEARCH_COLLECTION"])

        assert isinstance(place, ServerAddress)
        assert place.conninfo == f"postgresql://{made['POSTGRES_USER']}@database/{made['POSTGRES_DB']}"
        assert found[name].environment["PGPASSWORD"] == made["POSTGRES_PASSWORD"] == "secret"


def test_the_database_has_pgvector_and_keeps_its_files(found: dict[str, Service]) -> None:
    volumes = dict(volume.split(":")[:2] for volume in found["database"].facts["volumes"])

    assert found["database"].facts["image"] == "pgvector/pgvector:pg18"
    assert volumes["database"] == "/var/lib/postgresql"  # from 18 on, with a folder for each version in it
    (script,) = (name for name, at in volumes.items() if at.startswith("/docker-entrypoint-initdb.d/"))
    assert "CREATE EXTENSION vector;" in (FILE.parent / script).read_text(encoding="utf-8")


def test_commands_are_there_and_take_their_options(found: dict[str, Service]) -> None:
    loop = found["index"].command[-1]
    assert loop.endswith("sleep 60; done")
    for words in (found["server-1"].command, loop.partition("do ")[2].partition(";")[0].split()):
        command = main.get_command(click.Context(main), words[1])
        assert words[0] == "vlsearch"
        assert command is not None
        command.make_context(words[1], list(words[2:]))


def test_each_server_is_reached_by_the_port_that_it_listens_on(found: dict[str, Service]) -> None:
    asked = {}
    for name in ("server-1", "server-2"):
        command = main.get_command(click.Context(main), "serve")
        assert command is not None
        (mapping,) = found[name].facts["ports"]
        host, outside, inside = mapping.split(":")
        settings = command.make_context("serve", list(found[name].command[2:])).params
        assert Hosts(ServerSettings(settings["host"], token="a token of the tests"), int(inside)).allow(
            f"{host}:{outside}"
        )
        assert settings["port"] == int(inside)
        asked[name] = outside
    assert asked["server-1"] != asked["server-2"]


def test_who_may_ask_is_set_before_anything_starts(found: dict[str, Service]) -> None:
    for name in ("DATABASE_PASSWORD", "VLSEARCH_TOKEN", "PICTURES"):
        with pytest.raises(KeyError, match=name):
            services({key: value for key, value in VARIABLES.items() if key != name})
    for name in ("server-1", "server-2"):
        assert found[name].environment["VLSEARCH_TOKEN"] == "token"
        assert all(port.startswith("127.0.0.1:") for port in found[name].facts["ports"])
