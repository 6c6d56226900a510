"""Milliseconds that the bundled captioner takes for a caption, and the memory of the process.

    python -m benchmarks.generators.captioner PICTURES [--count 80]

PICTURES is a folder of photographs. They are read and prepared beforehand; each is described by itself, in turns in
English and in Chinese: the tower's features, the beams, and the second look at what they wrote. Rewrites captioner.md.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path

from PIL import Image

from benchmarks.provenance import markdown_table, provenance, write_table
from retrieval.generators.registry import load_generator

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("language", "captions", "ms, median", "ms, 95th percentile", "CPU ms, median")
WARM = 3


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=80)
    given = parser.parse_args()
    begun = time.perf_counter()
    generator = load_generator("mini")
    loading = time.perf_counter() - begun
    prepared = []
    for path in sorted(given.pictures.glob("*.jpg"))[: given.count]:
        with Image.open(path) as picture:
            prepared.append(generator.preparation.prepare(picture.convert("RGB")))
    spent: dict[str, list[tuple[float, float]]] = {"en": [], "zh": []}
    for number, image in enumerate([*prepared[:WARM], *prepared]):
        for lang, taken in spent.items():
            began = time.perf_counter(), time.process_time()
            generator.describe_prepared([image], lang)
            if number >= WARM:
                taken.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    rows = []
    for lang, taken in spent.items():
        wall, cpu = (sorted(1000 * one for one in part) for part in zip(*taken, strict=True))
        cuts = statistics.quantiles(wall, n=20)
        rows.append(
            (
                lang,
                len(wall),
                f"{statistics.median(wall):.0f}",
                f"{cuts[-1]:.0f}",
                f"{statistics.median(cpu):.0f}",
            )
        )
        print(*rows[-1], sep="  ")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    command = f"python -m benchmarks.generators.captioner PICTURES --count {given.count}"
    write_table(
        TABLE,
        [
            "# Captions by the bundled captioner", "",
            *provenance(command, packages=("numpy", "openvino")), "",
            *markdown_table(HEAD, rows), "", f"Loaded in {loading:.2f} s; at most {peak:.0f} MiB.",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
