"""Every command survives every encoding of its output, and terminals of any width."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import Run, fill_photos

CAPTION = "a snow square 雪 😀 – café"
DRIVER = """
import os, sys
from retrieval.cli import main

folder = sys.argv[1]
lines = os.fsdecode(open(folder + "/commands", "rb").read()).split("\\n")
for number, line in enumerate(lines):
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    try:
        main(line.split("\\t"), prog_name="vlsearch")
    except SystemExit as end:
        code = end.code
    sys.stdout.flush(), sys.stderr.flush()
    open(f"{folder}/{number}.code", "w").write(str(code))
"""
BYTES = ("--json", "--paths", "-0")


def commands(folder: Path, model: Path, other: Path) -> list[list[str]]:
    """Every command, and the ways in which it prints; all of them succeed but the last three."""
    photos, collection = str(folder / "photos"), str(folder / "c")
    return [
        ["--help"],
        ["index", photos, "--model", str(model), "--collection", collection],
        ["index", photos, "--collection", collection, "--json"],
        ["info", "--collection", collection],
        ["info", "--failures", "--collection", collection],
        ["query", "雪 😀", "--list", "--collection", collection],
        ["query", "雪 😀", "--paths", "--collection", collection],
        ["query", "雪 😀", "-0", "--collection", collection],
        ["query", "雪 😀", "--json", "--collection", collection],
        ["query", f"{photos}/red.png", "--list", "--collection", collection],
        ["query", f"{photos}/red.png", "--paths", "--collection", collection],
        ["query", "--from", str(folder / "queries"), "--list", "--collection", collection],
        ["query", "--from", str(folder / "queries"), "--json", "--collection", collection],
        ["eval", str(folder / "雪 measured"), "--model", str(model), "--k", "1"],
        ["export", str(folder / "雪 out"), "--collection", collection],
        ["import", str(folder / "雪 out"), "--collection", str(folder / "i")],
        ["reindex", "--model", str(other), "--collection", collection],
        ["optimize", "--collection", collection],
        ["doctor", "--collection", collection],
        ["hide", f"{photos}/雪.png", "--collection", collection],
        ["info", "--hidden", "--collection", collection],
        ["unhide", f"{photos}/雪.png", "--collection", collection],
        ["delete", f"{photos}/雪.png", "--collection", collection],
        ["demo", "--model", str(model), "--collection", str(folder / "雪 demo")],
        [
            "train",
            str(folder / "雪 measured"),
            "--out",
            str(folder / "雪 run"),
            "--model",
            str(model),
            "--epochs",
            "1",
        ],
        ["models"],
        ["models", "--json"],
        ["query", "./雪.jpg", "--collection", collection],
        ["delete", "雪", "--collection", collection],
        ["雪"],
    ]


FAILING = 3


def run_all(
    folder: Path, model: Path, other: Path, environment: dict[str, str]
) -> list[tuple[list[str], bytes, str]]:
    """Run every command in one process with this environment: its arguments, stdout and stderr."""
    folder.mkdir()
    photos = fill_photos(folder / "photos")
    (photos / "雪.png").write_bytes((photos / "red.png").read_bytes()[:-1] + b"\0")
    (photos / "雪.txt").write_text(CAPTION, encoding="utf-8")
    (photos / "😀 – é.png").write_bytes(b"no picture")
    fill_photos(folder / "雪 measured")
    (folder / "queries").write_text(f"{CAPTION}\nsquare\n", encoding="utf-8")
    lines = commands(folder, model, other)
    (folder / "commands").write_text("\n".join("\t".join(line) for line in lines), encoding="utf-8")
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, folder], env={**plain, **environment}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    results = []
    for number, line in enumerate(lines):
        out, err = ((folder / f"{number}.{name}").read_bytes() for name in ("out", "err"))
        assert b"Traceback" not in err, (line, err.decode(errors="replace"))
        code = (folder / f"{number}.code").read_text()
        assert (code == "0") == (number < len(lines) - FAILING), (line, code, err)
        results.append((line, out, err.decode(errors="replace")))
    return results


@pytest.fixture(scope="module")
def reference(
    tmp_path_factory: pytest.TempPathFactory, model: Path, other_model: Path
) -> list[tuple[list[str], bytes, str]]:
    return run_all(tmp_path_factory.mktemp("utf8") / "w", model, other_model, {"PYTHONUTF8": "1"})


ENVIRONMENTS = {
    "gbk": {"PYTHONUTF8": "1", "PYTHONIOENCODING": "gbk"},
    "ascii": {"PYTHONUTF8": "1", "PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONUTF8": "1", "PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONUTF8": "1", "PYTHONIOENCODING": "cp1252:strict"},
    "us-ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENVIRONMENTS)
def test_every_command_survives_an_encoding_and_bytes_for_programs_are_the_same_in_all(
    encoding: str,
    tmp_path_factory: pytest.TempPathFactory,
    model: Path,
    other_model: Path,
    reference: list[tuple[list[str], bytes, str]],
) -> None:
    folder = tmp_path_factory.mktemp("encoded") / "w"
    results = run_all(folder, model, other_model, ENVIRONMENTS[encoding])

    for (line, out, _), (_, expected, _) in zip(results, reference, strict=True):
        there = commands(folder, model, other_model)
        assert line in there
        if line[0] == "query" and any(option in line for option in BYTES):
            assert normal(out, folder) == normal(expected, None), line
        else:
            out.decode(encoding)  # everything is in the terminal's own encoding
    shown = {tuple(line[:2]): out.decode(encoding) for line, out, _ in results if "--list" in line}
    assert all("square" in text for text in shown.values())
    by_words = shown["query", "雪 😀"]
    assert ("雪" in by_words) == (encoding == "gbk")
    assert "\\U0001f600" in by_words


def normal(out: bytes, folder: Path | None) -> bytes:
    """Output without the temporary folder's name, which differs between two runs."""
    return re.sub(rb"/[^\0\n\"]*?/(encoded|utf8)\d*/w/", b"/W/", out)


@pytest.mark.parametrize("columns", ["1", "20"])
def test_a_narrow_terminal_loses_no_figure_and_no_name(
    columns: str, collection: Path, indexed_photos: Path, model: Path, run: Run
) -> None:
    environment = {"COLUMNS": columns}
    for arguments in (
        ["models"],
        ["info"],
        ["query", "red", "--list"],
        ["query", str(indexed_photos / "red.png"), "--list"],
    ):
        done = run(*arguments, env=environment)
        assert done.exit_code == 0, done.output
        assert "…" not in done.output
    assert str(indexed_photos / "red.png") in run("query", "red", "--list", env=environment).stdout
    assert all(name in run("models", env=environment).stdout for name in ("siglip2-base", "Flickr30k"))
