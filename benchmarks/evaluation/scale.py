"""COCO's size on random vectors: 5,000 images x 25,010 captions x 512, both directions, every figure.

    python -m benchmarks.evaluation.scale

Prints one JSON object: wall and CPU seconds and peak memory of the evaluation, those of one plain float32 matrix
product of that size, and their ratios; medians of the repeats. Each runs in a process of its own, so that peaks are
apart. CPU seconds (of all threads) are what to read on a machine that does other work too.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURES, TEXTS, DIMENSION = 5_000, 25_010, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=["evaluation", "product"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(evaluation() if args.part == "evaluation" else product()))
        return
    runs = {part: [_run(part) for _ in range(args.repeats)] for part in ("product", "evaluation")}
    report: dict[str, object] = {"pictures": PICTURES, "captions": TEXTS, "dimension": DIMENSION}
    for part, some in runs.items():
        for name in ("seconds", "cpu_seconds"):
            report[f"{part}_{name}"] = statistics.median(run[name] for run in some)
        report[f"{part}_peak_mb"] = max(run["peak_mb"] for run in some)
        report[f"{part}_all_seconds"] = [run["seconds"] for run in some]
    for name in ("seconds", "cpu_seconds"):
        report[f"ratio_{name}"] = report[f"evaluation_{name}"] / report[f"product_{name}"]  # type: ignore[operator]
    print(json.dumps(report | {"queries": runs["evaluation"][0]["queries"]}))


def evaluation() -> dict[str, object]:
    from retrieval.evaluation.evaluation_set import assemble
    from retrieval.evaluation.figures import evaluate_vectors
    from retrieval.types import CorpusImage, CorpusText, InlineBytes

    images, texts = _vectors()
    owners = [*(row // 5 for row in range(25_000)), *range(TEXTS - 25_000)]  # ten images have a sixth
    evaluated = assemble(
        "random",
        [CorpusImage(f"picture:{row}", InlineBytes(b"")) for row in range(PICTURES)],
        [CorpusText(f"text:{row}", "") for row in range(TEXTS)],
        [(owner, row) for row, owner in enumerate(owners)],
    )
    start, cpu = time.perf_counter(), time.process_time()
    figures = evaluate_vectors(evaluated, images, texts)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    queries = {direction: measured.queries for direction, measured in figures.directions.items()}
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": _peak_mb(), "queries": queries}


def product() -> dict[str, object]:
    images, texts = _vectors()
    start, cpu = time.perf_counter(), time.process_time()
    scores = texts @ images.T
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": _peak_mb(), "shape": scores.shape}


def _vectors() -> list[NDArray[np.float32]]:
    import numpy as np

    random = np.random.default_rng(0)
    found = []
    for count in (PICTURES, TEXTS):
        rows = random.standard_normal((count, DIMENSION), dtype=np.float32)
        found.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return found


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _run(part: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.evaluation.scale", "--part", part]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    main()
