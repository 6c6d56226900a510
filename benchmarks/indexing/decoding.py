"""Pictures decoded a second, and what each costs: in workers, in threads as before, and by decoders alone.

    python -m benchmarks.indexing.decoding IMAGES

IMAGES is a folder of photographs of about 640x480 pixels. Those of 12 megapixels are made from them. What is measured
is what a run does with a new picture before the encoder sees it: read, hash, decode, prepare for a tower of 256 pixels.
``before`` is commit 3361a8a, taken out of the repository's history. ``alone`` is our own decoding and preparation in
one thread, colours included, and ``Pillow`` what nobody can leave out: open, decode at twice the target or more,
and resize. simplejpeg (the same scale, then Pillow's resize) and pyvips (its thumbnail) are measured where they
are installed. Runs alternate, each in a process of its own whose start is not counted; CPU time is that of the run and
of its workers together. The difference is the mean one of 8-bit levels from decoding in full and then preparing, over
eight pictures; Pillow alone, simplejpeg and pyvips ignore profiles, and squeeze where we crop long pictures. Rewrites
decoding.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from benchmarks.commits import unpack
from benchmarks.provenance import ROOT, markdown_table, provenance, write_table

TABLE = Path(__file__).with_suffix(".md")
BEFORE = "3361a8a"
WORKERS = 2
SIZES = {"640x480": 400, "12 MP": 24}

_COMMON = """
    import hashlib, json, os, sys, threading, time
    from pathlib import Path
    from retrieval.types import FileBytes, Limits
    root, folder, number, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    import retrieval
    assert Path(retrieval.__file__).resolve().parents[1] == Path(root).resolve(), retrieval.__file__
    found = sorted(folder.glob("*.jpg"))
    assert found, f"no photographs in {folder}"
    files = (found * (number // len(found) + 1))[:number]

    def ticks(pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(run, pids, read=None):
        before, started = sum(map(ticks, pids())), time.perf_counter()
        assert run(files) == len(files)
        wall = time.perf_counter() - started
        print(json.dumps([wall, sum(map(ticks, pids())) - before, difference(read)]))

    def difference(read):
        if read is None:
            return None
        import numpy as np
        from retrieval.decoding.preparations import Squeeze
        from retrieval.images import decode
        rule = Squeeze(256, 1.5, 0)
        pairs = [(rule.prepare(decode(path.read_bytes(), Limits())), read(path)) for path in files[:8]]
        return float(np.mean([abs(whole.astype(int) - found.astype(int)).mean() for whole, found in pairs]))

    def measure_alone(read):
        def run(some):
            return sum(read(path).shape == (256, 256, 3) for path in some)
        run(files[:8])
        measure(run, lambda: [os.getpid()], read)
"""
SOURCES = {
    "before": """
    import tempfile
    from indexer.decoding import DecodePool
    from retrieval.encoders.two_tower.config import ImageConfig
    from retrieval.encoders.two_tower.encoder import squeeze
    from retrieval.fetch import read_bytes
    config = ImageConfig(size=256, aspect=1.5)
    with DecodePool(workers, Limits(), Path(tempfile.mkdtemp()) / "journal") as pool:
        def read(path):
            data = read_bytes(FileBytes(path), Limits())
            hashlib.sha256(data).digest()
            return squeeze(pool.decode_picture(data, str(path), 256), config)
        def run(some):
            outcomes = pool.map(read, some, str, 64, threading.Event())
            return sum(outcome.shape == (256, 256, 3) for _, outcome in outcomes)
        run(files[:4])
        measure(run, lambda: [os.getpid()])
    """,
    "after": """
    from retrieval.decoding.ordered import map_in_order
    from retrieval.decoding.pool import DecodePool
    from retrieval.decoding.preparations import Squeeze
    rule = Squeeze(256, 1.5, 0)
    with DecodePool(Limits(), workers) as pool:
        def read(path):
            return pool.prepare(FileBytes(path), rule, lambda digest: True)
        def run(some):
            outcomes = map_in_order(read, some, pool.workers, 64, threading.Event())
            return sum(outcome.array.shape == (256, 256, 3) for _, outcome in outcomes)
        pool.start()
        run(files[:8])
        measure(run, lambda: [os.getpid(), *(process.pid for process in pool._all)], lambda path: read(path).array)
    """,
    "alone": """
    from retrieval.decoding.preparations import Squeeze
    from retrieval.decoding.prepare import prepare
    rule = Squeeze(256, 1.5, 0)
    measure_alone(lambda path: prepare(FileBytes(path), rule, Limits()).array)
    """,
    "Pillow": """
    import numpy as np
    from PIL import Image
    def read(path):
        with Image.open(path) as image:
            scale = max(1.0, min(image.size) / 512)
            image.draft(None, (int(image.width / scale), int(image.height / scale)))
            return np.asarray(image.convert("RGB").resize((256, 256), Image.Resampling.BICUBIC))
    measure_alone(read)
    """,
    "simplejpeg": """
    import numpy as np, simplejpeg
    from PIL import Image
    def read(path):
        side = 512
        pixels = simplejpeg.decode_jpeg(path.read_bytes(), "RGB", min_height=side, min_width=side)
        return np.asarray(Image.fromarray(pixels).resize((256, 256), Image.Resampling.BICUBIC))
    measure_alone(read)
    """,
    "pyvips": """
    import pyvips
    pyvips.cache_set_max(0)
    def read(path):
        return pyvips.Image.thumbnail(str(path), 256, height=256, size="force").numpy()[:, :, :3]
    measure_alone(read)
    """,
}
_OPTIONAL = ("simplejpeg", "pyvips")


def make_large(pictures: Path, folder: Path, number: int) -> None:
    """JPEGs of 4000x3000 pixels, quality 90, from photographs."""
    folder.mkdir()
    for path in sorted(pictures.glob("*.jpg"))[:number]:
        with Image.open(path) as image:
            large = image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
        large.save(folder / path.name, quality=90)


def run(source: str, root: Path, pictures: Path, number: int) -> tuple[float, float, float | None]:
    """Pictures a second, CPU-milliseconds a picture, and the difference from decoding in full."""
    code = textwrap.dedent(_COMMON) + textwrap.dedent(source)
    command = [sys.executable, "-c", code, str(root), str(pictures), str(number), str(WORKERS)]
    environment = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root, env=environment)
    wall, cpu, difference = json.loads(done.stdout)
    return number / wall, 1000 * cpu / number, difference


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=lambda given: Path(given).resolve())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--note", default="", help="what else a reader must know of the machine meanwhile")
    options = parser.parse_args()
    figures: dict[tuple[str, str], list[tuple[float, float, float | None]]] = {}
    sources = {name: source for name, source in SOURCES.items() if name not in _OPTIONAL or find_spec(name)}
    with tempfile.TemporaryDirectory() as temporary:
        make_large(options.images, Path(temporary, "large"), SIZES["12 MP"])
        folders = {"640x480": options.images, "12 MP": Path(temporary, "large")}
        before = unpack(BEFORE, Path(temporary, "before"))
        for size, number in SIZES.items():
            for _ in range(options.repeats):
                for name, source in sources.items():
                    found = run(source, before if name == "before" else ROOT, folders[size], number)
                    figures.setdefault((size, name), []).append(found)
    rows = []
    for (size, name), measured in figures.items():
        difference = measured[0][2]
        rows.append(
            (
                size,
                name,
                _spread([one[0] for one in measured]),
                _spread([one[1] for one in measured]),
                "" if difference is None else f"{difference:.3f}",
            )
        )
    command = f"python -m benchmarks.indexing.decoding IMAGES --repeats {options.repeats}"
    lines = [
        "# Decoding, in worker processes, in threads, and alone",
        "",
        *provenance(command, packages=("numpy", "pillow", *_OPTIONAL), note=options.note),
        "",
        f"Read, hash, decode and prepare {SIZES['640x480']} photographs of about 640x480 pixels, and "
        f"{SIZES['12 MP']} of 4000x3000, for a tower of 256 pixels. {WORKERS} workers; {options.repeats} runs of "
        f"each, alternating; medians, the least and the most in brackets. Before: threads, commit {BEFORE}; after: "
        "this commit's worker processes. The others decode in one thread: our code alone, Pillow's decoder and resize, "
        "and what else is installed of simplejpeg and pyvips. Levels: mean difference from decoding in full.",
        "",
        *markdown_table(("images", "", "images a second", "CPU-ms an image", "levels"), rows),
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
