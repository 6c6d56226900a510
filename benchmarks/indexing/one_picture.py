"""What one picture or one question costs in a new process: seconds, CPU seconds, and memory of all its processes.

    python -m benchmarks.indexing.one_picture CORPUS

CORPUS is what ``vlsearch index`` takes, of about a thousand pictures, and is indexed with ``mini`` first. Then the
real command line runs, in turn: a question in words, a picture as a question, the index of one new picture; none of
them was seen before. Seconds are medians. Memory comes from runs of its own, in which every 5 ms the shares of all
processes in what is resident are added up (PSS: what several processes map counts once in all, so that other programs
with the same libraries make it look smaller), and the largest resident set of a single process is noted. Rewrites
one_picture.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.provenance import markdown_table, provenance, write_table

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("new process", "seconds", "range", "CPU s", "peak PSS, MiB", "largest process, MiB")
EVERY_S = 0.005

Command = list[str | Path]


@dataclass(frozen=True)
class Cost:
    """Of one run: seconds of the clock and of the processor, or MiB of all processes and of the largest."""

    first: float
    second: float


def command_line(*words: str | Path) -> Command:
    """Give a command of this checkout."""
    return [sys.executable, "-m", "retrieval.cli", *words]


def run(command: Command) -> Cost:
    """Run a command; give its seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def run_watched(command: Command) -> Cost:
    """Run a command; give its memory (Linux)."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    together = largest = 0
    while process.poll() is None:
        sizes = [memory(pid) for pid in family(process.pid)]
        together = max(together, sum(share for share, _ in sizes))
        largest = max([largest, *(resident for _, resident in sizes)])
        time.sleep(EVERY_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {process.returncode}")
    return Cost(together / 1024, largest / 1024)


def family(pid: int) -> list[int]:
    """List a process and all that it has started, whatever thread did."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [one for child in thread.read_text().split() for one in family(int(child))]
        except OSError:  # it has ended
            continue
    return found


def memory(pid: int) -> tuple[int, int]:
    """Read the share of a process in what is resident, and what it has resident, in KiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    sizes = {name: int(size) for name, size, *_ in map(str.split, lines)}
    return sizes.get("Pss:", 0), sizes.get("Rss:", 0)


class Pictures:
    """Makes pictures that nobody has seen, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0

    def new(self) -> Path:
        """Give the folder of a new photograph's size and kind, 640x480."""
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir(parents=True)
        coarse = np.random.default_rng(self._number).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(folder / "new.jpg")
        return folder


def commands(collection: Path, pictures: Pictures) -> dict[str, Callable[[], Command]]:
    """Give what is measured: each makes a command that was not run before."""
    where = ("--collection", collection)
    words = iter(f"a dog and {number} red balls in the snow" for number in range(1, 10_000))
    return {
        "a question in words": lambda: command_line("query", next(words), "--list", *where),
        "a picture as a question": lambda: command_line(
            "query", pictures.new() / "new.jpg", "--find", "image", "--list", *where
        ),
        "the index of one new picture": lambda: command_line("index", pictures.new(), "--quiet", *where),
    }


def row(name: str, times: list[Cost], sizes: list[Cost]) -> tuple[str, ...]:
    """Make a row of the table."""
    seconds = [cost.first for cost in times]
    return (
        name,
        f"{statistics.median(seconds):.2f}",
        f"{min(seconds):.2f} to {max(seconds):.2f}",
        f"{statistics.median(cost.second for cost in times):.2f}",
        f"{statistics.median(cost.first for cost in sizes):.0f}",
        f"{statistics.median(cost.second for cost in sizes):.0f}",
    )


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = str(Path(temporary) / "cache")
        collection = Path(temporary) / "collection"
        run(command_line("index", args.corpus, "--model", "mini", "--quiet", "--collection", collection))
        made = commands(collection, Pictures(Path(temporary) / "pictures"))
        for make in made.values():  # files into the system's cache
            run(make())
        times: dict[str, list[Cost]] = {name: [] for name in made}
        sizes: dict[str, list[Cost]] = {name: [] for name in made}
        for _ in range(args.rounds):
            for name, make in made.items():
                times[name].append(run(make()))
        for _ in range(3):
            for name, make in made.items():
                sizes[name].append(run_watched(make()))
    head = provenance(
        "python -m benchmarks.indexing.one_picture CORPUS",
        packages=("numpy", "pillow", "openvino"),
        note=f"mini, a collection of {args.corpus.name}, {args.rounds} rounds, memory 3",
    )
    rows = [row(name, times[name], sizes[name]) for name in made]
    write_table(args.table, ["# One picture, one question", "", *head, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
