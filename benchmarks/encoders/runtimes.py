"""What a runtime of mini's image tower costs: a new process, and pictures once it runs.

    python -m benchmarks.encoders.runtimes

Each measurement is a process of its own, on one core where the system can say so; runtimes take turns, round by round;
medians, with the lowest and the highest. CPU seconds, because they can be compared on a machine that does other work
too, if only roughly. Rewrites runtimes.md.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.provenance import markdown_table, provenance, write_table

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "runtime",
    "first picture, CPU s",
    "range",
    "peak memory, MB",
    "images a CPU second",
    "range",
    "ratio",
)
RUNTIMES = ("torch", "openvino")
ROUNDS = 5
MEASURE = """
import json, os, resource, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {0})
import numpy as np
from PIL import Image
from retrieval import load_encoder
from retrieval.freed_memory import retain_freed_memory
retain_freed_memory()
encoder = load_encoder("mini", runtime=sys.argv[1])
picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
encoder.encode_images([picture])
first = time.process_time()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
prepared = [encoder.prepare_image(picture)] * 32
encoder.encode_prepared(prepared, 8)
started = time.process_time()
encoder.encode_prepared(prepared, 8)
rate = 32 / (time.process_time() - started)
print(json.dumps([first, memory, rate]))
"""


def measure(runtime: str) -> tuple[float, float, float]:
    """Measure CPU seconds up to the first vector, peak MB then, and images a CPU second, in a new process."""
    command = [sys.executable, "-c", MEASURE, runtime]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, memory, rate = json.loads(done.stdout)
    return first, memory, rate


def main() -> None:
    """Rewrite the table."""
    found: dict[str, list[tuple[float, float, float]]] = {runtime: [] for runtime in RUNTIMES}
    for _ in range(ROUNDS):
        for runtime in RUNTIMES:
            found[runtime].append(measure(runtime))
    base = statistics.median(rate for _, _, rate in found["torch"])
    rows = []
    for runtime, values in found.items():
        firsts, memories, rates = zip(*values, strict=True)
        middle = statistics.median(rates)
        rows.append(
            (
                runtime,
                f"{statistics.median(firsts):.2f}",
                f"{min(firsts):.2f} to {max(firsts):.2f}",
                f"{statistics.median(memories):.0f}",
                f"{middle:.1f}",
                f"{min(rates):.1f} to {max(rates):.1f}",
                f"{middle / base:.2f}",
            )
        )
    head = provenance(
        "python -m benchmarks.encoders.runtimes",
        packages=("numpy", "torch", "openvino"),
        note=f"mini, float32, one core, passes of 8, {ROUNDS} rounds",
    )
    write_table(TABLE, ["# Runtimes of mini's image tower", "", *head, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
