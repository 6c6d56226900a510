"""A run on Ray with one of two workers killed, against the plain run: counts, bits, and what it costs.

python -m benchmarks.scale.ray_run --pictures 20000
"""

from __future__ import annotations

from pathlib import Path

import indexer
from benchmarks.scale.comparing import compare
from indexer import Report


def run_on_ray(corpus: Path, collection: Path) -> Report:
    """Index on the cores of this machine, in eight shards."""
    return indexer.build_on_ray(corpus, collection, address="local", shards=8)


if __name__ == "__main__":
    compare(
        "benchmarks.scale.ray_run",
        "On Ray, with a worker killed",
        "Ray, one of 2 workers killed",
        run_on_ray,
        ("ray::index_shard",),
    )
