"""A real run over many small pictures: they are drawn, listed, indexed in shards and merged, and CPU time is taken.

    python -m benchmarks.scale.real_run FOLDER STEP [--pictures 20000]

does one step, which is for :func:`run`. Each step is a process of its own that leaves ``PICTURES.STEP.json`` in FOLDER.
A run that was interrupted goes on with the step that was, from that step's beginning. The pictures are JPEGs of 16x16
pixels in tars of 10,000; the encoder costs next to nothing, so that what is left is listing, looking up, committing and
merging. No accelerator is built: vectors at random have no neighbours to find, and ``simulate --check-search`` checks
that. A million pictures take 7 GB.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

import indexer
from benchmarks.provenance import ROOT, commit
from indexer import CorpusOptions, Shard, open_corpus
from retrieval.testing import HashEncoder
from retrieval.types import Progress

SHARDS = 4
TAR_PICTURES = 10_000
STEPS = ("corpus", "list", *(f"shard-{number}" for number in range(1, SHARDS + 1)), "merge")
_NOTED_EVERY = 10_000  # entries of a step between two readings of its CPU time


@dataclass(frozen=True, slots=True)
class RealRun:
    """What a run took, in CPU seconds a picture and bytes a picture.

    Attributes:
        list_s: to list the corpus once.
        index_s: to index but for listing, decoding and encoding, in the process of a shard.
        merge_s: to merge but for listing.
        catalogue_bytes, vector_bytes: of the merged collection.
        shard_peak_mib, merge_peak_mib: memory of the processes, with pages of mapped files.
    """

    list_s: float
    index_s: float
    merge_s: float
    catalogue_bytes: float
    vector_bytes: float
    shard_peak_mib: float
    merge_peak_mib: float


def run(folder: Path, pictures: int) -> RealRun:
    """Do the steps that a folder lacks, one after the other, and give what all of them took."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {step: _run_step(folder, step, pictures) for step in STEPS}
    shards = [found[step] for step in STEPS if step.startswith("shard")]
    listing = found["list"]["cpu_s"]
    return RealRun(
        listing / pictures,
        (sum(one["cpu_s"] for one in shards) - SHARDS * listing) / pictures,
        (found["merge"]["cpu_s"] - listing) / pictures,
        found["merge"]["catalogue_bytes"] / pictures,
        found["merge"]["vector_bytes"] / pictures,
        max(one["peak_mib"] for one in shards),
        found["merge"]["peak_mib"],
    )


def costs_of(found: RealRun) -> dict[str, float]:
    """Give what a run took as unit costs, by their names."""
    return {name: getattr(found, name) for name in ("list_s", "index_s", "merge_s", "catalogue_bytes")}


def _run_step(folder: Path, step: str, pictures: int) -> dict[str, Any]:
    """Run a step in a process of its own, or give what an earlier run of it left."""
    noted = folder / f"{pictures}.{step}.json"
    if not noted.exists():
        print(f"{pictures:,} pictures: {step}", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.scale.real_run", str(folder), step]
        subprocess.run([*command, "--pictures", str(pictures)], cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(noted.read_text(encoding="utf-8"))
    return found


def do_step(folder: Path, step: str, pictures: int) -> dict[str, Any]:
    """Do a step from its beginning, and give its figures: CPU seconds of this process and of its workers, MiB, bytes.

    ``progress`` has the CPU seconds of this process after so many entries, so that what grows can be seen.
    """
    made = folder / str(pictures)
    target = made / step
    shutil.rmtree(target, ignore_errors=True)
    progress: list[tuple[int, float]] = []
    began, clock = time.process_time(), time.monotonic()

    def note(now: Progress) -> None:
        if now.done % _NOTED_EVERY == 0:
            progress.append((now.done, round(time.process_time() - began, 3)))

    _work_of(step, made, pictures, note)()
    found = {
        "cpu_s": time.process_time() - began,
        "workers_cpu_s": sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]),
        "wall_s": time.monotonic() - clock,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "progress": progress,
        "commit": commit(),
    }
    if (target / "catalogue.sqlite").exists():
        found["catalogue_bytes"] = (target / "catalogue.sqlite").stat().st_size
        found["vector_bytes"] = sum(one.stat().st_size for one in (target / "segments").iterdir())
    return found


def _work_of(
    step: str, made: Path, pictures: int, on_progress: Callable[[Progress], None]
) -> Callable[[], object]:
    """Give what does a step's work."""
    corpus = str(made / "corpus" / f"{{000000..{-(-pictures // TAR_PICTURES) - 1:06}}}.tar")

    def list_all() -> None:
        for _ in open_corpus(corpus, CorpusOptions(shard=Shard(1, 10_000))).entries():
            pass

    def index(number: int) -> object:
        opened = open_corpus(corpus, CorpusOptions(shard=Shard(number, SHARDS)))
        encoder = HashEncoder(dimension=512)
        encoder.encoded = _Forgetting()
        with mock.patch("indexer.building.accelerate_if_due"):
            return indexer.build(
                opened, made / f"shard-{number}", model=encoder, workers=1, on_progress=on_progress
            )

    def merge() -> object:
        shards = [made / f"shard-{number}" for number in range(1, SHARDS + 1)]
        with mock.patch("indexer.merging.accelerate_if_due"):
            return indexer.merge(shards, made / "merge", on_progress=on_progress)

    if step == "corpus":
        return lambda: draw_corpus(made / "corpus", pictures)
    if step.startswith("shard"):
        return lambda: index(int(step.partition("-")[2]))
    return {"list": list_all, "merge": merge}[step]


class _Forgetting(list[object]):
    """Forgets what a :class:`HashEncoder` was given: a million arrays would stay in memory."""

    def __iadd__(self, others: object) -> _Forgetting:  # type: ignore[misc]
        return self


def draw_corpus(folder: Path, pictures: int) -> None:
    """Draw JPEGs of 16x16 pixels at random, the same each time, into tars."""
    rng = np.random.default_rng(26)
    folder.mkdir(parents=True)
    for number in range(pictures):
        if number % TAR_PICTURES == 0:
            tar = tarfile.open(folder / f"{number // TAR_PICTURES:06}.tar", "w")  # noqa: SIM115
        pixels = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(pixels, "JPEG", quality=50)
        member = tarfile.TarInfo(f"{number:09}.jpg")
        member.size = pixels.tell()
        pixels.seek(0)
        tar.addfile(member, pixels)
        if number % TAR_PICTURES == TAR_PICTURES - 1 or number == pictures - 1:
            tar.close()


def main() -> None:
    """Do one step, and leave its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--pictures", type=int, default=20_000)
    options = parser.parse_args()
    figures = do_step(options.folder, options.step, options.pictures)
    noted = options.folder / f"{options.pictures}.{options.step}.json"
    noted.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
