"""How well small things are found when an image has several vectors, and what that costs.

    python -m benchmarks.search.regions COCO_MINI [--model MODEL]

COCO_MINI is a folder with images/ and annotations/instances_mini.json (boxes in COCO's format). Queries are the names
of categories; an image is relevant if the category's boxes fill less than 2 % of it, and images that show more of it
are left out of that query's ranking. An image's score is the maximum over its vectors. Few images are relevant, which
bounds P@10, so the bound is given, and mean average precision beside it. "All things" takes images with any box of the
category. Windows are of the places of one pass at a larger size; crops are images of their own. Vectors are what a
collection would store for an image, the whole one included. Rewrites regions.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.pointing import Pair, read_pairs
from retrieval.encoders.relevance import ExplainingTowers, PlacesExplainer
from retrieval.encoders.tower_encoder import TowerEncoder

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "an image is",
    "vectors",
    "CPU ms",
    "P@10, < 2 %",
    "mAP, < 2 %",
    "P@10, all things",
    "mAP, all things",
)
SMALL, FIRST = 0.02, 10
Rows = NDArray[np.float32]
Vectors = Callable[[Image.Image], Rows]


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("coco_mini", type=Path)
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    encoder = retrieval.load_encoder(args.model)
    assert isinstance(encoder, TowerEncoder)
    pairs = read_pairs(args.coco_mini)
    paths = sorted({pair.image for pair in pairs})
    names = sorted({pair.name for pair in pairs})
    queries = {name: encoder.encode_texts([name], 1)[0] for name in names}
    small, every = (judgements(pairs, paths, names, most) for most in (SMALL, 1.0))
    rows: list[Sequence[object]] = [
        ("(the bound)", "", "", bound(small), "1.000", bound(every), "1.000"),
    ]
    for name, vectors_of in ways(encoder):
        scores, count, cost = scored(paths, queries, vectors_of)
        figures = [figure for judged in (small, every) for figure in measured(scores, judged)]
        rows.append((name, count, f"{cost:.0f}", *figures))
        print(*rows[-1], sep="\t", flush=True)
    head = provenance(
        "python -m benchmarks.search.regions COCO_MINI",
        packages=("numpy", "openvino"),
        note=f"model {args.model}, images in {encoder.identity.precision}; {len(paths)} images; "
        f"{len(small)} queries for small things, {len(every)} for all",
    )
    write_table(TABLE, ["# Regions", "", *head, "", introduction(__doc__), "", *markdown_table(HEAD, rows)])


def ways(encoder: TowerEncoder) -> list[tuple[str, Vectors]]:
    """Give ways to make the vectors of an image."""

    def whole(image: Image.Image) -> Rows:
        return encoder.encode_images([image], 1)

    def crops(sides: Sequence[float], steps: int) -> Vectors:
        def of(image: Image.Image) -> Rows:
            cut = [part for side in sides for part in crops_of(image, side, steps)]
            return np.concatenate([whole(image), encoder.encode_images(cut)])

        return of

    def windows(side: int, counts: Sequence[int]) -> Vectors:
        def of(image: Image.Image) -> Rows:
            return np.concatenate([whole(image), windows_of(encoder, image, side, counts)])

        return of

    return [
        ("one vector", whole),
        ("and 9 windows of half the side, pass at 1.5 times", windows(384, (6,))),
        ("and 9 windows of half the side, pass at 2 times", windows(512, (8,))),
        ("and 25 windows of 3/8 of the side, pass at 2 times", windows(512, (6,))),
        ("and 49 windows of a fourth of the side, pass at 2 times", windows(512, (4,))),
        ("and 58 windows of a half and a fourth, pass at 2 times", windows(512, (8, 4))),
        ("and 9 crops of half the side", crops((0.5,), 3)),
        ("and 25 crops of half the side", crops((0.5,), 5)),
        ("and 74 crops of a half and a third", crops((0.5, 1 / 3), 5)),
    ]


def crops_of(image: Image.Image, side: float, steps: int) -> list[Image.Image]:
    """Cut overlapping crops out of an image, ``steps`` each way, or 7 of less than half the side."""
    steps = steps if side >= 0.5 else 7
    width, height = round(image.width * side), round(image.height * side)
    lefts = np.linspace(0, image.width - width, steps).round().astype(int).tolist()
    tops = np.linspace(0, image.height - height, steps).round().astype(int).tolist()
    return [image.crop((left, top, left + width, top + height)) for top in tops for left in lefts]


def windows_of(encoder: TowerEncoder, image: Image.Image, side: int, counts: Sequence[int]) -> Rows:
    """Pool windows of so many places a side out of one pass, to unit rows; they overlap by half, or by two thirds."""
    assert isinstance(encoder.towers, ExplainingTowers)
    explainer = encoder.towers.image_explainer()
    assert isinstance(explainer, PlacesExplainer), "windows are of convolutional towers"
    rule = replace(explainer.rule, size=side, through=0)
    places = explainer.places(rule.prepare(image)[None]).astype(np.float64)
    found = []
    for count in counts:
        step = count // 2 if count != 6 or side == 384 else 2
        rows, columns = (range(0, size - count + 1, step) for size in places.shape[:2])
        found += [
            places[top : top + count, left : left + count].mean((0, 1)) for top in rows for left in columns
        ]
    return unit_rows(np.stack(found), explainer.parts)


def unit_rows(means: NDArray[np.float64], parts: Sequence[int]) -> Rows:
    """Scale means of places, (n, d), to unit rows, each part to the same length."""
    cut = np.split(means, np.cumsum(parts)[:-1], axis=1)
    scaled = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in cut]
    rows: Rows = (np.concatenate(scaled, axis=1) / len(parts) ** 0.5).astype(np.float32)
    return rows


def scored(
    paths: Sequence[Path], queries: dict[str, Rows], vectors_of: Vectors
) -> tuple[dict[str, NDArray[np.float64]], int, float]:
    """Give each query's scores of all images, the vectors of an image, and milliseconds of CPU that one takes."""
    found: dict[str, list[float]] = {name: [] for name in queries}
    seconds, count = [], 0
    for path in paths:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        begin = time.process_time()
        vectors = vectors_of(image)
        seconds.append(time.process_time() - begin)
        count = len(vectors)
        for name, query in queries.items():
            found[name].append(float((vectors @ query).max()))
    return {name: np.array(one) for name, one in found.items()}, count, 1000 * float(np.median(seconds))


def judgements(
    pairs: Sequence[Pair], paths: Sequence[Path], names: Sequence[str], most: float
) -> dict[str, NDArray[np.int64]]:
    """Judge images for each query that has relevant ones: 1 relevant, 0 not, -1 left out."""
    areas = {(pair.name, pair.image): pair.area for pair in pairs}
    judged = {}
    for name in names:
        shares = [areas.get((name, path)) for path in paths]
        values = [0 if share is None else (1 if share < most or most == 1 else -1) for share in shares]
        if 1 in values:
            judged[name] = np.array(values)
    return judged


def measured(scores: dict[str, NDArray[np.float64]], judged: dict[str, NDArray[np.int64]]) -> tuple[str, str]:
    """Give P@10 and mean average precision over the queries."""
    precisions, averages = [], []
    for name, values in judged.items():
        kept = values >= 0
        ranked = values[kept][np.argsort(-scores[name][kept], kind="stable")]
        hits = ranked == 1
        precisions.append(hits[:FIRST].mean())
        averages.append((hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean())
    return f"{np.mean(precisions):.3f}", f"{np.mean(averages):.3f}"


def bound(judged: dict[str, NDArray[np.int64]]) -> str:
    """Give the best P@10 that any ranking can have."""
    return f"{np.mean([min(FIRST, (values == 1).sum()) / FIRST for values in judged.values()]):.3f}"


if __name__ == "__main__":
    main()
