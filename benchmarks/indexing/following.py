"""Folders that are followed: what becomes of a collection beside a fresh one, and what it costs to wait.

    python -m benchmarks.indexing.following [--pictures 1000] [--idle 600] [--folder F]

``vlsearch watch`` follows a folder of a few pictures while many are copied in; it is killed halfway (SIGKILL) and
started again; a tenth is renamed, killed once more, started again; a tenth is deleted. Then the collection is compared
with one that ``vlsearch index`` makes of the folder as it is now: names, contents, attributes, stamps and vectors, to
the last bit. Last, nothing happens for so many seconds, and the CPU time of the process and its children is taken from
/proc. Rewrites following.md.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image

import retrieval
from benchmarks.provenance import markdown_table, provenance, write_table
from benchmarks.serving.processes import PROC, ServerProcess
from tests.photographs import photograph

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("what", "result")
FIRST = 20  # pictures before it starts
PATIENCE_S = 900.0
VLSEARCH = (sys.executable, "-m", "retrieval.cli")

Held = dict[str, tuple[object, ...]]
"""What a collection holds of each picture, by its name in the folder."""


class Turn(NamedTuple):
    """When something had been done to the folder, and when the collection had caught up."""

    done: float
    seen: float


def make_pictures(folder: Path, number: int) -> list[Path]:
    """Write JPEGs that differ, with a date and a camera."""
    folder.mkdir(parents=True)
    paths = []
    for index in range(number):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Testcam", "Testcam One"
        exif.get_ifd(0x8769)[0x9003] = f"2021:{index % 12 + 1:02}:{index % 28 + 1:02} 10:00:{index % 60:02}"
        written = io.BytesIO()
        photograph(index).save(written, "JPEG", exif=exif)
        paths.append(folder / f"picture-{index:05}.jpg")
        paths[-1].write_bytes(written.getvalue())
    return paths


def names(collection: Path) -> set[str]:
    """Read which pictures a collection holds."""
    with retrieval.open(collection) as engine, engine.collection.reading() as view:
        return {Path(row.uri).name for page in view.pages("image") for row in page}


def held(collection: Path) -> Held:
    """Read all that a collection holds of each picture."""
    found: Held = {}
    with retrieval.open(collection) as engine, engine.collection.reading() as view:
        for page in view.pages("image"):
            vectors = view.vectors("image", [row.encoding for row in page if row.encoding is not None])
            for row, vector in zip(page, vectors, strict=True):
                known = (row.sha256, row.attributes, row.stamp, row.width, row.height, vector.tobytes())
                found[Path(row.uri).name] = known
    return found


@contextmanager
def following(collection: Path, log: Path) -> Iterator[ServerProcess]:
    """Run ``vlsearch watch`` until the block ends."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*VLSEARCH, "watch", "--collection", str(collection)], stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield ServerProcess(process.pid, "")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_until(is_so: Callable[[], bool], what: str) -> float:
    """Wait, and give the time at which it was so.

    Raises:
        SystemExit: it was not so for too long.
    """
    ends = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > ends:
            raise SystemExit(f"after {PATIENCE_S:.0f} s: not {what}")
        time.sleep(0.5)
    return time.monotonic()


def kill(process: ServerProcess) -> None:
    """Kill a process and what it has started, at once."""
    for pid in process.tree():
        os.kill(pid, signal.SIGKILL)


def cpu_seconds(process: ServerProcess) -> float:
    """Read the CPU seconds of a process, of its children that live and of those that have ended."""
    ticks = 0
    for pid in process.tree():
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def follow(folder: Path, pictures: int, idle: float) -> list[tuple[str, str]]:
    """Do all of it; give the rows of the table."""
    made = make_pictures(folder / "made", pictures + FIRST)
    root, collection, log = folder / "pictures", folder / "collection", folder / "watch.log"
    root.mkdir()
    for path in made[:FIRST]:
        shutil.copy2(path, root)
    subprocess.run([*VLSEARCH, "index", str(root), "--collection", str(collection), "-q"], check=True)
    tenth = pictures // 10

    def is_seen() -> bool:
        return names(collection) == {path.name for path in root.iterdir()}

    with following(collection, log) as process:
        for path in made[FIRST : FIRST + pictures // 2]:
            shutil.copy2(path, root)
        wait_until(lambda: len(names(collection)) > FIRST, "anything new indexed")
        kill(process)
    with following(collection, log) as process:
        for path in made[FIRST + pictures // 2 :]:
            shutil.copy2(path, root)
        copied = Turn(time.monotonic(), wait_until(is_seen, "all copied"))
        for path in made[FIRST : FIRST + tenth]:
            (root / path.name).rename(root / f"renamed-{path.name}")
        kill(process)
    with following(collection, log) as process:
        renamed = Turn(time.monotonic(), wait_until(is_seen, "renamed"))
        for path in made[-tenth:]:
            (root / path.name).unlink()
        deleted = Turn(time.monotonic(), wait_until(is_seen, "deleted"))
        before = cpu_seconds(process)
        time.sleep(idle)
        spent = cpu_seconds(process) - before
    fresh = folder / "fresh"
    subprocess.run([*VLSEARCH, "index", str(root), "--collection", str(fresh), "-q"], check=True)
    followed, anew = held(collection), held(fresh)
    equal = sum(followed.get(name) == known for name, known in anew.items())
    doctor = subprocess.run(
        [*VLSEARCH, "doctor", "--collection", str(collection)], capture_output=True, text=True, check=True
    )
    return [
        (
            f"copied in, {pictures} pictures, killed halfway: seconds to the last",
            f"{copied.seen - copied.done:.1f}",
        ),
        (f"renamed, {tenth}, killed then: seconds with starting again", f"{renamed.seen - renamed.done:.1f}"),
        (f"deleted, {tenth}: seconds", f"{deleted.seen - deleted.done:.1f}"),
        ("equal to a fresh collection, of its pictures", f"{equal} of {len(anew)}"),
        ("in the followed collection alone", str(len(followed.keys() - anew.keys()))),
        ("doctor", doctor.stdout.strip().rpartition(" is ")[2]),
        (f"CPU seconds in {idle:.0f} s without a change", f"{spent:.2f} = {spent / idle:.3%} of a core"),
    ]


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=600.0)
    parser.add_argument("--folder", type=Path, help="Work in this folder, which must not be there yet.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary) / "work").absolute()
        folder.mkdir(parents=True)
        rows = follow(folder, args.pictures, args.idle)
    head = provenance("python -m benchmarks.indexing.following", packages=("watchfiles", "pillow"))
    write_table(TABLE, ["# Folders that are followed", "", *head, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
