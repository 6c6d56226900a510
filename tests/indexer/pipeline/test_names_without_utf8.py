"""File names that are not UTF-8, in every role that a name has in a folder: what is there is found, nothing fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

import indexer
from retrieval.collection import Collection
from tests.builders import HashEncoder, draw
from tests.raw_files import dng
from tests.retrieval.corpora.corpus_reading import write

pytestmark = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file names there are Unicode")

NAME = os.fsdecode(b"caf\xe9")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder in which an image, what lies beside it and what is left out have such names, and the folder too."""
    path = tmp_path / NAME
    path.mkdir()
    draw(path / f"{NAME}.jpg", (1, 0, 0))
    write(path / f"{NAME}.dng", dng(Image.new("RGB", (64, 48), "blue")))
    write(path / f"{NAME}.txt", "a café".encode())
    write(path / f"{NAME}.xmp", XMP)
    write(path / f"{NAME}.jpg.json", json.dumps({"title": "t", "description": "d"}).encode())
    write(path / f"{NAME}.mov", b"a Live Photo's")
    write(path / f"x.{NAME}", b"of no known kind")
    write(path / f"{NAME}.pdf", b"%PDF-1.4 broken")
    return path


def test_names_that_are_not_utf8_stop_nothing(folder: Path, collection: Path) -> None:
    first = indexer.build(folder, collection, model=HashEncoder())
    again = indexer.build(folder, collection, model=HashEncoder())

    assert (first.images, first.captions, first.links, first.failed) == (1, 1, 1, 1)
    assert (again.encoded, again.unchanged, again.failed, again.left_out) == (0, 2, 1, first.left_out)
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_an_attribute_that_names_a_file_shows_what_is_not_utf8_as_question_marks(
    folder: Path, collection: Path
) -> None:
    indexer.build(folder, collection, model=HashEncoder())

    with Collection.open(collection) as opened:
        (image,) = opened.newest("image")
    assert (image.attributes["raw"], image.attributes["rating"]) == ("caf?.dng", 4)
