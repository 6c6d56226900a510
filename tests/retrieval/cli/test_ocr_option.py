"""``vlsearch index --ocr``: text in pictures, read after the vectors, printed apart from captions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import indexer
from retrieval.extras import is_installed
from retrieval.ocr import ReadLine
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


class RedReader:
    """Reads in an image the number of its red."""

    maker, side = "reds 1", 64

    def read(self, image: NDArray[np.uint8]) -> list[ReadLine]:
        return [ReadLine(f"red {image[0, 0, 0]}", (0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.5))]


def draw(photos: Path, red: int) -> None:
    Image.new("RGB", (40, 30), (red, 0, 0)).save(photos / f"{red}.png")


def test_a_collection_goes_on_reading_text_until_it_is_told_not_to(
    run: Run, photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.ocr.rapid.RapidReader", RedReader)
    here = ("--collection", tmp_path / "c")

    first = run("index", photos, "--model", model, *here, "--ocr")
    draw(photos, 101)
    without_corpus = run("index", *here)
    nothing_new = run("index", *here)
    draw(photos, 102)
    by_name = run("index", photos, *here, "--json", "--quiet")
    info = run("info", *here)
    draw(photos, 103)
    ended = run("index", *here, "--no-ocr")
    after = run("index", *here)

    assert "text read: 3 pictures with text" in first.stdout
    assert "text read: 1 picture with text" in without_corpus.stdout
    assert json.loads(by_name.stdout.splitlines()[1])["ocr"]["with_text"] == 1
    assert "read in new pictures by index and watch" in info.stdout
    for silent in (nothing_new, ended, after):
        assert silent.exit_code == 0
        assert "text read" not in silent.stdout
    assert "read in new pictures" not in run("info", *here).stdout
    assert "101.png" in run("query", "--words", "red 101", *here, "--list").stdout


def test_where_the_reader_of_text_is_missing_a_note_says_so_and_pictures_are_indexed(
    run: Run, photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ("--collection", tmp_path / "c")
    run("index", photos, "--model", model, *here)
    indexer.set_reads_text(tmp_path / "c", True)
    monkeypatch.setattr("retrieval.cli.index.is_installed", lambda _: False)
    draw(photos, 101)

    done = run("index", *here)

    assert done.exit_code == 0
    assert "1 encoded" in done.stdout
    assert "pip install 'vlsearch[ocr]'" in done.stderr
