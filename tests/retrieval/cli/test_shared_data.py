"""The data sets beside the repository through the command line, with the counts that they are known to have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data is not at {DATA}"),
]


@pytest.mark.parametrize(
    ("source", "images", "captions"),
    [
        ("flickr8k/val-000.tar", 1000, 5000),
        ("coco_mini", 80, 400),
        ("coco_mini/annotations/captions_mini.json", 80, 400),
    ],
)
def test_a_data_set_is_indexed_whole_and_a_second_run_encodes_nothing(
    source: str, images: int, captions: int, run: Run, model: Path, tmp_path: Path
) -> None:
    command: list[str | Path] = ["index", DATA / source, "--model", model, "--json"]
    command += ["--collection", tmp_path / "collection"]
    if source.endswith(".json"):
        command += ["--images", DATA / "coco_mini" / "images"]

    first, second = (json.loads(run(*command).stdout) for _ in range(2))

    assert (first["images"], first["captions"], first["links"]) == (images, captions, captions)
    assert (first["failed"], second["failed"], second["encoded"]) == (0, 0, 0)
    assert second["unchanged"] == images + captions
