"""What the fast image tower gains on the plain one: mini's backbone, by the CPU seconds of a picture.

    python benchmarks/encoders/speed.py > benchmarks/encoders/speed.md

Towers have mini's configuration, but for ``kept_from``, and random weights, on which time does not depend. Variants
take turns, round by round, so that what else the machine does meets all of them; medians, with the lowest and the
highest. CPU seconds, because they can be compared on a machine that does other work too, if only roughly: its caches
are shared. With ``--threads 2`` CPU seconds are those of both.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from retrieval.encoders.registry import BUNDLED
from retrieval.encoders.two_tower import TwoTowerConfig
from retrieval.encoders.two_tower.backbones import ImageBackbone, build_backbone, fold_norms
from retrieval.encoders.two_tower.encoder import CONFIG
from retrieval.encoders.two_tower.fused import make_fast
from retrieval.encoders.two_tower.memory import retain_freed_memory

VARIANTS: dict[str, Callable[[ImageBackbone], None]] = {
    "plain": lambda backbone: None,
    "no padding copies": ImageBackbone.stand_on_head,
    "no padding copies, fused": make_fast,
}


def towers(kept_from: int) -> dict[str, ImageBackbone]:
    """The variants, ready to encode."""
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
    """Pictures a CPU second, by variant, of each round but a first one to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in backbones}
    for _ in range(rounds + 1):
        for name, backbone in backbones.items():
            started = time.process_time()
            backbone(pixels)
            rates[name].append(len(pixels) / (time.process_time() - started))
    return {name: values[1:] for name, values in rates.items()}


def head(args: argparse.Namespace) -> str:
    def told(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    here = str(Path(__file__).parent)
    commit = told("git", "-C", here, "rev-parse", "--short", "HEAD")
    if told("git", "-C", here, "status", "--porcelain"):
        commit += " with changes"
    cpu = next(
        (
            x.partition(":")[2].strip()
            for x in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in x
        ),
        "",
    )
    return (
        f"# Speed of the image tower\n\n{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {cpu} "
        f"({torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}), Python "
        f"{platform.python_version()}, torch {torch.__version__}, float32, {args.threads} thread(s), passes of "
        f"{args.batch}, {args.rounds} rounds; made by `benchmarks/encoders/speed.py`, whose head says how.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kept-from", type=int, nargs="+", default=[6])
    args = parser.parse_args()
    retain_freed_memory()  # as vlsearch index does
    torch.set_num_threads(args.threads)
    pixels = torch.randn(args.batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    print(head(args))
    print(
        "| kept_from | variant | pictures a CPU second | lowest | highest | ratio |\n|--:|---|--:|--:|--:|--:|"
    )
    for kept_from in args.kept_from:
        rates = measure(towers(kept_from), pixels, args.rounds)
        base = statistics.median(rates["plain"])
        for name, values in rates.items():
            middle = statistics.median(values)
            spread = f"{min(values):.1f} | {max(values):.1f}"
            print(f"| {kept_from} | {name} | {middle:.1f} | {spread} | {middle / base:.2f} |", flush=True)


if __name__ == "__main__":
    main()
