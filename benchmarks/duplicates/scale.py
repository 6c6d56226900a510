"""Time and memory of comparing 80,000 pictures with each other.

    python -m benchmarks.duplicates.scale

Vectors (512 numbers, in 4,000 clusters) and fingerprints (noise with the spectrum of photographs) are made by script;
every fortieth picture is a copy of another: less contrast, noisy, and every second of these turned. Rewrites scale.md.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import markdown_table, provenance, write_table
from retrieval.duplicates.same_picture import Prints, same_pictures

TABLE = Path(__file__).with_suffix(".md")
SIDE, DIMENSION, CLUSTERS, COPY_EVERY, CHUNK = 64, 512, 4000, 40, 2000


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=80_000)
    args = parser.parse_args()
    rng = np.random.default_rng(22)
    grey, vectors = make_prints(args.pictures, rng), make_vectors(args.pictures, rng)
    expected = plant_copies(grey, vectors, rng)
    made_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    found = same_pictures(Prints(grey, np.arange(len(grey))), vectors)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pairs = set(map(tuple, found.tolist()))
    row = (
        f"{args.pictures:,}", f"{wall:.0f}", f"{cpu:.0f}", f"{peak_kb / 1e6:.2f}", f"{made_kb / 1e6:.2f}",
        f"{len(pairs & expected):,} of {len(expected):,}", len(pairs - expected),
    )  # fmt: skip
    head = ("pictures", "s", "s of CPU", "peak GB", "of that before", "copies found", "other pairs")
    lines = [
        "# Comparing all pictures with all",
        "",
        *provenance("python -m benchmarks.duplicates.scale", packages=("numpy",)),
        "",
        (__doc__ or "").split("\n\n")[2].replace(" Rewrites scale.md.", "").replace("\n", " ").strip(),
        "",
        *markdown_table(head, [row]),
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


def make_prints(n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Make (n, SIDE, SIDE) uint8 noise whose amplitude falls with the frequency, as in photographs."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij"))
    frequency[0, 0] = np.inf
    grey = np.empty((n, SIDE, SIDE), np.uint8)
    for start in range(0, n, CHUNK):
        noise = rng.standard_normal((min(CHUNK, n - start), SIDE, SIDE), np.float32)
        field = np.fft.irfft2(np.fft.rfft2(noise) / frequency**1.2, s=(SIDE, SIDE))
        field *= 50 / field.std((1, 2), keepdims=True)
        # light from above, dark below, more or less of it: what photographs have in common
        field += rng.normal(0, 70, (len(field), 1, 1)) * np.linspace(1, -1, SIDE)[:, None]
        grey[start : start + CHUNK] = np.clip(field + 128, 0, 255)
    return grey


def make_vectors(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Make (n, DIMENSION) unit rows around random centres."""
    centres = rng.standard_normal((CLUSTERS, DIMENSION), np.float32)
    vectors = centres[rng.integers(CLUSTERS, size=n)] + rng.standard_normal((n, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def plant_copies(
    grey: NDArray[np.uint8], vectors: NDArray[np.float32], rng: np.random.Generator
) -> set[tuple[int, int]]:
    """Make every fortieth picture a copy of the one before, every second of these turned; give the pairs."""
    expected = set()
    for number in range(1, len(grey), COPY_EVERY):
        turned = number // COPY_EVERY % 2
        copy = np.rot90(grey[number - 1], turned).astype(np.float32)
        grey[number] = np.clip(copy * 0.9 + 12 + rng.normal(0, 2, copy.shape), 0, 255)
        # cosines of 0.95, and of 0.2 for turned copies: with mini 97 % of these have more
        noise = rng.standard_normal(DIMENSION) * (4.9 if turned else 0.3) / np.sqrt(DIMENSION)
        near = vectors[number - 1] + noise
        vectors[number] = near / np.linalg.norm(near)
        expected.add((number - 1, number))
    return expected


if __name__ == "__main__":
    main()
