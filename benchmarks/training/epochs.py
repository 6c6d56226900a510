"""The table of a training run's epochs, from the metrics that the run has written.

    python -m benchmarks.training.epochs benchmarks/training/resnet50_bert

FOLDER holds metrics.jsonl, as ``vlsearch train`` leaves it in its OUT folder. Rewrites epochs.md beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.provenance import ROOT, markdown_table, write_table

RANKS = (1, 5, 10)


def rows(metrics: Path) -> Iterator[tuple[object, ...]]:
    """Give a row for each epoch that was validated: its loss, and hit rates in per cent."""
    for line in metrics.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        if "val" in found:
            figures = found["val"][""]
            hits = (", ".join(f"{figures[f'{way}_r{k}']:.2f}" for k in RANKS) for way in ("t2i", "i2t"))
            yield found["epoch"], f"{found['loss']:.3f}", *hits


def main(folder: Path) -> None:
    """Rewrite the table."""
    metrics = folder / "metrics.jsonl"
    name = metrics.resolve().relative_to(ROOT)
    head = ("epoch", "loss", "text to image R@1, 5, 10", "image to text R@1, 5, 10")
    write_table(
        folder / "epochs.md",
        [
            "# Epochs of a training run",
            "",
            f"- from: {name}",
            f"- command: `python -m benchmarks.training.epochs {name.parent}`",
            "",
            *markdown_table(head, rows(metrics)),
        ],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
