"""Time and memory of ``vlsearch duplicates`` over 80,000 pictures that have been looked at.

    python -m benchmarks.duplicates.scale WORK [--pictures 80000]

WORK is the folder of benchmarks.duplicates.measure: its 7,000 photographs and their 10,000 edited copies, with their
own fingerprints and vectors, stand among parts of the photographs, which are different pictures: 50 to 60 % of both
sides, at nine places. A part's fingerprint is cut out of its photograph's, and its vector mixed of the photograph's and
another's, so that their cosines are what `mini` gives (0.43 to 0.81, from the 5th percentile to the 95th, of 160
parts). There are no files, so that nothing is decoded. Measured is the whole command as a new process, which reads
fingerprints from the cache: how fast pictures are looked at the first time is the decoder's matter. Rewrites scale.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.duplicates.fingerprint import SIDE, Fingerprint
from retrieval.duplicates.print_cache import find_fingerprints, keep_fingerprints
from retrieval.identity import Identity
from retrieval.sqlite_cache import VARIABLE

TABLE = Path(__file__).with_suffix(".md")
COPIES, BLOCK = 10_000, 2000
LEAST_SIDE, MOST_SIDE = 0.5, 0.6  # of a part
LEAST_SHARE, MOST_SHARE = 0.33, 0.58  # of the photograph's vector in a part's
NOISE = 1.0  # grey levels, of a part: what decoding another file does
PLACES = [(x, y) for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5, 1.0)]
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture: its name, ``NUMBER.original``, ``NUMBER.EDIT`` or ``NUMBER.partN``, fingerprint and vector."""

    name: str
    print: Fingerprint
    vector: Rows


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--pictures", type=int, default=80_000)
    parser.add_argument(
        "--only-make", action="store_true", help="make the collection, and measure another time"
    )
    parser.add_argument("--note", default="", help="what else a reader must know of the machine meanwhile")
    args = parser.parse_args()
    collection = args.work / f"scale-{args.pictures}"
    own_cache = args.work / f"scale-{args.pictures}-cache"
    if not collection.exists():
        make(args.work, collection, own_cache, args.pictures)
    if args.only_make:
        return
    head = (
        "pictures",
        "s",
        "s of CPU",
        "peak MB",
        "copies in their photograph's group",
        "pictures in other groups",
    )
    lines = [
        "# Comparing all pictures with all",
        "",
        *provenance("python -m benchmarks.duplicates.scale WORK", packages=("numpy",), note=args.note),
        "",
        introduction(__doc__).replace("\n", " "),
        "",
        *markdown_table(head, [measure(collection, own_cache, args.pictures)]),
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


def make(work: Path, collection: Path, own_cache: Path, count: int) -> None:
    """Write the collection, and its fingerprints into a cache of its own."""
    known = list(photographs_and_copies(work))
    os.environ[VARIABLE] = str(own_cache)
    identity = Identity("generated", "generated", "0" * 64, "", len(known[0].vector), "{}")
    made = [*known, *parts(known, count - len(known))]
    with Writer(collection) as writer:
        corpus = writer.ensure_corpus("generated:", "generated")
        for start in range(0, len(made), BLOCK):
            change, prints = Change(), {}
            for one in made[start : start + BLOCK]:
                digest, uri = hashlib.sha256(one.name.encode()).digest(), f"generated:{one.name}"
                change.contents["image", digest] = NewContent("image", digest, one.vector)
                change.items[uri] = NewItem(uri, "image", digest, corpus)
                prints[digest] = one.print
            writer.commit(change, identity)
            keep_fingerprints(prints)


def photographs_and_copies(work: Path) -> Iterator[Picture]:
    """Give the photographs of measure's collection, and some of their copies."""
    os.environ[VARIABLE] = str(work / "cache")
    with Collection.open(work / "coll") as collection, collection.reading() as view:
        rows = [row for page in view.pages("image") for row in page]
        vectors = view.vectors("image", [row.encoding for row in rows if row.encoding is not None])
    prints = find_fingerprints(row.sha256 for row in rows)
    for row, vector in zip(rows, vectors, strict=True):
        name = row.uri.rpartition("/")[2].removesuffix(".jpg").replace("%2C", ",").replace("%25", "%")
        if not name.endswith(".burst"):
            yield Picture(name, prints[row.sha256], vector)


def parts(known: list[Picture], count: int) -> Iterator[Picture]:
    """Cut parts out of photographs, one after the other, until there are enough."""
    rng = np.random.default_rng(22)
    photographs = [one for one in known if one.name.endswith(".original")]
    for number in range(count):
        one = photographs[number % len(photographs)]
        place = PLACES[number // len(photographs) % len(PLACES)]
        other = photographs[int(rng.integers(len(photographs)))]
        grey = cut(one.print.whole, place, rng.uniform(LEAST_SIDE, MOST_SIDE), rng)
        share = np.float32(rng.uniform(LEAST_SHARE, MOST_SHARE))
        mixed = share * one.vector + (1 - share) * other.vector
        name = f"{one.name.partition('.')[0]}.part{number}"
        yield Picture(name, Fingerprint(grey, None, 1.0), (mixed / np.linalg.norm(mixed)).astype(np.float32))


def cut(
    grey: NDArray[np.uint8], place: tuple[float, float], side: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Stretch a part of a fingerprint, by linear interpolation, to a whole one."""
    columns, rows = (start * (1 - side) * (SIDE - 1) + side * np.arange(SIDE) for start in place)
    weights = [np.maximum(1 - np.abs(at[:, None] - np.arange(SIDE)), 0) for at in (rows, columns)]
    part = weights[0] @ grey @ weights[1].T + rng.normal(0, NOISE, (SIDE, SIDE))
    stretched: NDArray[np.uint8] = np.clip(np.rint(part), 0, 255).astype(np.uint8)
    return stretched


def measure(collection: Path, own_cache: Path, count: int) -> tuple[object, ...]:
    """Run the command once in a new process; give the row of the table."""
    command = [sys.executable, "-m", "retrieval.cli", "duplicates", "--json", "--only", "picture", "--quiet"]
    started = time.perf_counter()
    answer = subprocess.run(
        [*command, "--collection", collection],
        capture_output=True,
        check=True,
        env=os.environ | {VARIABLE: str(own_cache)},
    )
    wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found, others = 0, 0
    for line in answer.stdout.splitlines():
        names = [copy["uri"].removeprefix("generated:").split(".") for copy in json.loads(line)["copies"]]
        originals = {number for number, kind in names if kind == "original"}
        right = [kind[:4] != "part" and number in originals for number, kind in names]
        found += sum(right) - len(originals)
        others += len(right) - sum(right)
    return (
        f"{count:,}", f"{wall:.0f}", f"{used.ru_utime + used.ru_stime:.0f}", f"{used.ru_maxrss / 1e3:,.0f}",
        f"{found:,} of {COPIES:,}", others,
    )  # fmt: skip


if __name__ == "__main__":
    main()
