"""A contact sheet of hits: one file that stands alone and shows what strangers wrote as text, never as HTML."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.cli.printing import printable
from retrieval.cli.sheets import write_sheet
from retrieval.cli.sheets.entries import Entry, Run
from retrieval.cli.sheets.fonts import fonts_of, pieces_of
from retrieval.cli.sheets.picture import WIDTH, png_of
from retrieval.cli.sheets.typeset import MOST_ROWS, set_line
from retrieval.types import Hit, Item, Limits
from tests.command_line import fill_photos, vlsearch

HOSTILE = '<script>alert(1)</script> & "quoted"'


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheet")
    photographs = fill_photos(folder / "photographs")
    (photographs / "red.txt").write_text(HOSTILE + "\n", encoding="utf-8")
    done = vlsearch("index", photographs, "--collection", folder / "c", "--quiet")
    assert done.exit_code == 0, done.stderr
    return folder / "c"


def test_a_sheet_shows_each_hit_with_its_picture_and_captions(collection: Path, tmp_path: Path) -> None:
    done = vlsearch(
        "query", "a red square", "-k", "3", "--sheet", tmp_path / "s.html", "--collection", collection
    )

    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert "3 hits in" in done.stderr
    assert [Image.open(io.BytesIO(base64.b64decode(one))).format for one in pictures] == ["JPEG"] * 3
    assert page.count("<li>") == 3
    assert "a green square" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page), "nothing is asked of elsewhere"


def test_what_strangers_wrote_is_text(collection: Path, tmp_path: Path) -> None:
    vlsearch("query", "<b>red", "--sheet", tmp_path / "s.html", "--collection", collection)

    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot;" in page
    assert "<h1>&lt;b&gt;red</h1>" in page


def test_a_frame_has_its_moment_on_it_and_its_duration_as_players_show_it(tmp_path: Path) -> None:
    attributes = {"time": 3725.5, "duration": 4000.0}
    item = Item(1, "image", "file:///clips/dive.mp4#t=3725.5", None, None, None, (), attributes)

    write_sheet(tmp_path / "s.html", "dive", [Hit(1, 0.5, item)], Limits())

    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert '<span class="moment">1:02:05</span>' in page
    assert "dive.mp4</span>" in page
    assert "<small>duration: 1:06:40</small>" in page


def test_a_picture_that_is_gone_is_said_to_be(collection: Path, tmp_path: Path) -> None:
    blue = collection.parent / "photographs" / "blue.png"
    data = blue.read_bytes()
    blue.unlink()

    vlsearch("query", "blue", "-k", "3", "--sheet", tmp_path / "s.html", "--collection", collection)
    blue.write_bytes(data)

    assert (tmp_path / "s.html").read_text(encoding="utf-8").count("cannot be shown") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["red", "--sheet", "s.pdf"], "a sheet is an HTML or PNG file; s.pdf does not end in .html or .png"),
        (["red", "--sheet", "no/such/s.html"], "for the sheet s.html; make it first"),
        (
            ["red", "-k", "201", "--sheet", "s.png"],
            "shows at most 200 hits and 201 are asked for; write an .html",
        ),
        (["--from", "-", "--sheet", "s.html"], "a sheet shows the hits of one query"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused_before_the_search(
    collection: Path, arguments: list[str], said: str
) -> None:
    done = vlsearch("query", *arguments, "--collection", collection, input="red\n")

    assert done.exit_code == 2
    assert said in done.stderr


def test_a_sheet_may_be_a_picture(collection: Path, tmp_path: Path) -> None:
    done = vlsearch(
        "query", "a red square", "-k", "3", "--sheet", tmp_path / "s.png", "--collection", collection
    )

    assert done.exit_code == 0, done.stderr
    assert "3 hits in" in done.stderr
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width == 3 * 300 + 2 * 20 + 2 * 30
        pixels = np.asarray(sheet.convert("RGB"))
    assert {int(pixels[sheet.height // 2, x].argmax()) for x in (40, 360, 680)} == {0, 1, 2}, (
        "red, green, blue"
    )


@given(text=st.text(max_size=300), title=st.text(max_size=50))
def test_any_text_is_set_inside_its_entry(text: str, title: str) -> None:
    words = set_line((Run(printable(text)),), WIDTH, 14)

    assert all(0 <= word.x <= WIDTH and word.row < MOST_ROWS for word in words)
    assert [word.row for word in words] == sorted(word.row for word in words)
    shown, _ = png_of(title, [Entry("a", None, "", "", ((Run(printable(text)),),))])
    with Image.open(io.BytesIO(shown)) as image:
        right = image.convert("L").crop((image.width - 10, 0, image.width, image.height))
        assert right.getextrema() == (255, 255), "nothing leaves the sheet"


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    words = set_line((Run("a dog runs over the grass " * 40),), WIDTH, 14)

    assert words[-1].text == "…"
    assert words[-1].row == MOST_ROWS - 1


def test_characters_that_no_font_has_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = Item(1, "text", "file:///a.txt", None, "\U0010fffe\U0010fffe and \U0010fffd", None, (), {})

    write_sheet(tmp_path / "s.png", "x", [Hit(1, 0.5, item)], Limits())

    assert "Note: no font here has 2 characters of the sheet, like '\\U0010fffe'" in capsys.readouterr().err


@pytest.mark.skipif(len(fonts_of(14)) == 1, reason="no known font is installed")
def test_what_pillows_font_lacks_is_drawn_by_a_font_of_the_system() -> None:
    ((own, _, _), (other, font, is_drawn)) = pieces_of("dog\u4e00", 14)

    assert (own, other) == ("dog", "\u4e00")
    assert font is not fonts_of(14)[0] or not is_drawn
