"""How many edited copies ``vlsearch duplicates`` finds, and what else it takes for copies.

    python -m benchmarks.duplicates.measure SHARED WORK

SHARED has flickr8k/*.tar under data/; WORK is a folder for the pictures and their collection, made where it is not
there. 2,000 photographs get five edited copies each, of twelve edits, and a frame as the next of a burst could be: the
hand has moved by 2 %, and a part of the picture, 44 % of each side, by 6 to 12 % of the width. 5,000 photographs stand
beside them. All pictures are compared with all. Recall is of pairs of a photograph and its copy. Precision is of all
pairs found, or of those with a copy of the edit: pairs of one photograph and its copies are right; pairs with a burst
frame, or of two photographs, are wrong, which includes the nearest ones by vector. Thresholds were chosen on
photographs with even numbers; the first table is of the others. Rewrites measure.md.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import indexer
from benchmarks.duplicates.folder import make_folder
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from retrieval.collection import Collection
from retrieval.duplicates.fingerprinting import fingerprints
from retrieval.duplicates.same_picture import (
    LEAST_CORRELATION,
    LEAST_OVERLAP,
    MOST_DIFFERENCE,
    compare_pictures,
    stack,
)
from retrieval.locations.extents import location_of
from retrieval.types import Limits, ignore_progress

TABLE = Path(__file__).with_suffix(".md")
EDITED, OTHERS = 2000, 5000
DIFFERENCES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
SAME_IN_DATA = {(1877, 6631)}  # two versions of one photograph, in the data set itself


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """n pictures: the number of their photograph, their edit, and how pairs of them compare."""

    number: NDArray[np.int64]
    edit: NDArray[np.str_]
    pairs: NDArray[np.int64]
    difference: NDArray[np.float32]


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    parser.add_argument("work", type=Path)
    args = parser.parse_args()
    folder, collection = args.work / "photos", args.work / "coll"
    os.environ.setdefault("VLSEARCH_QUERY_CACHE", str(args.work / "cache"))
    if not folder.exists():
        make_folder(args.shared, folder, EDITED, OTHERS)
    indexer.build(folder, collection, model="mini")
    start = time.process_time()
    compared = compare(collection)
    seconds = time.process_time() - start
    report = list(edit_rows(compared, half=1))
    lines = [
        "# Edited copies",
        "",
        *provenance("python -m benchmarks.duplicates.measure SHARED WORK", note="model mini"),
        "",
        introduction(__doc__).replace("\n", " "),
        "",
        "Photographs with odd numbers (three settings were looked at on them before this one was kept, so they are "
        "not untouched):",
        "",
        *markdown_table(("edit", "copies", "found", "recall %", "wrong pairs", "precision %"), report),
        "",
        f"{burst_count(compared, 1)} of {EDITED // 2} burst frames were taken for their photograph. "
        f"{len(compared.number):,} pictures were compared in {seconds:.0f} s of CPU, after they had been looked at.",
        "",
        "Photographs with even numbers, where the greatest difference was chosen:",
        "",
        *markdown_table(
            ("greatest difference", "recall %", "least recall of an edit %", "wrong pairs", "precision %"),
            chosen_rows(compared, half=0),
        ),
        "",
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


def compare(path: Path) -> Pictures:
    """Compare all pictures of the collection with all."""
    with Collection.open(path) as collection, collection.reading() as view:
        rows = [row for page in view.pages("image") for row in page]
        vectors = view.vectors("image", [row.encoding for row in rows if row.encoding is not None])
    seen = fingerprints(
        {row.sha256: location_of(row.uri, row.extent) for row in rows}, Limits(), ignore_progress
    )
    prints = stack({number: seen.found[row.sha256] for number, row in enumerate(rows)})
    found = list(compare_pictures(prints, vectors))
    alike = [
        (one.alike.correlation >= LEAST_CORRELATION) & (one.alike.overlap >= LEAST_OVERLAP) for one in found
    ]
    names = [
        row.uri.rpartition("/")[2].removesuffix(".jpg").replace("%2C", ",").replace("%25", "%")
        for row in rows
    ]
    return Pictures(
        np.array([int(name.partition(".")[0]) for name in names]),
        np.array([name.partition(".")[2].replace("_", " ") for name in names]),
        np.concatenate([one.pairs[keep] for one, keep in zip(found, alike, strict=True)]),
        np.concatenate([one.alike.difference[keep] for one, keep in zip(found, alike, strict=True)]),
    )


@dataclass(slots=True)
class Judged:
    """Counts by edit, and under ``all``: copies found for their photograph, right pairs, and wrong pairs."""

    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


def judged(compared: Pictures, half: int, most: float) -> Judged:
    """Judge the pairs of one half whose difference is at most ``most``."""
    pairs = np.unique(compared.pairs[compared.difference <= most], axis=0)
    number, edit = compared.number[pairs], compared.edit[pairs]
    counts = Judged()
    for (one, other), (first, second) in zip(number.tolist(), edit.tolist(), strict=True):
        if one % 2 != half or tuple(sorted((one, other))) in SAME_IN_DATA:
            continue
        names = {first, second} - {"original", "burst"}
        is_wrong = one != other or (first == "burst") != (second == "burst")
        (counts.wrong if is_wrong else counts.right).update({*names, "all"})
        if not is_wrong and "original" in (first, second):
            counts.found.update({*names, "all"})
    return counts


def copies(compared: Pictures, half: int) -> dict[str, int]:
    """Count the copies of one half by edit."""
    names, counts = np.unique(compared.edit[compared.number % 2 == half], return_counts=True)
    return {
        name: int(count)
        for name, count in zip(names.tolist(), counts, strict=True)
        if name not in ("original", "burst")
    }


def edit_rows(compared: Pictures, half: int) -> Iterable[Sequence[object]]:
    """Give a row for each edit, and one for all together."""
    counts = judged(compared, half, MOST_DIFFERENCE)
    there = copies(compared, half)
    for name, count in {**there, "all": sum(there.values())}.items():
        yield name, count, counts.found[name], *shares(counts, name, count)


def chosen_rows(compared: Pictures, half: int) -> Iterable[Sequence[object]]:
    """Give a row for each greatest difference."""
    there = copies(compared, half)
    for most in DIFFERENCES:
        counts = judged(compared, half, most)
        recall, wrong, precision = shares(counts, "all", sum(there.values()))
        least = min(counts.found[name] / count for name, count in there.items())
        yield (
            f"{most}{' (chosen)' if most == MOST_DIFFERENCE else ''}",
            recall,
            f"{100 * least:.1f}",
            wrong,
            precision,
        )


def shares(counts: Judged, name: str, count: int) -> tuple[str, int, str]:
    """Give recall in per cent, wrong pairs, and precision in per cent."""
    right, wrong = counts.right[name], counts.wrong[name]
    return f"{100 * counts.found[name] / count:.1f}", wrong, f"{100 * right / max(1, right + wrong):.2f}"


def burst_count(compared: Pictures, half: int) -> int:
    """Count the burst frames that were taken for their photograph."""
    pairs = np.unique(compared.pairs[compared.difference <= MOST_DIFFERENCE], axis=0)
    number, edit = compared.number[pairs], compared.edit[pairs]
    same = (number[:, 0] == number[:, 1]) & (number[:, 0] % 2 == half)
    return int((same & (edit == "burst").any(1) & (edit == "original").any(1)).sum())


if __name__ == "__main__":
    main()
