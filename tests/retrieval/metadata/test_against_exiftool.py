"""What exiftool writes, into files and sidecars, is what we read (differential; where exiftool is installed)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from retrieval.metadata.read import Sidecar, read_metadata

EXIFTOOL = shutil.which("exiftool")
pytestmark = pytest.mark.skipif(EXIFTOOL is None, reason="exiftool is not installed")

CAMERA = [
    "-EXIF:Make=Apple", "-EXIF:Model=iPhone 12", "-EXIF:DateTimeOriginal=2021:04:12 15:30:12",
    "-EXIF:OffsetTimeOriginal=+02:00", "-EXIF:FNumber=1.6", "-EXIF:ExposureTime=1/120", "-EXIF:ISO=64",
    "-EXIF:FocalLength=4.2", "-EXIF:LensModel=iPhone 12 back camera", "-EXIF:GPSLatitude=48.2",
    "-EXIF:GPSLatitudeRef=N",
    "-EXIF:GPSLongitude=16.37", "-EXIF:GPSLongitudeRef=W", "-EXIF:GPSAltitude=170",
]  # fmt: skip
READ = {
    "taken": "2021-04-12T15:30:12+02:00", "camera": "Apple iPhone 12", "lens": "iPhone 12 back camera",
    "focal_length": 4.2, "aperture": 1.6, "exposure": 0.0083333, "iso": 64, "lat": 48.2, "lon": -16.37,
    "altitude": 170.0,
}  # fmt: skip
WORDS = {
    "title": "夕阳",
    "description": "Zwei am Fluß",
    "keywords": ["river", "河"],
    "creator": "Ann",
    "city": "Wien",
}
XMP = ["-XMP-dc:Title=夕阳", "-XMP-dc:Description=Zwei am Fluß", "-XMP-dc:Subject=river", "-XMP-dc:Subject=河",
       "-XMP-dc:Creator=Ann", "-XMP-photoshop:City=Wien", "-XMP-xmp:Rating=5"]  # fmt: skip
IPTC = ["-codedcharacterset=utf8", "-IPTC:ObjectName=夕阳", "-IPTC:Caption-Abstract=Zwei am Fluß",
        "-IPTC:Keywords=river",
        "-IPTC:Keywords=河", "-IPTC:By-line=Ann", "-IPTC:City=Wien"]  # fmt: skip


def _write(file: Path, options: list[str]) -> None:
    assert EXIFTOOL is not None
    command = [EXIFTOOL, "-q", "-overwrite_original", *options, str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_fields_of_cameras_are_read_from_each_format(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 6), "green").save(file)
    _write(file, CAMERA)

    assert read_metadata(file.read_bytes()) == READ


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_words_in_xmp_are_read_from_each_format(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 6), "green").save(file)
    _write(file, XMP)

    assert read_metadata(file.read_bytes()) == {**WORDS, "rating": 5}


def test_words_in_iptc_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    Image.new("RGB", (8, 6), "green").save(file)
    _write(file, IPTC)

    assert read_metadata(file.read_bytes()) == WORDS


def test_a_sidecar_file_says_what_an_image_would(tmp_path: Path) -> None:
    file = tmp_path / "a.xmp"
    _write(file, [*XMP, "-XMP-exif:GPSLatitude=-48.2", "-XMP-exif:GPSLongitude=16.37", "-XMP-mwg-rs:RegionName=Ann",
                  "-XMP-mwg-rs:RegionType=Face"])  # fmt: skip

    found = read_metadata(b"", sidecars=[Sidecar("a.xmp", file.read_bytes())])

    assert found == {**WORDS, "rating": 5, "lat": -48.2, "lon": 16.37, "people": ["Ann"]}
