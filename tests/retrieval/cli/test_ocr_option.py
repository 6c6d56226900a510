"""``vlsearch index --ocr``: text in pictures, read after the vectors, printed apart from captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from retrieval.extras import is_installed
from tests.command_line import Run
from tests.without_packages import run_without


@pytest.mark.skipif(not is_installed("ocr"), reason="the extra ocr is not installed")
def test_words_find_a_picture_by_the_text_in_it_once_index_has_read_it(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    sign = Image.new("RGB", (400, 200), (235, 235, 230))
    ImageDraw.Draw(sign).text((40, 60), "Platform 42", (10, 10, 10), ImageFont.load_default(48))
    sign.save(photos / "sign.png")
    collection = tmp_path / "c"

    done = run("index", photos, "--model", model, "--collection", collection, "--ocr", "--quiet", "--json")
    again = run("index", photos, "--collection", collection, "--ocr")
    found = run("query", "--words", "platform 42", "--collection", collection, "--list")
    info = run("info", "--collection", collection)

    counts, read = map(json.loads, done.stdout.splitlines())
    assert counts["images"] == 4
    assert [read["ocr"][name] for name in ("with_text", "without_text", "failed")] == [1, 3, 0]
    assert "text read: 0 pictures with text, 0 without, 0 failed, " in again.stdout
    assert "sign.png" in found.stdout
    assert "text read in the picture: Platform 42" in found.stdout
    assert "other texts  1 read by RapidOCR 3." in info.stdout


def test_index_asks_for_the_extra_of_ocr_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    collection = tmp_path / "c"

    (done,), _ = run_without(
        ["rapidocr"], ["index", tmp_path / "photos", "--collection", collection, "--ocr"]
    )

    assert done.exit_code == 1
    assert "pip install 'vlsearch[ocr]'" in done.stderr
    assert not collection.exists()
