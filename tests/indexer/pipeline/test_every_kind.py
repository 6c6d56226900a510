"""A folder of every kind of file becomes items, each with what its file, and files beside it, say of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import indexer
from retrieval.types import Attribute
from tests.every_kind import Row, table

EXIFTOOL = shutil.which("exiftool")

Attributes = dict[str, Attribute]

SHOT: Attributes = {
    "taken": "2023-05-06T07:08:09", "camera": "Testcam One", "focal_length": 50.0, "aperture": 2.8,
    "exposure": 0.004, "iso": 400,
}  # fmt: skip
EXIF: Attributes = {
    **SHOT, "taken": "2023-05-06T07:08:09+02:00", "lens": "Testlens 50", "lat": 48.2, "lon": 16.37,
    "altitude": 170.0, "description": "A jetty", "creator": "Ann",
}  # fmt: skip
LIGHTROOM: Attributes = {
    "taken": "2022-07-30T17:45:31+02:00", "camera": "Canon EOS R5", "lens": "RF50mm F1.2 L USM",
    "focal_length": 50.0, "aperture": 2.8, "exposure": 0.004, "iso": 100, "lat": 46.62, "lon": 14.31,
    "altitude": 440.0, "title": "Jetty", "description": "A jetty in the evening",
    "keywords": ["evening", "jetty"], "rating": 5, "label": "Red", "creator": "Ann Example",
    "city": "Klagenfurt", "region": "Kärnten", "country": "Österreich",
}  # fmt: skip
DIGIKAM: Attributes = {
    "taken": "2022-07-08T09:10:11", "title": "湖边", "description": "Ann am Wörthersee",
    "keywords": ["Lake", "Ann"], "people": ["Ann"], "rating": 4, "label": "Green",
}  # fmt: skip
TAKEOUT: Attributes = {
    "taken": "2021-04-12T15:30:12+00:00", "lat": 48.2, "lon": 16.37, "altitude": 170.0, "people": ["Ann", "李"],
    "favorite": True,
}  # fmt: skip
TAGGED: Attributes = {
    "taken": "2023-05-06T05:08:09+00:00", "duration": 20.0, "title": "A walk", "description": "by the sea",
    "creator": "Ann",
}  # fmt: skip
QUICKTIME: Attributes = {
    "taken": "2023-05-06T07:08:09+02:00", "camera": "Testcam One", "duration": 20.0, "lat": 48.2, "lon": 16.37,
    "altitude": 170.0, "title": "A walk",
}  # fmt: skip
SCANS: Attributes = {
    "taken": "2023-05-06T07:08:09+00:00", "title": "Scans", "description": "from the attic",
    "keywords": ["letters", "maps"], "creator": "Ann",
}  # fmt: skip
REPORT: Attributes = {
    "taken": "2021-04-12T15:30:00+02:00", "title": "Report", "keywords": ["one", "two"], "creator": "A. Writer",
}  # fmt: skip
CUT_NAME = "a photograph whose name is rather long.jpg"


def pages(name: str, said: Attributes, first: str = "") -> dict[str, Attributes]:
    """Give the items of a file of three pages; the first of a TIFF is named by the file alone."""
    names = [first or f"{name}#page=1", f"{name}#page=2", f"{name}#page=3"]
    return {item: {**said, "page": page, "pages": 3} for page, item in enumerate(names, start=1)}


def scenes(name: str, said: Attributes) -> dict[str, Attributes]:
    """Give the items of a video of two scenes, each of ten seconds."""
    return {f"{name}#t={start}": {**said, "time": float(start)} for start in (0, 10)}


ITEMS: dict[str, dict[str, Attributes]] = {
    "JPEG": {"a.jpg": EXIF},
    "PNG": {"a.png": EXIF},
    "WebP": {"a.webp": EXIF},
    "AVIF": {"a.avif": EXIF},
    "HEIC": {"a.heic": EXIF},
    "JPEG XL": {"a.jxl": EXIF},
    "TIFF": {"one.tif": EXIF},
    "GIF": {"a.gif": {}},
    "BMP": {"a.bmp": {}},
    "JPEG with XMP inside": {"inside.jpg": LIGHTROOM},
    "MPO": {"a.mpo": EXIF},
    "TIFF of three pages": pages("pages.tif", EXIF, first="pages.tif"),
    "PDF of scans": pages("scan.pdf", SCANS),
    "PDF of text": pages("text.pdf", REPORT),
    "RAW with a preview": {"preview.dng": SHOT},
    "RAW without": {"sensor.dng": SHOT},
    "RAW and its JPEG": {"pair.jpg": {**EXIF, "raw": "pair.dng"}},
    "MP4 video": scenes("clip.mp4", TAGGED),
    "MOV video": scenes("clip.mov", QUICKTIME),
    "MKV video": scenes("clip.mkv", TAGGED),
    "WebM video": scenes("clip.webm", TAGGED),
    "AVI video": scenes("clip.avi", {**TAGGED, "taken": "2023-05-06"}),
    "Live Photo, HEIC and MOV": {"IMG_0001.HEIC": EXIF},
    "Live Photo, JPEG and MOV": {"IMG_0002.JPG": EXIF},
    "XMP beside it, x.jpg.xmp of digiKam": {"digikam.jpg": DIGIKAM},
    "XMP beside it, x.xmp of Lightroom": {"lightroom.dng": LIGHTROOM},
    "Takeout, x.jpg.json": {"takeout.jpg": {**TAKEOUT, "description": "在海边"}},
    "Takeout, x.jpg.supplemental-metadata.json": {"newer.jpg": {**TAKEOUT, "description": "by the sea"}},
    "Takeout, a name that is cut": {CUT_NAME: {**TAKEOUT, "description": "long"}},
    "name of a camera": {"IMG_20210412_153012.jpg": {"taken": "2021-04-12T15:30:12"}},
    "name of a Pixel": {"PXL_20210412_153012345.jpg": {"taken": "2021-04-12T15:30:12+00:00"}},
    "names of WhatsApp": {
        "IMG-20210412-WA0003.jpg": {"taken": "2021-04-12"},
        "WhatsApp Image 2021-04-12 at 15.30.12.jpeg": {"taken": "2021-04-12T15:30:12"},
    },
}
"""The items of each kind, and what is known of them."""


class Indexed(NamedTuple):
    """The folder of every kind, and what became of it."""

    folder: Path
    rows: dict[str, Row]
    report: indexer.Report


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    place = tmp_path_factory.mktemp("kinds")
    return Indexed(place / "every kind", *table(place))


def test_nothing_fails_and_only_videos_of_live_photos_are_left_out(indexed: Indexed) -> None:
    assert (indexed.report.failed, indexed.report.left_out) == (0, {"Live Photo video": 2})
    assert list(indexed.rows) == list(ITEMS)


@pytest.mark.parametrize("kind", ITEMS)
def test_each_kind_of_file_becomes_its_items_with_what_is_said_of_them(indexed: Indexed, kind: str) -> None:
    assert indexed.rows[kind].items == ITEMS[kind]


def test_pages_of_documents_have_their_text(indexed: Indexed) -> None:
    assert {kind: row.texts for kind, row in indexed.rows.items() if row.texts} == {"PDF of text": 3}


TAGS = {
    "taken": ("SubSecDateTimeOriginal", "CreationDate", "DateTimeOriginal", "DateCreated", "CreateDate"),
    "lens": ("LensModel", "Lens"),
    "focal_length": ("FocalLength",),
    "aperture": ("FNumber",),
    "exposure": ("ExposureTime",),
    "iso": ("ISO",),
    "lat": ("GPSLatitude", "GeoDataLatitude"),
    "lon": ("GPSLongitude", "GeoDataLongitude"),
    "altitude": ("GPSAltitude", "GeoDataAltitude"),
    "title": ("Title",),
    "description": ("Description", "ImageDescription", "Comment", "Subject"),
    "keywords": ("Keywords", "Subject"),
    "people": ("RegionName", "PeopleName"),
    "rating": ("Rating",),
    "label": ("Label",),
    "favorite": ("Favorited",),
    "creator": ("Creator", "Artist", "Author"),
    "city": ("City",),
    "region": ("State",),
    "country": ("Country",),
    "duration": ("Duration",),
}
"""The names that exiftool gives to what our attributes hold."""

OF_THE_ITEM = {"time", "page", "pages", "raw"}  # no program writes them into a file


@pytest.mark.skipif(EXIFTOOL is None, reason="exiftool is not installed")
def test_exiftool_reads_the_same_out_of_each_file_and_its_sidecar(indexed: Indexed) -> None:
    said = said_by_exiftool(indexed.folder)
    different = {
        (name, attribute): (value, theirs)
        for row in indexed.rows.values()
        for name, attributes in row.items.items()
        if not dated_by_its_name(name)
        for attribute, value in attributes.items()
        if attribute not in OF_THE_ITEM
        and (theirs := as_attribute(attribute, said_of(name, row, said))) != value
    }

    assert different == {}


def dated_by_its_name(name: str) -> bool:
    return "20210412" in name or "2021-04-12" in name


def said_by_exiftool(folder: Path) -> dict[str, dict[str, Any]]:
    """Give exiftool's tags of each file by its name, numbers as numbers."""
    assert EXIFTOOL is not None
    ran = subprocess.run(
        [EXIFTOOL, "-j", "-n", "-q", str(folder)], check=True, capture_output=True, timeout=60
    )
    sidecars = subprocess.run(
        [EXIFTOOL, "-j", "-n", "-q", "-ext", "json", "-ext", "xmp", str(folder)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return {Path(one["SourceFile"]).name: one for out in (ran, sidecars) for one in json.loads(out.stdout)}


def said_of(name: str, row: Row, said: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Give the tags of an item's file, and over them those of its sidecar."""
    tags = dict(said[name.partition("#")[0]])
    for file in row.files:
        if file.endswith((".xmp", ".json")):
            tags |= said[file]
    return tags


def as_attribute(attribute: str, tags: Mapping[str, Any]) -> object:
    """Bring what exiftool says to the form of an attribute."""
    if attribute == "camera":
        make, model = tags.get("Make", ""), tags["Model"]
        return model if model.startswith(make) else f"{make} {model}"
    if attribute == "taken" and "PhotoTakenTimeTimestamp" in tags:
        return datetime.fromtimestamp(tags["PhotoTakenTimeTimestamp"], UTC).isoformat()
    value = next((tags[tag] for tag in TAGS[attribute] if tag in tags), None)
    if attribute == "taken":
        return iso_time(str(value), in_utc=tags["FileType"] == "MP4")
    if attribute in ("keywords", "people"):
        return value if isinstance(value, list) else [value]
    if attribute == "duration" and isinstance(value, str):  # of Matroska, 00:00:20.000
        hours, minutes, seconds = value.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return value


def iso_time(written: str, in_utc: bool) -> str:
    """Turn exiftool's ``2023:05:06 07:08:09.42Z`` to ISO 8601; an MP4's clock is UTC and does not say so."""
    day, _, clock = written.partition(" ")
    day = day.replace(":", "-")
    if not clock:
        return day
    zone = "+00:00" if in_utc else ""
    return f"{day}T{re.sub(r'[.][0-9]+', '', clock).replace('Z', '+00:00')}{zone}"
