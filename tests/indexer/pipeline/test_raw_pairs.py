"""A raw file and the camera's own picture of it are one item, which remembers the raw file."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import indexer
from indexer import Report
from retrieval.collection import Collection
from tests.builders import HashEncoder, draw, uris
from tests.raw_files import dng
from tests.retrieval.corpora.corpus_reading import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "corpus"
    path.mkdir()
    draw(path / "IMG_1.JPG", (1, 0, 0))
    write(path / "IMG_1.dng", dng(Image.new("RGB", (64, 48), "blue")))
    return path


def build(folder: Path, collection: Path, prune: bool = False) -> Report:
    return indexer.build(folder, collection, model=HashEncoder(), prune=prune)


def raw_of(collection: Path) -> dict[str, object]:
    by_name = uris(collection)
    with Collection.open(collection) as opened:
        items = opened.items(list(by_name.values()))
    names = {id: name for name, id in by_name.items()}
    return {names[item.id]: item.attributes.get("raw") for item in items}


def test_a_raw_file_beside_its_jpeg_is_an_attribute_of_the_jpeg(folder: Path, collection: Path) -> None:
    draw(folder / "other.jpg", (0, 1, 0))

    report = build(folder, collection)

    assert (report.images, report.failed, report.left_out) == (2, 0, {})
    assert raw_of(collection) == {"IMG_1.JPG": "IMG_1.dng", "other.jpg": None}


def test_a_raw_file_is_remembered_though_nothing_here_can_decode_it(
    folder: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.file_kinds._is_installed", lambda _: False)
    write(folder / "alone.cr2", b"raw")

    report = build(folder, collection)

    assert report.left_out == {"RAW picture": 1}
    assert raw_of(collection) == {"IMG_1.JPG": "IMG_1.dng"}


def test_without_its_jpeg_a_raw_file_is_an_item(folder: Path, collection: Path) -> None:
    build(folder, collection)
    (folder / "IMG_1.JPG").unlink()

    report = build(folder, collection, prune=True)

    assert (report.encoded, report.removed) == (1, 1)
    assert raw_of(collection) == {"IMG_1.dng": None}


def test_without_its_raw_file_a_jpeg_is_encoded_no_second_time(folder: Path, collection: Path) -> None:
    build(folder, collection)
    (folder / "IMG_1.dng").unlink()

    report = build(folder, collection, prune=True)

    assert (report.encoded, report.removed) == (0, 0)
    assert raw_of(collection) == {"IMG_1.JPG": None}


def test_a_sidecar_of_the_raw_file_describes_the_item(folder: Path, collection: Path) -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
    )
    write(folder / "IMG_1.dng.xmp", packet)

    build(folder, collection)

    with Collection.open(collection) as opened:
        (item,) = opened.items(list(uris(collection).values()))
    assert item.attributes["rating"] == 4
