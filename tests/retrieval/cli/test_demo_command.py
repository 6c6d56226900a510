"""``vlsearch demo``: the main job with the bundled model, on photographs that come with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.cli import demo
from tests.command_line import Run

LINES = [json.loads(line) for line in demo.CAPTIONS.read_text(encoding="utf-8").splitlines()]


def test_every_photograph_has_a_line_of_captions_and_a_source() -> None:
    about = (demo.PHOTOGRAPHS / "README.md").read_text(encoding="utf-8")
    names = sorted(path.name for path in demo.PHOTOGRAPHS.glob("*.jpg"))

    assert names == sorted(line["image"] for line in LINES)
    assert [name for name in names if f"`{name}`" not in about] == []


def test_every_picture_has_captions_in_english_and_chinese() -> None:
    for line in LINES:
        assert all(caption.isascii() for caption in line["captions"])
        assert all("\u4e00" <= caption[0] <= "\u9fff" for caption in line["captions_zh"])
        assert len(line["captions"]) == len(line["captions_zh"]) == 2


@pytest.mark.slow
def test_the_demo_ends_with_ranked_pictures_and_captions_and_a_second_one_encodes_nothing(
    run: Run, tmp_path: Path
) -> None:
    done = run("demo", "--collection", tmp_path / "demo")

    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("model: ")
    assert f"{len(LINES)} photographs, {len(LINES) * 4} captions\n" in done.stdout
    assert done.stdout.count("\n1  0.") == len(demo.WORDS) + len(demo.PICTURES)
    assert f"vlsearch query 'a cat' --collection {tmp_path / 'demo'}" in done.stdout
    assert run("demo", "--collection", tmp_path / "demo").stdout == done.stdout


def test_each_install_and_each_model_has_a_demo_collection_of_its_own(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    paths = [demo._default_collection(*asked) for asked in ((here, "mini"), (there, "mini"), (here, "clip"))]

    assert len(set(paths)) == 3
    assert demo._default_collection(here, "mini") == paths[0]
