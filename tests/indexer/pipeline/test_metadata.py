"""What cameras and people wrote becomes attributes of items, and follows its files without encoding anything again."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

import retrieval
from retrieval.types import Attribute
from tests.builders import Index, uris
from tests.retrieval.metadata.test_xmp import packet

TAKEN, CAMERA = "2021-04-12T15:30:12", "Canon EOS 5D"
COLOURS = {"a": "red", "b": "green", "c": "blue"}


def _jpeg(colour: str, camera: str | None = None) -> bytes:
    exif = Image.Exif()
    if camera is not None:
        exif[0x0110] = camera
        exif._ifds[0x8769] = {0x9003: "2021:04:12 15:30:12"}
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "JPEG", exif=exif.tobytes())
    return buffer.getvalue()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(_jpeg("red", CAMERA))
    (folder / "b.jpg").write_bytes(_jpeg("green"))
    (folder / "IMG_20200101_101112.jpg").write_bytes(_jpeg("blue"))
    return folder


def attributes(collection: Path) -> dict[str, Mapping[str, Attribute]]:
    with retrieval.Collection.open(collection) as opened:
        ids = uris(collection).values()
        return {item.uri.rpartition("/")[2]: item.attributes for item in opened.items(list(ids))}


def test_metadata_become_attributes(index: Index, photographs: Path, collection: Path) -> None:
    (photographs / "b.xmp").write_bytes(packet(attributes='xmp:Rating="4"'))
    (photographs / "b.jpg.json").write_bytes(json.dumps({"geoData": {}, "description": "海边"}).encode())

    report = index(photographs)

    assert attributes(collection) == {
        "a.jpg": {"taken": TAKEN, "camera": CAMERA},
        "b.jpg": {"rating": 4, "description": "海边"},
        "IMG_20200101_101112.jpg": {"taken": "2020-01-01T10:11:12"},
    }
    assert (report.encoded, report.failed, dict(report.left_out)) == (3, 0, {})


def test_a_second_run_reads_nothing(
    index: Index, photographs: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photographs / "b.xmp").write_bytes(packet(attributes='xmp:Rating="4"'))
    index(photographs)
    before = attributes(collection)
    monkeypatch.setattr("indexer.pipeline.reading.prepare_for_encoder", None)

    report = index(photographs)

    assert (report.unchanged, report.encoded) == (3, 0)
    assert attributes(collection) == before


@pytest.mark.parametrize("change", ["added", "changed", "removed"])
def test_a_sidecar_that_changes_changes_attributes_and_encodes_nothing(
    index: Index, photographs: Path, collection: Path, change: str
) -> None:
    sidecar = photographs / "b.xmp"
    if change != "added":
        sidecar.write_bytes(packet(attributes='xmp:Rating="1"'))
    index(photographs)
    if change == "removed":
        sidecar.unlink()
    else:
        sidecar.write_bytes(packet(attributes='xmp:Rating="5" xmp:Label="Green"'))

    report = index(photographs)

    wanted = {} if change == "removed" else {"rating": 5, "label": "Green"}
    assert attributes(collection)["b.jpg"] == wanted
    assert report.encoded == 0


def test_items_of_an_older_collection_get_their_metadata_without_encoding(
    index: Index, photographs: Path, collection: Path
) -> None:
    index(photographs)
    before = attributes(collection)
    _forget_metadata(collection)
    assert attributes(collection) == {name: {} for name in before}

    report = index(photographs)

    assert attributes(collection) == before
    assert report.encoded == 0


def _forget_metadata(collection: Path) -> None:
    """Write items as versions did that knew no metadata."""
    import sqlite3

    with sqlite3.connect(collection / "catalogue.sqlite") as connection:
        connection.execute(
            "UPDATE items SET attributes = '{}', stamp = substr(stamp, 1, instr(stamp, ' m1=') - 1)"
        )
    connection.close()


def test_what_a_table_says_counts_more_and_comes_and_goes_with_it(
    index: Index, photographs: Path, collection: Path, tmp_path: Path
) -> None:
    table = tmp_path / "photographs" / "table.csv"

    def write(*columns: str) -> None:
        with table.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["image", *columns])
            rows.writerow(["a.jpg", *("mine" for _ in columns)])

    write("camera", "shelf")
    index(table)
    assert attributes(collection)["a.jpg"] == {"taken": TAKEN, "camera": "mine", "shelf": "mine"}

    write("shelf")
    assert index(table).encoded == 0
    assert attributes(collection)["a.jpg"] == {"taken": TAKEN, "camera": CAMERA, "shelf": "mine"}

    write()
    assert index(table).encoded == 0
    assert attributes(collection)["a.jpg"] == {"taken": TAKEN, "camera": CAMERA}


def test_members_of_archives_have_metadata(index: Index, collection: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        member = tarfile.TarInfo("deep/PXL_20210412_153012345.jpg")
        data = _jpeg("red")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))

    index(tmp_path / "x.tar")

    assert list(attributes(collection).values()) == [{"taken": "2021-04-12T15:30:12+00:00"}]


@pytest.mark.parametrize("junk", [b"", b"\0" * 100, b"<x:xmpmeta", b'{"photoTakenTime": 3}', b"[" * 9_000])
def test_a_broken_sidecar_costs_nothing_but_itself(
    index: Index, photographs: Path, collection: Path, junk: bytes
) -> None:
    for name in ("a.xmp", "a.jpg.json", "b.jpg.xmp"):
        (photographs / name).write_bytes(junk)

    report = index(photographs)

    assert (report.encoded, report.failed) == (3, 0)
    assert attributes(collection)["a.jpg"] == {"taken": TAKEN, "camera": CAMERA}


def test_a_sidecar_that_is_a_pipe_is_not_waited_for(
    index: Index, photographs: Path, collection: Path
) -> None:
    os.mkfifo(photographs / "a.xmp")

    report = index(photographs)

    assert (report.encoded, report.failed) == (3, 0)


def test_sidecars_of_no_picture_are_counted_as_left_out(index: Index, photographs: Path) -> None:
    (photographs / "z.xmp").write_bytes(packet())
    (photographs / "metadata.json").write_bytes(b"{}")

    assert dict(index(photographs).left_out) == {"sidecar file": 1, "text file": 1}


def test_a_renamed_picture_keeps_its_item_and_its_metadata(
    index: Index, photographs: Path, collection: Path
) -> None:
    index(photographs)
    before = uris(collection)["a.jpg"]
    (photographs / "a.jpg").rename(photographs / "renamed.jpg")

    report = index(photographs, prune=True)

    assert uris(collection)["renamed.jpg"] == before
    assert attributes(collection)["renamed.jpg"] == {"taken": TAKEN, "camera": CAMERA}
    assert report.encoded == 0
