"""Peak memory of indexing many small pictures: it must not grow with their number.

    python benchmarks/indexing/memory.py --encoder hash

Each run is a process of its own over pictures of 64x48 pixels, every one different, in an uncompressed WebDataset tar
with a caption each. ``hash`` stands for the encoder by hashing pixels into vectors of 512, so that what is measured
is reading, decoding, committing and bookkeeping; ``mini`` is the bundled model, whose weights come on top.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import platform
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retrieval.identity import Identity

DIMENSION = 512


class HashEncoder:
    """Equal inputs to equal unit rows, at next to no cost."""

    identity = Identity("hash", "hash", "0" * 64, "", DIMENSION, "{}")
    dimension = DIMENSION
    image_size = 48

    def prepare_image(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image.convert("RGB").resize((48, 48)))

    def encode_prepared(self, prepared: Sequence[Any], batch_size: int | None = None) -> np.ndarray:
        return self._rows([array.tobytes() for array in prepared])

    def encode_images(self, images: Sequence[Image.Image], batch_size: int | None = None) -> np.ndarray:
        return self.encode_prepared([self.prepare_image(image) for image in images])

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> np.ndarray:
        return self._rows([text.encode() for text in texts])

    def _rows(self, contents: Sequence[bytes]) -> np.ndarray:
        seeds = [int.from_bytes(hashlib.sha256(content).digest()[:8], "little") for content in contents]
        rows = np.array([np.random.default_rng(seed).standard_normal(DIMENSION) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make_corpus(path: Path, pictures: int) -> None:
    """A tar of so many different pictures of 64x48, a caption each; two captions in three are repeated."""
    with tarfile.open(path, "w") as tar:
        for number in range(pictures):
            rng = np.random.default_rng(number)
            small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
            data = io.BytesIO()
            small.resize((64, 48), Image.Resampling.NEAREST).save(data, "PNG")
            for name, content in (("png", data.getvalue()), ("txt", f"caption {number // 3}".encode())):
                member = tarfile.TarInfo(f"{number:07}.{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def index(corpus: Path, collection: Path, encoder: str) -> None:
    """One run; prints pictures, contents encoded, seconds and peak resident memory in MiB."""
    import indexer

    started = time.monotonic()
    report = indexer.build(corpus, collection, model=HashEncoder() if encoder == "hash" else encoder)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(report.images, report.encoded, report.failed, f"{seconds:.0f}", f"{peak:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--encoder", choices=["hash", "mini"], default="hash")
    parser.add_argument("--run", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        index(*options.run, options.encoder)
        return
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, encoder {options.encoder}\n")
    print("| pictures | run | encoded | failed | seconds | peak RSS, MiB |\n|--:|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for pictures in options.pictures:
            corpus, collection = Path(folder, f"{pictures}.tar"), Path(folder, f"{pictures}")
            make_corpus(corpus, pictures)
            for run in ("first", "second"):
                command = [
                    sys.executable,
                    __file__,
                    "--encoder",
                    options.encoder,
                    "--run",
                    corpus,
                    collection,
                ]
                done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                images, encoded, failed, seconds, peak = done
                print(
                    f"| {int(images):,} | {run} | {int(encoded):,} | {failed} | {seconds} | {peak} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
