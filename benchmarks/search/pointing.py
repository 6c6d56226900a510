"""How often the most relevant spot of an explanation lies in the thing that was asked for.

    python -m benchmarks.search.pointing COCO_MINI [--model MODEL]...

COCO_MINI is a folder with images/ and annotations/instances_mini.json (boxes in COCO's format). The pointing game
(Zhang et al., ECCV 2016): for each pair of an image and a category with boxes in it, the query is the category's name,
and a point counts if it lies in one of the boxes. A random point counts by the area of the boxes. Small things fill
less than 5 % of the image together. Completeness is the largest difference of the sum of contributions from the score.
CPU time is that of explaining one prepared image for one query, decoding and drawing not counted. Rewrites pointing.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from retrieval.encoders.relevance import ExplainingTowers, ImageExplainer, ImageRelevance, positive_shares
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.query.picture_shares import picture_share

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("model", "points by", "all", "small things", "others", "completeness", "CPU ms")
SMALL = 0.05
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, a category's name, and its boxes in shares of the image's width and height."""

    image: Path
    name: str
    boxes: tuple[Box, ...]

    def holds(self, point: tuple[float, float]) -> bool:
        """Whether a point lies in one of the boxes."""
        x, y = point
        return any(
            left <= x <= left + width and top <= y <= top + height for left, top, width, height in self.boxes
        )

    @property
    def area(self) -> float:
        """Share of the image that the boxes fill together."""
        mask = np.zeros((200, 200), np.bool_)
        for left, top, width, height in self.boxes:
            mask[
                int(top * 200) : round((top + height) * 200), int(left * 200) : round((left + width) * 200)
            ] = True
        return float(mask.mean())


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("coco_mini", type=Path)
    parser.add_argument("--model", action="append")
    args = parser.parse_args()
    pairs = read_pairs(args.coco_mini)
    areas = np.array([pair.area for pair in pairs])
    centre = np.array([pair.holds((0.5, 0.5)) for pair in pairs], np.float64)
    rows: list[Sequence[object]] = [
        ("", "a random point", *shares(areas, areas), "", ""),
        ("", "the centre", *shares(centre, areas), "", ""),
    ]
    for model in args.model or ["mini"]:
        rows += measured(model, pairs, areas)
    head = provenance(
        "python -m benchmarks.search.pointing COCO_MINI",
        packages=("numpy", "openvino"),
        note=f"{len(pairs)} pairs",
    )
    write_table(TABLE, ["# Pointing", "", *head, "", introduction(__doc__), "", *markdown_table(HEAD, rows)])


def measured(model: str, pairs: Sequence[Pair], areas: NDArray[np.float64]) -> list[Sequence[object]]:
    """Give the rows of a model: by contributions where it has them, and by relevance."""
    encoder = retrieval.load_encoder(model)
    assert isinstance(encoder, TowerEncoder)
    assert isinstance(encoder.towers, ExplainingTowers)
    explainer = encoder.towers.image_explainer()
    assert explainer is not None, f"{model} cannot tell where a score comes from"
    vectors = {name: encoder.encode_texts([name], 1)[0] for name in sorted({pair.name for pair in pairs})}
    by_relevance, by_contributions, errors, seconds = [], [], [], []
    for pair in pairs:
        with Image.open(pair.image) as opened:
            image = opened.convert("RGB")
        prepared = [rule.prepare(image) for rule in explainer.preparations]
        begin = time.process_time()
        found = explainer.explain(prepared, vectors[pair.name])
        seconds.append(time.process_time() - begin)
        by_relevance.append(points(explainer, found, image, pair))
        if found.contributions is not None:
            score = float(encoder.encode_prepared(prepared[:1], 1)[0].astype(np.float64) @ vectors[pair.name])
            errors.append(abs(float(found.contributions.sum()) - score))
            plain = ImageRelevance(None, positive_shares(found.contributions))
            by_contributions.append(points(explainer, plain, image, pair))
    cost = f"{1000 * float(np.median(seconds)):.0f}"
    rows: list[Sequence[object]] = []
    if errors:
        hits = np.array(by_contributions, np.float64)
        rows.append((model, "contributions", *shares(hits, areas), f"{max(errors):.0e}", ""))
    rows.append((model, "relevance", *shares(np.array(by_relevance, np.float64), areas), "", cost))
    for row in rows:
        print(*row, sep="\t", flush=True)
    return rows


def points(explainer: ImageExplainer, found: ImageRelevance, image: Image.Image, pair: Pair) -> bool:
    """Whether the most relevant spot lies in the thing."""
    point = picture_share(explainer, found, *image.size, 0).point
    return point is not None and pair.holds(point)


def shares(hits: NDArray[np.float64], areas: NDArray[np.float64]) -> tuple[str, str, str]:
    """Give the mean of all pairs, of small things, and of the others."""
    return tuple(f"{hits[of].mean():.3f}" for of in (areas >= 0, areas < SMALL, areas >= SMALL))  # type: ignore[return-value]  # three


def read_pairs(folder: Path) -> list[Pair]:
    """Read the boxes of each image and category."""
    facts = json.loads((folder / "annotations" / "instances_mini.json").read_text(encoding="utf-8"))
    images = {image["id"]: image for image in facts["images"]}
    names = {category["id"]: category["name"] for category in facts["categories"]}
    boxes: dict[tuple[int, str], list[Box]] = {}
    for one in facts["annotations"]:
        image = images[one["image_id"]]
        left, top, width, height = one["bbox"]
        box = left / image["width"], top / image["height"], width / image["width"], height / image["height"]
        boxes.setdefault((image["id"], names[one["category_id"]]), []).append(box)
    return [
        Pair(folder / "images" / images[number]["file_name"], name, tuple(of))
        for (number, name), of in sorted(boxes.items())
    ]


if __name__ == "__main__":
    main()
