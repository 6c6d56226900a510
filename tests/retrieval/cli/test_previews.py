"""Pictures beside hits in the terminal, links that a click opens, and hits in the desktop's viewer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import indexer
from retrieval.cli.hits import link_of
from retrieval.cli.previews import may_show_pictures
from retrieval.uris import file_uri
from tests.builders import HashEncoder
from tests.command_line import Run
from tests.desktops import desktop

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this platform")

LINK = re.compile(rb"\x1b\]8;[^;]*;([^\x1b\x07]*)\x1b\\")
NAMES = ("a.png", "b'; touch owned; '.png", "c\n$(touch owned).png", "-d.png")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, some with names that a shell would obey."""
    folder = tmp_path_factory.mktemp("previews")
    for number, name in enumerate(NAMES):
        path = folder / "photos" / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (60, 40), (number * 60, 200, 10)).save(path)
    (folder / "photos" / "a.txt").write_text("a green thing\n", encoding="utf-8")
    indexer.build(folder / "photos", folder / "collection", model=HashEncoder())
    return folder / "collection"


def similar(collection: Path) -> tuple[str | Path, ...]:
    """Ask for what is like b: needs no model, and finds the others."""
    return "similar", collection.parent / "photos" / NAMES[1], "--collection", collection


def at_terminal(
    arguments: tuple[str | Path, ...], environment: Mapping[str, str], says: bytes = b"", columns: int = 90
) -> bytes:
    """What a terminal gets that answers questions of what it can (``ESC [ c``) with ``says``."""
    import fcntl  # late: not on every platform
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "retrieval.cli", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "90", "TERM": "xterm", **environment},
    )
    os.close(theirs)
    shown, answered = b"", False
    with os.fdopen(ours, "r+b", buffering=0) as screen:
        try:
            while block := screen.read(65536):
                shown += block
                if b"\x1b[c" in shown and says and not answered:
                    answered = bool(screen.write(says))
        except OSError:  # how Linux says that the other side has gone
            pass
    assert process.wait() == 0, shown
    return shown


def test_a_terminal_that_says_it_shows_sixels_gets_a_picture_beside_each_hit(collection: Path) -> None:
    shown = at_terminal(similar(collection), {"TERM": "foot"}, b"\x1b[?62;4c")

    assert shown.count(b"\x1bP") == 3  # each begins a picture
    assert b"a green thing" in shown


def test_a_terminal_that_says_it_shows_no_pictures_gets_none(collection: Path) -> None:
    shown = at_terminal(similar(collection), {"TERM": "foot"}, b"\x1b[?62c")

    assert b"\x1bP" not in shown
    assert "▄".encode() not in shown


def test_a_terminal_that_is_not_known_for_pictures_is_not_asked(collection: Path) -> None:
    assert b"\x1b[c" not in at_terminal(similar(collection), {})
    assert b"\x1b[c" not in at_terminal((*similar(collection), "--no-preview"), {"TERM": "foot"})
    assert b"\x1b[c" not in at_terminal(similar(collection), {"TERM": "foot"}, columns=0)


def test_names_are_links_at_a_terminal_and_no_name_ends_one(collection: Path) -> None:
    links = [link for link in LINK.findall(at_terminal(similar(collection), {})) if link]

    assert len(links) == 3
    assert all(re.fullmatch(rb"file://[^/]+/[!-~]+\.png", link) for link in links)


@given(st.text(max_size=60))
def test_a_link_is_printable_ascii_whatever_is_indexed(name: str) -> None:
    uris = [f"https://example.org/{name}", f"file:///{name}", name]
    uris += [file_uri(Path("/", name))] if "\0" not in name else []

    for link in map(link_of, uris):
        assert link is None or re.fullmatch(r"(file|https?)://[!-~]+", link, re.IGNORECASE)


def test_hits_for_people_that_go_into_a_file_have_no_escapes(run: Run, collection: Path) -> None:
    done = run(*similar(collection), "--list")

    assert done.exit_code == 0
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("more", [[], ["--json"], ["--list"]])
def test_pictures_are_refused_where_the_output_does_not_go_to_a_terminal(
    run: Run, collection: Path, more: list[str]
) -> None:
    done = run(*similar(collection), "--preview", *more)

    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, True),
        ({"TERM": "foot-extra"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"TERM": "linux"}, False),
        ({}, False),
    ],
)
def test_terminals_that_may_show_pictures_are_known_by_their_environment(
    environment: dict[str, str], expected: bool
) -> None:
    assert may_show_pictures(environment) is expected


@pytest.fixture
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desktop whose ``xdg-open`` writes its arguments, each ended by a NUL, to ``opened``, in a folder of its own."""
    desktop(tmp_path, monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_open_gives_the_viewer_the_best_hit_in_a_folder_of_all_by_rank(
    run: Run, collection: Path, viewer: Path
) -> None:
    done = run(*similar(collection), "--open")

    assert (done.exit_code, done.stdout) == (0, "")
    (first,) = (viewer / "opened").read_text(encoding="utf-8").split("\0")[:-1]
    shown = sorted(Path(first).parent.iterdir())
    ranked = run(*similar(collection), "-0").stdout.split("\0")[:-1]
    assert str(shown[0]) == first
    assert [str(path.resolve()) for path in shown] == ranked
    assert [path.name[:3] for path in shown] == ["001", "002", "003"]
    assert all(path.name.isprintable() for path in shown)
    assert not list(viewer.rglob("owned"))


def test_open_leaves_out_what_is_not_the_picture_that_was_indexed(
    run: Run, tmp_path: Path, viewer: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, name in enumerate(("one.png", "two.png", "three.png")):
        Image.new("RGB", (9, 9), (number * 90, 0, 0)).save(photos / name)
    indexer.build(photos, tmp_path / "c", model=HashEncoder())
    (photos / "two.png").write_text("#!/bin/sh\n", encoding="utf-8")

    done = run("similar", photos / "one.png", "--collection", tmp_path / "c", "--open")

    assert (done.exit_code, done.stderr.startswith("1 hit cannot be opened")) == (0, True)
    opened = Path((viewer / "opened").read_text(encoding="utf-8").split("\0")[0])
    assert [path.name for path in opened.parent.iterdir()] == [opened.name]
    assert "three" in opened.name


def test_open_shows_a_page_of_a_file_as_a_picture_of_its_own(run: Run, tmp_path: Path, viewer: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    pages = [Image.new("RGB", (30, 20), (colour, 9, 9)) for colour in (10, 250)]
    pages[0].save(photos / "scan.tiff", save_all=True, append_images=pages[1:])
    indexer.build(photos, tmp_path / "c", model=HashEncoder())

    done = run("similar", photos / "scan.tiff", "--collection", tmp_path / "c", "--open")

    assert (done.exit_code, done.stderr) == (0, "")
    (opened,) = (viewer / "opened").read_text(encoding="utf-8").split("\0")[:-1]
    with Image.open(opened, formats=["WEBP"]) as page:
        assert page.size == (30, 20)
        assert page.convert("RGB").getpixel((15, 10))[0] > 200  # type: ignore[index]


@pytest.mark.parametrize(
    ("variables", "said"),
    [({"DISPLAY": ""}, "there is no desktop here"), ({"VIEWER_CODE": "3"}, "found no program for pictures")],
)
def test_where_nothing_shows_pictures_a_sentence_says_so(
    run: Run,
    collection: Path,
    viewer: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    said: str,
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    done = run(*similar(collection), "--open", env=variables)

    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert said in done.stderr
    assert "--sheet" in done.stderr
