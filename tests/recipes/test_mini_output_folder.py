"""An output folder of the recipe of mini belongs to one set of settings."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.mini.output_folder import SettingsError, claim
from recipes.mini.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_an_output_folder_made_with_another_size_is_refused(start: Path, tmp_path: Path) -> None:
    claim(tmp_path / "out", Settings().facts(start))
    claim(tmp_path / "out", Settings().facts(start))

    with pytest.raises(SettingsError, match="made with another size"):
        claim(tmp_path / "out", replace(Settings(), size=288).facts(start))
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["size"] == Settings().size


def test_an_output_folder_made_from_another_start_is_refused(start: Path, tmp_path: Path) -> None:
    claim(tmp_path / "out", Settings().facts(start))
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"others")

    with pytest.raises(SettingsError, match="made with another start"):
        claim(tmp_path / "out", Settings().facts(other))


def test_stages_of_unknown_settings_are_refused(start: Path, tmp_path: Path) -> None:
    (tmp_path / "images.safetensors").write_bytes(b"")

    with pytest.raises(SettingsError, match=r"no settings\.json"):
        claim(tmp_path, Settings().facts(start))


@pytest.mark.slow
def test_the_recipe_from_imagenet_says_in_one_sentence_that_a_folder_has_another_start(
    start: Path, tmp_path: Path
) -> None:
    claim(tmp_path / "out", {"size": 192, "sizes of fine-tuning": [160], "start": None})
    command = [
        sys.executable,
        "-m",
        "recipes.mini.from_imagenet.train",
        "--start",
        str(start),
        "--sizes",
        "160x1",
    ]
    for option in ("--flickr8k", "--image-weights", "--materials"):
        command += [option, str(tmp_path)]

    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, cwd=ROOT
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "made with another start;" in done.stderr
    assert done.stderr.count("\n") == 1
