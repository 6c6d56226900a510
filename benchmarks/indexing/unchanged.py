"""CPU time of a second run over many pictures that have not changed, beside commit 3361a8a.

    python -m benchmarks.indexing.unchanged

20,000 JPEGs in 100 folders hold EXIF (camera, lens, exposure, time, place), and every tenth has an XMP sidecar. The
commit, taken out of the repository's history, reads no metadata. Each version makes a collection of its own, whose
vectors are noise: a second run reads none. Then ``vlsearch index FOLDER`` runs over it, in a new process each time
and the versions in turns. The time is user and system time of the process and its children. Rewrites unchanged.md.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from PIL import Image

from benchmarks.commits import unpack
from benchmarks.indexing.decoding import BEFORE
from benchmarks.provenance import ROOT, markdown_table, provenance, write_table

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("version", "CPU s", "range", "times")
FOLDERS = 100
_SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3">
<dc:subject><rdf:Bag><rdf:li>one</rdf:li><rdf:li>two</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
_NOISE = """
    import sys
    import numpy as np
    import indexer

    class Noise:
        image_size = 8

        def __init__(self, identity):
            self.identity = identity

        def prepare_image(self, image):
            return np.asarray(image.convert("RGB").resize((8, 8)))

        def encode_prepared(self, prepared, batch_size=None):
            return self.encode_texts(prepared)

        def encode_images(self, images, batch_size=None):
            return self.encode_texts(images)

        def encode_texts(self, texts, batch_size=None):
            rows = np.random.default_rng(len(texts)).standard_normal((len(texts), self.identity.dimension))
            return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    from retrieval.encoders.registry import load_encoder
    folder, collection = sys.argv[1:]
    identity = load_encoder("mini").identity
    report = indexer.build(folder, collection, model=Noise(identity))
    assert not report.failed, report
"""
_COMMAND = "from retrieval.cli import main; main()"


def make_pictures(folder: Path, number: int) -> None:
    """Write small JPEGs with EXIF, every one with other bytes, and the sidecars."""
    data = io.BytesIO()
    for index in range(number):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Testcam", "Testcam One"
        stamp = f"2021:{index % 12 + 1:02}:{index % 28 + 1:02} 10:{index // 60 % 60:02}:{index % 60:02}"
        exif.get_ifd(0x8769).update(
            {0x9003: stamp, 0x829D: 2.8, 0x829A: 0.01, 0x8827: 100 + index, 0x920A: 35.0, 0xA434: "Testlens"}
        )
        exif.get_ifd(0x8825).update(
            {1: "N", 2: (48.0, index % 60, index % 59), 3: "E", 4: (11.0, index // 60 % 60, 30.0)}
        )
        data.seek(0)
        data.truncate()
        colour = (index % 251, index // 251 % 251, 90)
        Image.new("RGB", (64, 48), colour).save(data, "JPEG", exif=exif)
        path = folder / f"{index % FOLDERS:03}" / f"IMG_{index:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.getvalue())
        if index % 10 == 0:
            path.with_suffix(".xmp").write_text(_SIDECAR)


def run(root: Path, code: str, *arguments: str | Path) -> float:
    """Run Python code of a version in a new process; give its CPU seconds, those of its children included."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each run compiles all sources anew
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{root}: exit {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def make(scratch: Path, pictures: int) -> dict[str, Path]:
    """Make the pictures and what each version has of them, unless they are there; give the versions' sources."""
    before = scratch / "before"
    roots = {BEFORE: before, "now": ROOT}
    if not before.exists():
        scratch.mkdir(exist_ok=True)
        make_pictures(scratch / "pictures", pictures)
        unpack(BEFORE, before)
        for version, root in roots.items():
            run(root, _NOISE, scratch / "pictures", scratch / f"collection of {version}")
    return roots


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--scratch", type=Path, help="Keep the collections here, and take those that are here."
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (args.scratch or Path(temporary)).absolute()
        roots = make(scratch, args.pictures)
        taken: dict[str, list[float]] = {version: [] for version in roots}
        for _ in range(args.rounds):
            for version, root in roots.items():
                where = ("--collection", scratch / f"collection of {version}")
                taken[version].append(run(root, _COMMAND, "index", scratch / "pictures", *where, "-q"))
    first = statistics.median(taken[BEFORE])
    rows = []
    for version, seconds in taken.items():
        middle = statistics.median(seconds)
        span = f"{min(seconds):.2f} to {max(seconds):.2f}"
        rows.append([version, f"{middle:.2f}", span, f"{middle / first:.2f}"])
    head = provenance(
        "python -m benchmarks.indexing.unchanged",
        packages=("numpy", "sqlalchemy", "torch", "openvino"),
        note=f"{args.pictures:,} pictures, {args.rounds} rounds",
    )
    write_table(TABLE, ["# A second run over unchanged pictures", "", *head, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
