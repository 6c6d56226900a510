"""What ``vlsearch index --regions`` finds more, and what it costs in time and bytes.

    python -m benchmarks.search.regions_of_a_collection COCO_MINI [--model MODEL]

COCO_MINI is a folder with images/, annotations/instances_mini.json (boxes) and annotations/captions_mini.json, in the
format of COCO. The folder is indexed without regions and then given them, each timed in CPU seconds of all processes,
the model being loaded before, and the same collection is asked with and without (``regions=False``). Things are as in
regions.py: queries are names of categories, small things fill less than 2 % of an image. Captions are queries too,
whose image is the one relevant.
The last table times a text query over vectors drawn at random (512 dimensions, 9 regions an image), in this process.
Rewrites regions_of_a_collection.md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import indexer
import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.pointing import read_pairs
from benchmarks.search.regions import SMALL, bound, judgements, measured
from retrieval.collection.stores.region_file import RegionFacts, RegionFile, quantised
from retrieval.collection.stores.region_store import RegionStore
from retrieval.encoders.base import Encoder
from retrieval.encoders.batches import INDEXING
from retrieval.encoders.regions import region_encoder

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "collection", "P@10, < 2 %", "mAP, < 2 %", "P@10, all things", "mAP, all things", "captions R@1", "R@10",
    "CPU ms an image", "bytes an image",
)  # fmt: skip
SCALED = ("images", "regions", "MB", "CPU ms a query", "wall ms")
SIZES = (1_000, 10_000, 80_000)
REPEATS = 5


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("coco_mini", type=Path)
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    pairs = read_pairs(args.coco_mini)
    paths = sorted({pair.image for pair in pairs})
    names = sorted({pair.name for pair in pairs})
    judged = [judgements(pairs, paths, names, most) for most in (SMALL, 1.0)]
    rows: list[Sequence[object]] = [
        ("(the bound)", bound(judged[0]), "1.000", bound(judged[1]), "1.000", "", "", "", "")
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "collection"
        images = args.coco_mini / "images"
        encoder = warm(args.model)
        for regions in (False, True):
            before = cpu_seconds()
            indexer.build(images, path, model=encoder, regions=regions or None)
            seconds = cpu_seconds() - before
            with retrieval.open(path, encoder=encoder) as engine:
                info = engine.info()
                count = info.images
                stored = info.regions.bytes if info.regions is not None else info.vector_bytes
                figures = [
                    figure
                    for one in judged
                    for figure in measured(scores_of(engine, names, paths, regions), one)
                ]
                captions = recalls(engine, args.coco_mini, regions)
            name = "with regions, added later" if regions else "whole images"
            rows.append(
                (name, *figures, *captions, f"{1000 * seconds / count:.0f}", f"{stored / count:,.0f}")
            )
            print(*rows[-1], sep="\t", flush=True)
    scaled = [scan(size) for size in SIZES]
    head = provenance(
        "python -m benchmarks.search.regions_of_a_collection COCO_MINI",
        packages=("numpy", "openvino"),
        note=f"model {args.model}; {len(paths)} images with boxes; {len(judged[0])} queries for small things, "
        f"{len(judged[1])} for all",
    )
    tables = [*markdown_table(HEAD, rows), "", *markdown_table(SCALED, scaled)]
    write_table(TABLE, ["# Regions of a collection", "", *head, "", introduction(__doc__), "", *tables])


def warm(model: str) -> Encoder:
    """Load a model, and let it compile what it computes with."""
    encoder = retrieval.load_encoder(model)
    black = Image.new("RGB", (400, 400))
    encoder.encode_images([black], INDEXING.images)
    regions = region_encoder(encoder)
    regions.rows([regions.preparation.prepare(black)])
    return encoder


def cpu_seconds() -> float:
    """Give the CPU time of this process so far, and of those that it has waited for."""
    return sum(os.times()[:4])


def scores_of(
    engine: retrieval.SearchEngine, names: Sequence[str], paths: Sequence[Path], regions: bool
) -> dict[str, NDArray[np.float64]]:
    """Give each name's scores of all images, in the order of their paths."""
    found = {}
    for name, hits in zip(
        names,
        engine.search_batch(list(names), 1000, "image", literal=True, regions=regions, mode="vector"),
        strict=True,
    ):
        by_name = {Path(unquote(urlsplit(hit.uri).path)).name: hit.score for hit in hits}
        found[name] = np.array([by_name[path.name] for path in paths])
    return found


def recalls(engine: retrieval.SearchEngine, coco_mini: Path, regions: bool) -> tuple[str, str]:
    """Give recall@1 and recall@10 of captions for their images."""
    facts = json.loads((coco_mini / "annotations" / "captions_mini.json").read_text(encoding="utf-8"))
    files = {image["id"]: image["file_name"] for image in facts["images"]}
    asked = [(one["caption"], files[one["image_id"]]) for one in facts["annotations"]]
    answers = engine.search_batch(
        [text for text, _ in asked], 10, "image", literal=True, regions=regions, mode="vector"
    )
    ranks = [
        next((hit.rank for hit in hits if unquote(hit.uri).endswith(f"/{file}")), 11)
        for hits, (_, file) in zip(answers, asked, strict=True)
    ]
    first, tenth = (np.mean([rank <= most for rank in ranks]) for most in (1, 10))
    return f"{100 * first:.1f}", f"{100 * tenth:.1f}"


def scan(images: int) -> Sequence[object]:
    """Time a scan of the regions of so many images."""
    rng = np.random.default_rng(0)
    some = rng.standard_normal((1000, 9, 512)).astype(np.float32)
    few_codes, few_scales = quantised(some)
    codes = np.tile(few_codes, (images // len(some), 1, 1))
    scales = np.tile(few_scales, (images // len(some), 1))
    boxes = np.full((images, 9, 4), 0.25, np.float32)
    facts = RegionFacts(1, 1, "{}", images, 9, "", codes.nbytes + scales.nbytes + boxes.nbytes, "")
    file = RegionFile(facts, np.arange(1, images + 1), boxes, scales, codes)
    query = rng.standard_normal((1, 512)).astype(np.float32)
    query /= np.linalg.norm(query)
    with ThreadPoolExecutor(2) as threads:
        store = RegionStore([file], threads)
        times = []
        for _ in range(REPEATS):
            begin = time.process_time(), time.monotonic()
            store.search(query, 10, np.empty(0, np.int64))
            times.append((time.process_time() - begin[0], time.monotonic() - begin[1]))
    cpu, wall = (1000 * float(np.median(column)) for column in zip(*times, strict=True))
    return f"{images:,}", f"{store.rows:,}", f"{store.bytes / 1e6:,.0f}", f"{cpu:.1f}", f"{wall:.1f}"


if __name__ == "__main__":
    main()
