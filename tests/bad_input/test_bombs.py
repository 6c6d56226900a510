"""Small files that become gigabytes, or that decode for minutes: indexed, queried by, within the budget and in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.fuzz.pictures import descendants, private_bytes
from tests.retrieval.decoding.pictures import black_png, chunk, encoded, photo, slow_bmp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SIDE = 14_000
PALETTE = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(range(256)))


def exif_bomb() -> bytes:
    """A JPEG of two million EXIF segments of 12 bytes."""
    data = encoded(photo(), "JPEG")
    return data[:2] + b"\xff\xe1\x00\x0aExif\0\0ab" * 2_000_000 + data[2:]


def chunk_bomb() -> bytes:
    """A PNG of two million chunks."""
    data = encoded(photo())
    return data[:33] + chunk(b"teXt", b"a\0b") * 2_000_000 + data[33:]


def scan_bomb() -> bytes:
    """A progressive JPEG whose last scan comes 30,000 times."""
    data = encoded(Image.new("RGB", (3000, 3000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 30_000 + data[-2:]


def large(mode: str, format_: str, side: int = SIDE, **settings: object) -> Callable[[], bytes]:
    return lambda: encoded(Image.new(mode, (side, side)), format_, **settings)


TAKEN = ""
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "grey-16-bit.png": (lambda: black_png(SIDE, SIDE, 16, 0), TAKEN),
    "rgba.png": (lambda: black_png(SIDE, SIDE, 8, 6), TAKEN),
    "palette.png": (lambda: black_png(SIDE, SIDE, 8, 3, PALETTE), TAKEN),
    "black.avif": (large("RGB", "AVIF", 12_000, speed=10), TAKEN),
    "clear.webp": (large("RGBA", "WEBP", 13_000, lossless=True, method=0, quality=0), TAKEN),
    "deflated.tiff": (large("RGBA", "TIFF", compression="tiff_deflate"), TAKEN),
    "progressive.jpg": (large("RGB", "JPEG", progressive=True, quality=10), TAKEN),
    "exif-segments.jpg": (exif_bomb, TAKEN),
    "chunks.png": (chunk_bomb, TAKEN),
    "scans.jpg": (scan_bomb, "scans, over the limit of 500"),
    "run-lengths.bmp": (lambda: slow_bmp(11_000), "took longer than 60 s|not enough image data"),
}
"""What makes each, and its reason; of a picture that takes a minute, that of a slow machine and that of a fast one."""


class Watched:
    """A command with the most memory that its processes held together, looked at twenty times a second."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "retrieval.cli", *map(str, arguments)]
        self.peak, self.workers = 0, set[int]()
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process:
            reader = threading.Thread(target=self._read, args=(process,))
            reader.start()
            while process.poll() is None:
                children = descendants(process.pid)
                self.workers |= set(children)
                self.peak = max(self.peak, sum(map(private_bytes, [process.pid, *children])))
                time.sleep(0.05)
            reader.join()
            self.code = process.returncode

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.output = process.stdout.read()


@pytest.mark.slow
def test_a_folder_of_bombs_is_indexed_within_the_default_budget_and_leaves_no_process(
    tmp_path: Path, model: Path
) -> None:
    from retrieval.decoding.budget import default_budget

    folder, collection = tmp_path / "bombs", tmp_path / "collection"
    folder.mkdir()
    for name, (make, _) in BOMBS.items():
        (folder / name).write_bytes(make())

    run = Watched("index", folder, "--model", model, "--collection", collection, "--json", "--timeout", "60")
    listed = Watched("info", "--failures", "--json", "--collection", collection)

    print(f"peak {run.peak / 2**20:,.0f} MiB of {default_budget() / 2**20:,.0f}")
    reasons = {Path(fact["uri"]).name: fact["reason"] for fact in map(json.loads, listed.output.splitlines())}
    assert "Traceback" not in run.output
    assert run.peak < default_budget()
    assert set(reasons) == {name for name, (_, reason) in BOMBS.items() if reason}
    for name, reason in reasons.items():
        assert any(expected in reason for expected in BOMBS[name][1].split("|"))
    assert not [pid for pid in run.workers if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
def test_a_worker_killed_by_hand_in_the_middle_of_a_run_costs_at_most_one_picture(
    tmp_path: Path, model: Path
) -> None:
    folder, collection = tmp_path / "photos", tmp_path / "collection"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:03}.jpg").write_bytes(encoded(photo(1600 + number, 1200), "JPEG"))
    command: list[str | Path] = [sys.executable, "-m", "retrieval.cli", "index", folder, "--model", model,
               "--collection", collection, "--json"]  # fmt: skip

    killed = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not killed:
            for pid in descendants(process.pid):
                spent = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
                if spent > 40 and not killed:  # hundredths of a second: it has come up, and is decoding
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            time.sleep(0.02)
        assert process.stdout is not None
        counts = json.loads(process.stdout.read().splitlines()[-1])

    assert killed == 1
    assert counts["images"] + counts["failed"] == 300
    assert counts["failed"] <= 1
    after = Watched("index", folder, "--model", model, "--collection", collection, "--json")
    assert json.loads(after.output.splitlines()[-1])["failed"] == 0
