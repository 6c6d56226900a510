"""Words that are also names of files, files that are gone, and advice that can be pasted."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import retrieval
from retrieval.errors import NoSuchImage, NothingOfKind, PlacedQueryError, QueryError
from retrieval.shell import shell_command, shell_word
from tests.command_line import Run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indexed_photos: Path) -> Path:
    """The working directory: a folder, a text and pictures whose names are words."""
    folder = tmp_path / "here"
    (folder / "my beach").mkdir(parents=True)
    (folder / "notes").write_text("words")
    shutil.copy(indexed_photos / "red.png", folder / "red")
    shutil.copy(indexed_photos / "red.png", folder / "red square.photo")
    shutil.copy(indexed_photos / "red.png", folder / "moving.apng")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.usefixtures("collection")
def test_words_that_are_the_name_of_a_folder_are_words_with_a_note_that_can_be_pasted(run: Run) -> None:
    done = run("query", "my beach")

    assert done.exit_code == 0
    assert done.stderr == (
        "Note: my beach was read as words; the folder of that name is indexed with: vlsearch index 'my beach'\n"
    )
    assert run("query", "text:my beach").stdout == done.stdout


@pytest.mark.usefixtures("collection")
def test_words_that_are_the_name_of_a_file_without_a_picture_are_words_with_a_note(run: Run) -> None:
    done = run("query", "notes")

    assert done.exit_code == 0
    assert "Note: notes was read as words; for the picture of that name write ./notes" in done.stderr


@pytest.mark.usefixtures("collection")
@pytest.mark.parametrize("name", ["red", "red square.photo", "moving.apng"])
def test_a_file_that_holds_a_picture_is_a_picture_whatever_its_name(run: Run, name: str) -> None:
    done = run("query", name, "--find", "image", "--json")
    by_path = run("query", f"./{name}", "--find", "image", "--json")
    words = run("query", f"text:{name}", "--find", "image", "--json")

    assert done.stdout == by_path.stdout != words.stdout
    assert by_path.stderr == words.stderr.replace(words.stderr, "")
    if name != "moving.apng":
        assert f"for the words write {shell_word(f'text:{name}')}" in done.stderr


@pytest.mark.usefixtures("collection")
def test_words_that_name_nothing_have_no_note(run: Run) -> None:
    assert run("query", "a dog in the snow").stderr == ""


def test_hits_whose_file_is_missing_say_so(run: Run, tmp_path: Path, model: Path, photos: Path) -> None:
    collection = tmp_path / "gone"
    run("index", photos, "--model", model, "--collection", collection)
    (photos / "red.png").unlink()
    arguments = ("query", "red", "--find", "image", "--collection", collection)

    missing = {
        hit["path"]: hit["missing"] for hit in map(json.loads, run(*arguments, "--json").stdout.splitlines())
    }
    assert missing == {str(photos / f"{name}.png"): name == "red" for name in ("red", "green", "blue")}
    listed = run(*arguments, "--list").stdout
    assert f"{photos / 'red.png'}  (the file is missing)\n" in listed
    assert listed.count("missing") == 1
    assert "missing" not in run(*arguments, "--paths").stdout  # plain paths stay plain
    with retrieval.open(collection) as engine:
        assert {hit.uri for hit in engine.search("red", find="image") if hit.missing} == {
            (photos / "red.png").as_uri()
        }
    done = run("index", photos, "--collection", collection)
    assert (
        "3 items are no longer in the corpus and can still be found; drop them with this command and --prune"
        in done.stdout
    )
    assert "no longer in the corpus" not in run("index", photos, "--prune", "--collection", collection).stdout


def test_a_file_in_a_folder_that_may_not_be_searched_is_not_called_missing(tmp_path: Path) -> None:
    assert not retrieval.uris.is_missing("https://127.0.0.1/a.jpg")
    assert not retrieval.uris.is_missing("key:7")
    assert not retrieval.uris.is_missing(f"file://{'x' * 5000}")
    assert retrieval.uris.is_missing((tmp_path / "a.tar").as_uri() + "#member")


def test_the_same_fault_is_worded_for_the_shell_and_for_python(
    run: Run, tmp_path: Path, model: Path, photos: Path
) -> None:
    for caption in photos.glob("*.txt"):
        caption.unlink()
    collection = tmp_path / "pictures only"
    run("index", photos, "--model", model, "--collection", collection)
    (tmp_path / "queries").write_text("red\n./none.jpg\n")

    assert (
        "search with --find image" in run("query", "red", "--find", "text", "--collection", collection).stderr
    )
    batch = run("query", "--from", tmp_path / "queries", "--collection", collection).stderr
    assert "queries:2: there is no file none.jpg; check the path, or to search" in batch
    assert "write text:none.jpg" in batch
    with retrieval.open(collection) as engine:
        with pytest.raises(NothingOfKind, match="search with find='image'"):
            engine.search("red", find="text")
        with pytest.raises(NoSuchImage, match="pass them as a str"):
            engine.search(Path("none.jpg"))
        with pytest.raises(PlacedQueryError, match=r"query 2: there is no file none\.jpg.*as a str"):
            engine.search_batch(["red", Path("none.jpg")])


def test_errors_of_queries_survive_the_way_back_from_a_worker_process() -> None:
    import pickle

    for error in (
        NothingOfKind(Path("c"), "text"),
        NoSuchImage(Path("a b.jpg")),
        PlacedQueryError("query 2", QueryError("the query is empty")),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.in_shell()) == (str(error), error.in_shell())


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=3
    )
)
def test_a_shell_reads_a_command_as_it_was_meant_and_no_control_character_is_in_it(words: list[str]) -> None:
    command = shell_command(*words)

    assert command.isprintable()
    if all(word.isprintable() for word in words):
        assert shlex.split(command) == ["vlsearch", *words]


@pytest.mark.parametrize("word", ["a\nb", "tab\there", "it's\x1b[2J", "back\\slash\n", "caf\udce9", "雪\n"])
def test_bash_reads_an_escaped_word_as_the_same_bytes(word: str) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")

    shown = subprocess.run(
        [bash, "-c", f"printf %s {shell_word(word)}"], capture_output=True, check=True
    ).stdout

    assert shown == word.encode(errors="surrogateescape")


def test_a_path_that_begins_with_a_hyphen_is_no_option() -> None:
    assert shell_command("index", Path("-photos")) == "vlsearch index ./-photos"
