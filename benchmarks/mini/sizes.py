"""Names of things over real-size photographs, by the size at which a model sees them.

    python -m benchmarks.mini.sizes COCO_MINI MODEL...

COCO_MINI is a folder with images/ and annotations/instances_mini.json (boxes in COCO's format); MODEL is a two-tower
folder of mini's kind. Queries are the names of COCO's things, in English and in Chinese, over the photographs that
have boxes; a photograph is right if a box of the thing is in it. The figure is mean average precision over the
names that some photograph is right for, in per cent, in float32. Rewrites sizes.md.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from recipes.mini.figures import names_figures
from recipes.mini.names import Names
from recipes.mini.photographs import Photograph, plain_view
from recipes.mini.start import load_start
from recipes.mini.texts import TextEncoder
from retrieval.hub.tokenizer_files import load_tokenizer

SIZES = (192, 256, 288)
_BATCH = 16


def read_photographs(folder: Path) -> list[Photograph]:
    """The photographs with boxes, and the names of the things in them."""
    facts = json.loads((folder / "annotations" / "instances_mini.json").read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in facts["categories"]}
    things: dict[int, set[str]] = defaultdict(set)
    for box in facts["annotations"]:
        things[box["image_id"]].add(names[box["category_id"]])
    return [
        Photograph(
            (folder / "images" / one["file_name"]).read_bytes(), labels=tuple(sorted(things[one["id"]]))
        )
        for one in facts["images"]
        if one["id"] in things
    ]


@torch.inference_mode()
def precision(folder: Path, size: int, photographs: list[Photograph]) -> dict[str, float]:
    """Mean average precision over names, by language."""
    model = load_start(folder, size)
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(photographs), _BATCH):
        views = [plain_view(one, model.config.image) for one in photographs[start : start + _BATCH]]
        rows.append(model.encode_images(torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)).numpy())
    encoder = TextEncoder(model, load_tokenizer(folder / "tokenizer.json"))
    return names_figures(encoder.rows, Names.read(), np.concatenate(rows), photographs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("coco_mini", type=Path)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    args = parser.parse_args()
    photographs = read_photographs(args.coco_mini)
    rows = []
    for folder in args.models:
        found = [precision(folder, size, photographs) for size in SIZES]
        cells = [f"{one['names_map_en']:.1f} / {one['names_map_zh']:.1f}" for one in found]
        name = (folder / "README.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        print(name, *cells, flush=True)
        rows.append([name, *cells])
    note = f"{len(photographs)} photographs"
    lines = provenance(
        "python -m benchmarks.mini.sizes COCO_MINI MODEL...", packages=("numpy", "torch"), note=note
    )
    table = markdown_table(["model", *(f"{size} pixels, English / Chinese" for size in SIZES)], rows)
    head = ["# Names over real-size photographs, by size", ""]
    write_table(Path(__file__).with_suffix(".md"), [*head, *lines, "", introduction(__doc__), "", *table])


if __name__ == "__main__":
    main()
