"""``vlsearch demo``: the main job with the bundled model, on photographs that scikit-image carries."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from retrieval.cli import demo
from tests.command_line import Run

LINES = [json.loads(line) for line in demo.CAPTIONS.read_text(encoding="utf-8").splitlines()]


def test_every_picture_of_the_demo_is_in_the_wheel_of_scikit_image() -> None:
    package = importlib.util.find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "data"

    assert [line["image"] for line in LINES if not (folder / line["image"]).is_file()] == []


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
    assert f"{len(LINES)} photographs of scikit-image, {len(LINES) * 4} captions\n" in done.stdout
    assert done.stdout.count("\n1  0.") == len(demo.WORDS) + len(demo.PICTURES)
    assert f"vlsearch query 'a cat' --collection {tmp_path / 'demo'}" in done.stdout
    assert run("demo", "--collection", tmp_path / "demo").stdout == done.stdout


def test_each_install_and_each_model_has_a_demo_collection_of_its_own(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    paths = [demo._default_collection(*asked) for asked in ((here, "mini"), (there, "mini"), (here, "clip"))]

    assert len(set(paths)) == 3
    assert demo._default_collection(here, "mini") == paths[0]


def test_without_the_extra_one_sentence_names_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    done = run("demo", "--collection", tmp_path / "demo")

    assert done.exit_code == 1
    assert done.stderr == (
        "Error: vlsearch demo needs an optional package; install it with: pip install 'vlsearch[demo]'\n"
    )
