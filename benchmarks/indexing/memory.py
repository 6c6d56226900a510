"""Peak memory of indexing many small images: it must not grow with their number.

    python -m benchmarks.indexing.memory

Each run is a process of its own over images of 64x48 pixels, every one different, in an uncompressed WebDataset tar
with a caption each; two captions in three are repeated. ``hash`` is :class:`retrieval.testing.HashEncoder` with 512
dimensions, so that what is measured is reading, decoding, committing and bookkeeping; ``mini`` is the bundled model,
whose weights come on top. Rewrites memory.md.
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.provenance import ROOT, introduction, markdown_table, provenance, write_table
from retrieval.testing import HashEncoder

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("encoder", "images", "run", "encoded", "failed", "seconds", "peak RSS, MiB")
RUNS = {"hash": (10_000, 100_000), "mini": (10_000, 100_000)}


class _Forgetful(HashEncoder):
    """A HashEncoder that does not keep what it has encoded, which is a list for tests."""

    def _rows(self, contents: Sequence[bytes]) -> NDArray[np.float32]:
        self.encoded.clear()
        return super()._rows(contents)


def make_corpus(path: Path, images: int) -> None:
    """Write a tar of so many different images of 64x48, with a caption each."""
    with tarfile.open(path, "w") as tar:
        for number in range(images):
            rng = np.random.default_rng(number)
            small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
            data = io.BytesIO()
            small.resize((64, 48), Image.Resampling.NEAREST).save(data, "PNG")
            for name, content in (("png", data.getvalue()), ("txt", f"caption {number // 3}".encode())):
                member = tarfile.TarInfo(f"{number:07}.{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def index(corpus: Path, collection: Path, encoder: str) -> None:
    """Index once; print contents encoded, failures, seconds and peak resident memory in MiB of it and its workers."""
    import indexer

    model = _Forgetful(dimension=512, image_size=48) if encoder == "hash" else encoder
    started = time.monotonic()
    report = indexer.build(corpus, collection, model=model)
    seconds = time.monotonic() - started
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(report.encoded, report.failed, f"{seconds:.0f}", f"{peak:.0f}")


def measure(encoder: str, images: int, folder: Path) -> Iterator[tuple[object, ...]]:
    """Rows of the table for a first run over a corpus, and for a second one that finds nothing new."""
    corpus, collection = folder / f"{images}.tar", folder / f"{encoder}-{images}"
    if not corpus.exists():
        make_corpus(corpus, images)
    for run in ("first", "second"):
        options = ["--encoder", encoder, "--run", str(corpus), str(collection)]
        command = [sys.executable, "-m", "benchmarks.indexing.memory", *options]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        encoded, failed, seconds, peak = done.stdout.split()
        yield encoder, f"{images:,}", run, f"{int(encoded):,}", failed, seconds, peak


def main() -> None:
    """Rewrite the table, or make one run of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", choices=sorted(RUNS), help="measure this one alone")
    parser.add_argument(
        "--images", nargs="+", type=int, help="of each run, in place of the numbers of the table"
    )
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--run", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        index(options.run[0], options.run[1], options.encoder)
        return
    encoders = [options.encoder] if options.encoder else list(RUNS)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for name in encoders
            for images in options.images or RUNS[name]
            for row in measure(name, images, Path(folder))
        ]
    command = "python -m benchmarks.indexing.memory"
    command += f" --encoder {options.encoder}" if options.encoder else ""
    command += f" --images {' '.join(map(str, options.images))}" if options.images else ""
    write_table(
        options.table,
        [
            "# Peak memory of indexing",
            "",
            *provenance(
                command, packages=("numpy", "torch", "faiss-cpu", "pillow", "sqlalchemy"), note="one repeat"
            ),
            "",
            introduction(__doc__),
            "Peak resident memory as the kernel counts it for the process, mapped files included.",
            "",
            *markdown_table(HEAD, rows),
        ],
    )


if __name__ == "__main__":
    main()
