"""What is wrong on a command line is said in one sentence, with an exit code; the table is the specification."""

from __future__ import annotations

import shlex
import tarfile
from pathlib import Path

import pytest

from tests.command_line import Run

USAGE, FAILED = 2, 1

ERRORS = [
    # arguments, exit code, what the sentence says
    ("qery", USAGE, "there is no command 'qery'; did you mean query?"),
    ("'a dog'", USAGE, "there is no command 'a dog'; to search for words, put query before them"),
    ("xyz", USAGE, "there is no command 'xyz'; to search for words, put query before them"),
    ("query", USAGE, "the query is empty; give words, or the path of a picture"),
    ("query ''", USAGE, "the text of a query is empty"),
    ("query x -k 0", USAGE, "Invalid value for '-k'"),
    ("query x --find video", USAGE, "'video' is not one of 'image', 'text'"),
    ("query x --limit 3", USAGE, "No such option '--limit'"),
    ("query ./none.jpg", USAGE, "or to search for these words write text:none.jpg"),
    ("query ./none.jpg", USAGE, "there is no file none.jpg; check the path"),
    ("query './no ne.jpg'", USAGE, "or to search for these words write 'text:no ne.jpg'"),
    ("query none.jpg", USAGE, "there is no file none.jpg"),
    ("query -people", USAGE, "No such option '-p'. To subtract words, put -- before the first such argument."),
    ("query {here}", USAGE, "is a folder, not a picture; name a picture in it, or index it"),
    ("query {here}/notes.txt", USAGE, "not a picture in a format that is read here"),
    ("query {here}/empty.jpg", USAGE, "the file is empty"),
    ("query {here}/none.tar#a.jpg", USAGE, "there is no file"),
    ("query {here}/notes.txt.tar#a.jpg", USAGE, "there is no file"),
    ("query '{blank}'", USAGE, "or index it: vlsearch index '{blank}'"),
    ("query '{blank}/a.tar#none.jpg'", USAGE, "list them with: tar -tf '{blank}/a.tar'"),
    ("query red --collection '{blank}'", FAILED, "vlsearch index CORPUS --collection '{blank}'"),
    ("query -- '--red one'", USAGE, "to subtract write '-1:red one', or for the words themselves '-1:text:-red one'"),
    ("query -- --red", USAGE, "the sign in '--red' stands in the wrong place; to subtract write -1:red"),
    ("query red -- -red", USAGE, "cancel"),
    ("query x --from queries.txt", USAGE, "No such file or directory"),
    ("query x --from {here}/notes.txt", USAGE, "give the query as arguments or as lines of --from, not both"),
    ("query x --model none", USAGE, "no model goes by the name 'none'"),
    ("query x --model mini", FAILED, "vectors of two encoders cannot be compared"),
    ("index --lang en", USAGE, "options of how a corpus is read need a CORPUS"),
    ("index {here}/none", USAGE, "there is no such file or folder. Check the path."),
    ("index ''", USAGE, "is not a path; name a file or a folder"),
    ("index http://127.0.0.1/a.jpg", USAGE, "is a URL, and corpora are read from disk; download it, or list it"),
    ("index {here}/unknown.bin", USAGE, "is in no format that is recognised. Pass --format if it is one of"),
    ("index {here}/empty.jpg", USAGE, "is one picture, and not a corpus. Name the folder that it is in."),
    ("index {here} --format piano", USAGE, "there is no format 'piano'; the formats are folder, webdataset, "),
    ("index {here} --format csv", USAGE, "is a folder, which cannot be read as csv"),
    ("index {here} --split test", USAGE, "--split has no meaning for"),
    ("index {here} --lang english", USAGE, "'english' is not a language tag; write one such as en, zh or pt-BR"),
    ("index {here} --model none/such", FAILED, "none/such is not in the local cache; get it with: vlsearch models get"),
    ("index {here} --model minny", USAGE, "no model goes by the name 'minny'; did you mean mini"),
    ("index {here} --model mini", FAILED, "Use {model}, or re-encode with: vlsearch reindex --model mini"),
    ("index {here} --max-pixels 0", USAGE, "Invalid value for '--max-pixels'"),
    ("index {here} --timeout nan", USAGE, "nan is not a number of seconds"),
    ("index {here} --timeout inf", USAGE, "Invalid value for '--timeout': inf is not in the range"),
    ("index {here} --collection {here} --model {model}", USAGE, "{here} is not a collection and holds other files"),
    ("index {collection}", USAGE, "is a collection, not a corpus"),
    ("delete", USAGE, "Missing argument 'NAME...'"),
    ("delete ''", USAGE, "the name of an item is empty"),
    ("delete nothing", USAGE, "has no item under nothing"),
    ("models get none", USAGE, "no model goes by the name 'none'"),
    ("models get {here}", USAGE, "is a folder on this machine; there is nothing to download"),
    ("info --collection {here}", FAILED, "there is no collection at {here}"),
    ("info --collection ''", USAGE, "Invalid value for '--collection': it is empty; name a folder"),
    ("index {here} --collection {here}/notes.txt --model {model}", FAILED, "(Not a directory); check the path"),
    ("info --collection {here}/notes.txt", FAILED, "there is no collection at {here}/notes.txt"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "sentence"), ERRORS, ids=[line for line, _, _ in ERRORS])
def test_an_error_is_a_sentence_and_an_exit_code(
    run: Run, line: str, code: int, sentence: str, collection: Path, model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    here = tmp_path / "here"
    here.mkdir()
    (here / "notes.txt").write_text("words\n")
    (here / "empty.jpg").touch()
    (here / "unknown.bin").write_bytes(bytes(range(256)))
    monkeypatch.chdir(here)
    blank = tmp_path / "a b"
    blank.mkdir()
    with tarfile.open(blank / "a.tar", "w") as tar:
        tar.add(here / "notes.txt", "notes.txt")
    places = {"here": here, "collection": collection, "model": model, "blank": blank}
    arguments = [word.format(**places) for word in shlex.split(line)]

    done = run(*arguments)

    assert isinstance(done.exception, SystemExit)  # anything else would be a traceback
    assert done.exit_code == code, done.output
    assert sentence.format(**places) in done.stderr
    assert done.stdout == ""


def test_a_name_with_an_escape_sequence_does_not_reach_the_terminal(run: Run, collection: Path) -> None:
    done = run("query", "./\x1b[2Jnone.jpg")

    assert "\x1b" not in done.stderr
    assert r"\x1b[2Jnone.jpg" in done.stderr
