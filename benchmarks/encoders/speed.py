"""What the fast image tower gains on the plain one: mini's backbone, by the CPU seconds of a picture.

    python -m benchmarks.encoders.speed

Towers have mini's configuration, but for ``kept_from``, and random weights, on which time does not depend. Variants
take turns, round by round, so that what else the machine does meets all of them; medians, with the lowest and the
highest. CPU seconds, because they can be compared on a machine that does other work too, if only roughly: its caches
are shared. With ``--threads 2`` CPU seconds are those of both. Rewrites speed.md.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.provenance import markdown_table, provenance, write_table
from retrieval.encoders.registry import BUNDLED
from retrieval.encoders.two_tower import TwoTowerConfig
from retrieval.encoders.two_tower.backbones import ImageBackbone, build_backbone, fold_norms
from retrieval.encoders.two_tower.folder import CONFIG
from retrieval.encoders.two_tower.fused import make_fast
from retrieval.freed_memory import retain_freed_memory

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("variant", "kept_from", "images a CPU second", "lowest", "highest", "ratio")
VARIANTS: dict[str, Callable[[ImageBackbone], None]] = {
    "plain": lambda backbone: None,
    "no padding copies": ImageBackbone.flip_vertically,
    "no padding copies, fused": make_fast,
}


def towers(kept_from: int) -> dict[str, ImageBackbone]:
    """Build the variants, ready to encode."""
    torch.manual_seed(0)
    image = TwoTowerConfig.load(BUNDLED / "mini" / CONFIG).image
    plain = build_backbone(replace(image, kept_from=kept_from)).eval().requires_grad_(False)
    fold_norms(plain)
    plain.to(memory_format=torch.channels_last)
    made = {name: copy.deepcopy(plain) for name in VARIANTS}
    for name, change in VARIANTS.items():
        change(made[name])
    return made


def measure(backbones: dict[str, ImageBackbone], pixels: Tensor, rounds: int) -> dict[str, list[float]]:
    """Measure images a CPU second of each variant, in each round but a first one to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in backbones}
    for _ in range(rounds + 1):
        for name, backbone in backbones.items():
            started = time.process_time()
            backbone(pixels)
            rates[name].append(len(pixels) / (time.process_time() - started))
    return {name: values[1:] for name, values in rates.items()}


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kept-from", type=int, nargs="+", default=[6])
    args = parser.parse_args()
    retain_freed_memory()  # as vlsearch index does
    torch.set_num_threads(args.threads)
    pixels = torch.randn(args.batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    rows = []
    for kept_from in args.kept_from:
        rates = measure(towers(kept_from), pixels, args.rounds)
        base = statistics.median(rates["plain"])
        for name, values in rates.items():
            middle = statistics.median(values)
            spread = (f"{min(values):.1f}", f"{max(values):.1f}")
            rows.append((name, kept_from, f"{middle:.1f}", *spread, f"{middle / base:.2f}"))
    conditions = f"float32, {args.threads} thread(s), passes of {args.batch}, {args.rounds} rounds"
    isa = torch.backends.cpu.get_cpu_capability()
    command = "python -m benchmarks.encoders.speed"
    head = provenance(command, packages=("torch", "torchvision"), note=f"{conditions}, {isa}")
    write_table(TABLE, ["# Speed of the image tower", "", *head, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
