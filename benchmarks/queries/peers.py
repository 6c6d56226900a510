"""A query of words in a new process, beside rclip, with the same weights and as many pictures.

    python -m benchmarks.queries.peers --environments FOLDER

The weights are ViT-B/32 of random numbers at 256 pixels (see :mod:`benchmarks.indexing.peers`, which makes the
environments below FOLDER too; open_clip brings the vocabulary that rclip reads). Both collections hold random unit
rows, written as the programs write them. Each query asks with words that nobody has asked with before, and the answer
is ten file names. Programs take turns; medians. Rewrites peers.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.encoders.throughput import save_vit
from benchmarks.indexing.peers import EXPORTER, RCLIP, SIZE, environment, rclip_data
from benchmarks.provenance import markdown_table, provenance, write_table
from benchmarks.queries.latency import fill
from retrieval.encoders.hub_encoder import load_hub_encoder

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("program", "seconds", "range", "times")
VOCABULARY = "import open_clip; print(open_clip.__path__[0])"
FILL = """
import sys
import numpy as np
from rclip.db import DB
file, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
db, random = DB(file), np.random.default_rng(0)
for number in range(count):
    row = random.standard_normal(512).astype(np.float32)
    row /= np.linalg.norm(row)
    db.upsert_image({"filepath": f"{folder}/{number}.jpg", "modified_at": 1.0, "size": 1, "vector": row.tobytes(),
                     "hash": None}, commit=False)
db.close()
"""
ASK = "import os, sys; os.chdir(sys.argv.pop(1)); from rclip.main import main; main()"

Query = Callable[[str], float]


def timed(command: list[str | Path], **more: str) -> float:
    """Run a command; give its seconds."""
    started = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **more}, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode or len(done.stdout.splitlines()) != 10:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}, {done.stdout[:300]}")
    return time.perf_counter() - started


def programs(folder: Path, count: int, scratch: Path) -> dict[str, Query]:
    """Make both collections, unless ``scratch`` holds them; give what asks each."""
    rclip = environment(folder, "rclip", RCLIP, "python3.12")
    collection, data, pictures = scratch / "collection", scratch / "rclip", scratch / "pictures"
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    if not pictures.exists():
        make(folder, count, scratch)

    def of_vlsearch(words: str) -> float:
        command: list[str | Path] = [sys.executable, "-m", "retrieval.cli", "query", words]
        return timed([*command, "--collection", collection, "-k", "10", "--find", "image"])

    def of_rclip(words: str) -> float:
        command: list[str | Path] = [
            rclip / "python",
            "-c",
            ASK,
            pictures,
            "--no-indexing",
            "--filepath-only",
        ]
        return timed([*command, words], RCLIP_DATADIR=str(data), HF_HUB_OFFLINE="1")

    return {"vlsearch": of_vlsearch, "rclip": of_rclip}


def make(folder: Path, count: int, scratch: Path) -> None:
    """Make the model, as both programs read it, and both collections; the folder ``pictures`` at last."""
    exporter = environment(folder, "exporter", (*EXPORTER, "open-clip-torch"))
    checkpoint, pictures = scratch / "vit", scratch / "pictures"
    save_vit(checkpoint, SIZE)
    fill(scratch / "collection", load_hub_encoder(checkpoint), count)
    data = rclip_data(exporter, checkpoint, scratch / "rclip")
    found = subprocess.run(
        [exporter / "python", "-c", VOCABULARY], check=True, stdout=subprocess.PIPE, text=True
    )
    name = "bpe_simple_vocab_16e6.txt.gz"
    shutil.copy(Path(found.stdout.strip(), name), data / "tokenizer" / name)
    rclip = environment(folder, "rclip", RCLIP, "python3.12")
    subprocess.run([rclip / "python", "-c", FILL, data / "db.sqlite3", pictures, str(count)], check=True)
    pictures.mkdir()


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--scratch", type=Path, help="Keep the collections here, and take those that are here."
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (args.scratch or Path(temporary)).absolute()
        scratch.mkdir(exist_ok=True)
        asked = programs(args.environments.absolute(), args.pictures, scratch)
        for query in asked.values():
            query("words to begin with")
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for turn in range(args.rounds):
            for name, query in asked.items():
                taken[name].append(query(f"words {turn}"))
    ours = statistics.median(taken["vlsearch"])
    rows = []
    for name, seconds in taken.items():
        middle = statistics.median(seconds)
        span = f"{min(seconds):.2f} to {max(seconds):.2f}"
        rows.append([name, f"{middle:.2f}", span, f"{middle / ours:.2f}"])
    head = provenance(
        "python -m benchmarks.queries.peers --environments FOLDER",
        packages=("numpy", "openvino"),
        note=f"ViT-B/32, {args.pictures:,} pictures, {args.rounds} rounds; rclip 4.0.8",
    )
    write_table(TABLE, ["# A query in a new process", "", *head, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
