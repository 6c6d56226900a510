"""``vlsearch album``: a search is saved as it is typed to query, and shown as query prints it."""

from __future__ import annotations

import json
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest

from retrieval.cli import main
from tests.command_line import Run

SEARCHES = [
    ("a red square",),
    ("a red square", "-k", "2", "--find", "text", "--offset", "1"),
    ("--words", "square", "--sort", "name"),
    ("red", "--words", "square", "--where", "width >= 40", "--where", "not name = blue.png"),
    ("a square without red", "--literal"),
    ("a square without red",),
    ("--add", "2:red", "--subtract", "0.5:blue", "--mode", "hybrid", "--distinct", "--exact"),
    ("red", "--min-score", "-0.5", "--sort", "name"),
    ("--add", "text:-k"),
    ("red", "--whole", "--distinct=picture", "-k", "3"),
]


@pytest.mark.parametrize("search", SEARCHES, ids=" ".join)
def test_an_album_shows_what_query_shows(run: Run, collection: Path, search: tuple[str, ...]) -> None:
    saved = run("album", "save", "My album", *search)
    assert saved.exit_code == 0, saved.output
    assert f"vlsearch album show 'My album' --collection {collection}\n" in saved.stdout

    for form in ((), ("--json",), ("-0",), ("--list",)):
        shown, asked = run("album", "show", "My album", *form), run("query", *search, *form)
        assert shown.exit_code == 0, shown.output
        assert shown.stdout == asked.stdout
        assert shown.stdout


@pytest.mark.parametrize("search", SEARCHES, ids=" ".join)
def test_the_list_has_a_command_that_finds_the_same(
    run: Run, collection: Path, search: tuple[str, ...]
) -> None:
    run("album", "save", "a", *search)

    name, _, command = run("album", "list").stdout.rstrip("\n").partition("\t")

    assert name == "a"
    program, *arguments = shlex.split(command)
    assert program == "vlsearch"
    again = run(*arguments, "--json", env={"VLSEARCH_COLLECTION": "/nowhere"})
    assert again.stdout == run("query", *search, "--json").stdout


def test_a_picture_is_saved_as_the_item_that_it_is(
    run: Run, collection: Path, indexed_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(indexed_photos)
    run("album", "save", "reds", "./red.png", "--find", "image", "--in", ".")
    monkeypatch.chdir(collection)

    (line,) = run("album", "list", "--json").stdout.splitlines()

    album = json.loads(line)
    assert album["name"] == "reds"
    assert album["request"]["parts"][0]["uri"] == (indexed_photos / "red.png").as_uri()
    assert run("album", "show", "reds").stdout.splitlines()[0] == str(indexed_photos / "red.png")


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_no_address_can_hold_is_refused(run: Run, collection: Path, name: str) -> None:
    run("album", "save", "a", "red")

    for refused in (run("album", "save", name, "red"), run("album", "rename", "a", name)):
        assert refused.exit_code == 2
        assert f"{name!r} is not a name that an album can get" in refused.stderr
    assert run("album", "list").stdout.startswith("a\t")
    assert len(run("album", "list").stdout.splitlines()) == 1


def test_albums_are_replaced_renamed_and_deleted_by_name(run: Run, collection: Path) -> None:
    assert run("album", "save", "a", "red").exit_code == 0
    refused = run("album", "save", "a", "blue")
    assert refused.exit_code == 2
    assert "--replace" in refused.stderr
    assert run("album", "save", "a", "blue", "--replace").exit_code == 0
    assert run("album", "rename", "a", "b").exit_code == 0
    assert run("album", "list").stdout == f"b\tvlsearch query blue --collection {collection}\n"
    assert run("album", "delete", "b").exit_code == 0
    assert run("album", "list").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("save", "a"), "the query is empty"),
        (("save", "", "red"), "the name of an album is empty"),
        (("save", "a\nb", "red"), "not a name of an album"),
        (("save", "a", "https://example.org/a.jpg"), "fetches nothing from the web"),
        (("save", "a", "./typo.jpg"), "there is no file"),
        (("save", "a", "red", "--where", "colour = red"), "colour"),
        (("save", "a", "red", "-people"), "To subtract words"),
        (("save", "a", "key:nobody"), "nobody"),
        (("show", "a"), "has no album 'a'"),
        (("rename", "a", "b"), "has no album 'a'"),
        (("delete", "a"), "has no album 'a'"),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, collection: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("album", *arguments)

    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.output
    assert run("album", "list").stdout == ""


def test_an_album_of_a_stranger_moves_no_cursor(run: Run, collection: Path) -> None:
    run("album", "save", "a", "red")
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        catalogue.execute("""UPDATE albums SET request = '{"parts":[{"text":"a\\u001b[2J\\nb"}]}'""")
        catalogue.commit()

    shown = run("album", "list")

    assert shown.exit_code == 0
    assert "\x1b" not in shown.stdout
    assert shown.stdout.count("\n") == 1


def test_the_options_of_save_are_those_of_a_query_that_say_what_is_asked() -> None:
    context = click.Context(main)
    query, album = main.get_command(context, "query"), main.get_command(context, "album")
    assert query is not None
    assert isinstance(album, click.Group)

    def options(command: click.Command) -> dict[str, str | None]:
        return {one.opts[0]: one.help for one in command.params if isinstance(one, click.Option)}

    save = options(album.commands["save"])
    assert set(save) - set(options(query)) == {"--replace", "--wait"}
    asked = save.keys() & options(query).keys() - {"--collection"}  # a query may ask one on a server too
    assert {one: save[one] for one in asked} == {one: options(query)[one] for one in asked}
    assert {"--where", "--words", "-k", "--literal", "--crop"} <= set(save)
