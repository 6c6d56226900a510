"""The estimate of what decoding takes, held against the peak of a process that does it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.images.memory import bytes_needed, webp_bytes_needed

SIDES = (3200, 2500)
PEAK = """
import sys
from pathlib import Path
from retrieval.images import decode_whole
from retrieval.types import Limits
def peak():  # of this program: getrusage counts what its parent had before it
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) * 1024
data = Path(sys.argv[1]).read_bytes()
decode_whole(Path(sys.argv[2]).read_bytes(), Limits())  # what the decoder itself takes, once
before = peak()
decode_whole(data, Limits())
print(peak() - before)
"""
FORMATS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 85},
    "progressive JPEG": {"quality": 85, "progressive": True},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 60, "method": 0},
    "AVIF": {"quality": 40, "speed": 10},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
}


def photograph(width: int, height: int) -> Image.Image:
    """Smooth colours with some noise, as no decoder has a short way for."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    noise = rng.integers(-8, 9, (height // 4, width // 4, 1), np.int16).repeat(4, 0).repeat(4, 1)
    return Image.fromarray(
        np.clip(smooth[: noise.shape[0], : noise.shape[1]] + noise, 0, 255).astype(np.uint8)
    )


def encoded(name: str, image: Image.Image, **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, name.rpartition(" ")[2], **(FORMATS[name] | more))
    return file.getvalue()


def estimate(data: bytes, size: tuple[int, int], name: str) -> int:
    if name == "WEBP":
        return webp_bytes_needed(size, len(data))
    with Image.open(io.BytesIO(data)) as image:
        return bytes_needed(image, image.width * image.height, len(data))


def peak_of(data: bytes, tiny: bytes, folder: Path) -> int:
    (folder / "large").write_bytes(data)
    (folder / "tiny").write_bytes(tiny)
    command = [sys.executable, "-c", PEAK, str(folder / "large"), str(folder / "tiny")]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a program its own peak")
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("name", FORMATS)
def test_decoding_takes_no_more_than_the_estimate_and_not_far_less(
    name: str, orientation: int, tmp_path: Path
) -> None:
    if orientation != 1 and name not in ("JPEG", "progressive JPEG", "PNG", "TIFF"):
        pytest.skip("no other format is written with an orientation")
    image = photograph(*SIDES)
    more: dict[str, object] = {}
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        more["exif"] = exif.tobytes()
    data = encoded(name, image, **more)

    peak = peak_of(data, encoded(name, image.resize((8, 8))), tmp_path)

    needed = estimate(data, image.size, name)
    assert peak <= needed
    assert needed <= 6 * peak + 32 * 2**20


@pytest.mark.parametrize("name", FORMATS)
def test_an_estimate_grows_with_the_pixels_and_is_more_than_the_image_itself(name: str) -> None:
    small, large = photograph(40, 40), photograph(400, 400)

    one, other = (estimate(encoded(name, image), image.size, name) for image in (small, large))

    held = 1 if name == "GIF" else 3
    assert other - one >= held * (400 * 400 - 40 * 40)
