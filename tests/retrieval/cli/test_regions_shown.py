"""Hits by a region of their picture: lists, sheets and JSON say which, as ``--crop`` takes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from retrieval.cli.printing import written_region
from retrieval.decoding.preparations import Squeeze
from retrieval.encoders.windows import window_boxes
from retrieval.query.parts import check_crop
from tests.command_line import Run


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_a_written_region_is_a_crop(width: int, height: int) -> None:
    for box in window_boxes(Squeeze(384, 1.3, 0), width, height).tolist():
        left, top, across, down = (float(share) for share in written_region(tuple(box)).split(","))
        if across > 0 and down > 0:  # of a picture that is a line of few pixels nothing may be left
            check_crop((left, top, across, down))


def test_index_gives_pictures_regions_and_hits_say_them(run: Run, collection: Path, tmp_path: Path) -> None:
    done = run("index", "--regions")
    assert re.search(r"regions: 3 pictures encoded, 0 failed", done.stdout)
    assert "27 vectors of 3 images" in run("info").stdout

    found = []
    for asked in (
        ["a dog"],
        ["--subtract", "a dog"],
    ):  # what is below the whole with one is above it with the other
        run("query", *asked, "--sheet", f"{tmp_path / 'hits.html'}")
        lines = run("query", *asked, "--json").stdout.splitlines()
        regions = [tuple(hit["region"]) for hit in map(json.loads, lines) if "region" in hit]
        for shown in (run("query", *asked, "--list").stdout, (tmp_path / "hits.html").read_text()):
            assert all(f"at {written_region(region)}" in shown for region in regions)
        assert "region" not in run("query", *asked, "--whole", "--json").stdout
        found += regions
    assert found
