"""The fine-tuning walk-through of docs/training.md, run as it is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared,
    pytest.mark.skipif(not (SHARED / "flickr8k").is_dir(), reason=f"the shared data is not at {SHARED}"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="the walk-through is written for a shell"),
]

SHELL = """
set -e
python() { "$PYTHON" "$@"; }
vlsearch() { "$PYTHON" -m retrieval.cli "$@"; }
"""


def test_the_walk_through_improves_the_recall_of_held_out_pairs_and_its_model_answers(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- walk-through -->\n```sh\n(.*?)```", document, re.DOTALL)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    places = {
        "FLICKR8K": SHARED / "flickr8k",
        "CAPTIONS": SHARED / "coco_captions.txt",
        "PYTHON": sys.executable,
    }
    environment = (
        os.environ | {"PYTHONPATH": str(ROOT)} | {name: str(value) for name, value in places.items()}
    )

    done = subprocess.run(
        ["bash", "-c", SHELL + block],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [json.loads(line)["val"][""] for line in lines if '"val"' in line]
    first, last = epochs[0], epochs[-1]
    for way in ("t2i_r10", "i2t_r10"):  # chance is 10 % of 100 pictures, and about as much of the captions
        assert last[way] > first[way]
    found = [line for line in done.stdout.splitlines() if "held-out.tar#" in line]
    assert len(found) == 3
