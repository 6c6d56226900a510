"""A contact sheet of hits: one file that stands alone and shows what strangers wrote as text, never as HTML."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from retrieval.cli.sheet import write_sheet
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
        (["red", "--sheet", "s.pdf"], "a sheet is an HTML file; s.pdf does not end in .html"),
        (["red", "--sheet", "no/such/s.html"], "for the sheet s.html; make it first"),
        (["--from", "-", "--sheet", "s.html"], "a sheet shows the hits of one query"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused_before_the_search(
    collection: Path, arguments: list[str], said: str
) -> None:
    done = vlsearch("query", *arguments, "--collection", collection, input="red\n")

    assert done.exit_code == 2
    assert said in done.stderr
