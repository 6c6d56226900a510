"""Index photographs with the weights that an earlier commit bundled, by that commit and by this checkout, end to end.

    python -m benchmarks.indexing.earlier IMAGES

IMAGES is a folder of photographs of about 640x480 pixels; where they are few, each is taken several times, as JPEGs of
other qualities, so that no two are the same. The earlier commit's files are taken out of git and run in the same
environment. This checkout indexes with the ``mini`` of that commit, which sees pictures of the same size there and
here and gets the files that ``vlsearch train`` writes beside weights today; and with the ``mini`` of today, which sees
larger ones. Programs take turns, each in a new process. Whole: all seconds of the command, start and loading in them.
A photograph: what more it takes than a run over eight photographs. Times faster are ratios of whole runs. Rewrites
earlier.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.commits import unpack
from benchmarks.indexing.peers import FEW, copies, linked, measure
from benchmarks.processes import Run, timed
from benchmarks.provenance import ROOT, introduction, markdown_table, provenance, write_table
from retrieval.encoders.two_tower.encoder import add_ranges, add_reference
from retrieval.encoders.two_tower.folder import open_folder

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("program", "photographs/s", "whole run, s", "range", "times faster", "CPU-ms each")
COMMIT = "3361a8a"
BUNDLED = Path("retrieval/encoders/bundled/mini")  # in that commit
PRECISIONS = ("auto", "float32", "int8")
RANGE_PHOTOGRAPHS = 64


def with_todays_files(weights: Path, folder: Path, photographs: Sequence[Path]) -> Path:
    """Copy a model, and write beside its weights what ``vlsearch train`` writes there today."""
    shutil.copytree(weights, folder)
    add_reference(folder)
    preparation = open_folder(folder)[0].config.image.preparation
    prepared = []
    for photograph in photographs:
        with Image.open(photograph) as image:
            prepared.append(preparation.prepare(image.convert("RGB")))
    add_ranges(folder, np.stack(prepared))
    return folder


def indexing(root: Path, scratch: Path, *options: str | Path) -> Callable[[Path], Run]:
    """Give what indexes a folder of pictures, with the code of a root, into a new collection."""
    command: list[str | Path] = [sys.executable, "-m", "retrieval.cli", "index"]
    private = {"PYTHONPATH": str(root), "XDG_CACHE_HOME": str(scratch / "cache"), "HF_HUB_OFFLINE": "1"}

    def index(pictures: Path) -> Run:
        collection = scratch / "collection"
        whole = [*command, pictures, "--collection", collection, *options]
        try:
            return timed(whole, os.environ | private, root)
        finally:
            shutil.rmtree(collection, ignore_errors=True)

    return index


def rows(found: Mapping[str, Sequence[tuple[Run, Run]]], count: int) -> Iterator[tuple[str, ...]]:
    """Give the table's rows, the earlier commit's first."""
    wholes = {name: [whole.wall for _, whole in runs] for name, runs in found.items()}
    earlier = statistics.median(next(iter(wholes.values())))
    for name, runs in found.items():
        median, more = statistics.median(wholes[name]), count - FEW
        yield (
            name,
            f"{statistics.median(more / (whole.wall - few.wall) for few, whole in runs):.1f}",
            f"{median:.2f}",
            f"{min(wholes[name]):.2f} to {max(wholes[name]):.2f}",
            f"{earlier / median:.2f}",
            f"{statistics.median(1000 * (whole.cpu - few.cpu) / more for few, whole in runs):.1f}",
        )


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("--photographs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        root = unpack(COMMIT, scratch / "earlier")
        photographs = copies(sorted(args.images.glob("*.jpg")), args.photographs, scratch / "photographs")
        model = with_todays_files(root / BUNDLED, scratch / "model", photographs[:RANGE_PHOTOGRAPHS])
        taking_turns = {f"{COMMIT}, its mini": indexing(root, scratch, "--model", "mini")}
        for name, spec in ((f"now, mini of {COMMIT}", model), ("now, mini", "mini")):
            for precision in PRECISIONS:
                options = ("--model", spec, "--precision", precision, "--quiet")
                taking_turns[f"{name}, {precision}"] = indexing(ROOT, scratch, *options)
        few = linked(photographs[:FEW], scratch / "few")
        found, _ = measure(taking_turns, {}, scratch / "photographs", few, args.rounds)
    head = provenance(
        "python -m benchmarks.indexing.earlier IMAGES",
        packages=("torch", "openvino", "pillow"),
        note=f"{args.photographs} photographs, {args.rounds} rounds",
    )
    lines = ["# Indexing beside an earlier commit", "", *head, "", introduction(__doc__), ""]
    write_table(args.table, [*lines, *markdown_table(HEAD, rows(found, args.photographs))])


if __name__ == "__main__":
    main()
