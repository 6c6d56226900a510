"""Commands on a collection on a server print what they print of the folder that it was copied from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import Run, fill_photos
from tests.postgres_server import new_address


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, model: Path, run: Run) -> tuple[str, str]:
    """A collection in a folder, and its copy on a server."""
    address = new_address()
    folder = tmp_path_factory.mktemp("photos")
    photos = fill_photos(folder / "photos")
    collection = str(folder / "collection")
    assert run("index", photos, "--model", model, "--collection", collection).exit_code == 0
    assert run("hide", photos / "blue.png", "--collection", collection).exit_code == 0
    done = run("copy", collection, address)
    assert done.exit_code == 0, done.output
    assert (
        done.stdout == f"3 images, 6 texts, 9 vectors copied to {address}, generation 2; all rows are equal\n"
    )
    return collection, address


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "a red square", "--mode", "vector"],
        ["query", "a red square", "--mode", "vector", "--json", "-k", "2"],
        ["query", "a red square", "--mode", "vector", "--find", "text", "--distinct"],
        ["query", "a red square", "--mode", "vector", "--offset", "1", "--json"],
        ["list", "--json"],
        ["list", "--kind", "text", "--sort", "added", "--limit", "2"],
        [
            "query",
            "a red square",
            "--mode",
            "vector",
            "--where",
            "width > 3 and name = *.png or folder contains o",
        ],
        ["query", "red", "--mode", "vector", "--where", "no_such = 3"],
        ["query", "a red square"],
        ["query", "a red square", "--json", "-k", "2"],
        ["query", "a red square", "--mode", "hybrid", "--json"],
        ["query", "--words", "red"],
        ["query", "--words", '"red square" a', "--find", "text", "--json"],
        ["query", "red", "--mode", "words", "--where", "width > 3 and words contains square"],
        ["query", "a red square", "--words", "red"],
        ["query", "--words", "..."],
        ["list", "--sort", "name", "--where", "bytes > 1"],
        ["info", "--attributes"],
        ["info", "--hidden", "--json"],
        ["info", "--failures"],
        ["info", "--corpora", "--json"],
        ["cluster", "--json"],
        ["cluster", "-n", "2", "--where", "name != red.png"],
        ["cluster", "--where", "no_such = 3"],
        ["ask", "which pictures show a cat?", "--model", "mini", "--json"],
    ],
    ids=" ".join,
)
def test_a_command_prints_the_same(run: Run, both: tuple[str, str], arguments: list[str]) -> None:
    of_folder, of_server = (run(*arguments, "--collection", place) for place in both)

    assert of_folder.exit_code == of_server.exit_code == (2 if {"no_such = 3", "..."} & {*arguments} else 0)
    assert of_server.output == of_folder.output


def test_similar_items_and_those_in_a_folder_are_found_the_same(run: Run, both: tuple[str, str]) -> None:
    names = run("list", "--collection", both[0]).stdout.splitlines()
    for more in ([], ["--in", str(Path(names[0]).parent)], ["--in", "/nowhere"]):
        of_folder, of_server = (run("similar", names[0], *more, "--collection", place) for place in both)
        assert of_server.exit_code == 0, of_server.output
        assert of_server.stdout == of_folder.stdout


def test_the_exports_of_both_are_equal(run: Run, both: tuple[str, str], tmp_path: Path) -> None:
    for number, place in enumerate(both):
        assert run("export", tmp_path / str(number), "--hidden", "--collection", place).exit_code == 0

    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "0", tmp_path / "1")
    ]
    assert files[0] == files[1]


def test_info_says_what_a_server_holds(run: Run, both: tuple[str, str]) -> None:
    done = run("info", "--collection", both[1])

    assert done.exit_code == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "items 3 images, 6 texts, 6 links" in lines
    assert "vectors 9" in lines


def test_commands_that_write_metadata_print_the_same_and_leave_the_same(
    run: Run, both: tuple[str, str]
) -> None:
    for arguments, exit_code in (
        (["album", "save", "Reds", "a red square", "--where", "width > 3"], 0),
        (["album", "save", "Reds", "a red square"], 2),
        (["album", "save", "Reds", "a red square", "-k", "2", "--replace"], 0),
        (["album", "rename", "Reds", "Crimson"], 0),
        (["album", "rename", "Reds", "Blues"], 2),
        (["album", "show", "Crimson", "--json"], 0),
        (["album", "save", "Gone", "x"], 0),
        (["album", "delete", "Gone"], 0),
        (["album", "list", "--json"], 0),
        (["tag", "--quiet", "--min-probability", "1e-9", "--json", "--dry-run"], 0),
        (["tag", "--quiet", "--min-probability", "1e-9", "--most", "2"], 0),
        (["list", "--json", "--where", "tagged_by is not null"], 0),
        (["tag", "--remove", "--where", "width > 3"], 0),
        (["relocate", "/nowhere", "."], 2),
        (["info", "--attributes"], 0),
    ):
        of_folder, of_server = (run(*arguments, "--collection", place) for place in both)

        assert of_folder.exit_code == of_server.exit_code == exit_code, of_server.output
        told = of_server.output.replace(f"'{both[1]}'", both[0]).replace(both[1], both[0])
        assert told == of_folder.output
    assert run("doctor", "--collection", both[1]).exit_code == 0


def test_a_copy_into_a_place_that_is_taken_is_a_mistake_of_usage(run: Run, both: tuple[str, str]) -> None:
    for source, target in (both, both[::-1]):
        done = run("copy", source, target)
        assert done.exit_code == 2
        assert "already" in done.stderr
