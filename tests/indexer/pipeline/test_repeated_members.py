"""An archive to which ``tar -r`` has added newer members: one truth for index, eval, query and every further run."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from retrieval.collection import Collection
from retrieval.errors import QueryError
from retrieval.evaluation.evaluate import load_evaluation
from retrieval.query.image_sources import read_source
from retrieval.types import InlineBytes, Limits
from retrieval.uris import file_uri
from tests.builders import Index, uris


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A red ``a.png`` and its caption, both replaced by blue ones that were appended, beside a green ``b.png``."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name, colour, words in (("a", "red", "red"), ("b", "lime", "green")):
            _add(tar, f"{name}.png", _png(colour))
            _add(tar, f"{name}.txt", words.encode())
    with tarfile.open(path, "a") as tar:
        _add(tar, "a.txt", b"blue")
        _add(tar, "./a.png", _png("blue"))
    return path


def test_the_newer_picture_has_the_newer_caption_at_every_run(
    index: Index, archive: Path, collection: Path
) -> None:
    reports = [index(archive) for _ in range(3)]

    assert [report.encoded for report in reports] == [4, 0, 0]
    assert [report.unchanged for report in reports] == [0, 4, 4]
    assert [(report.images, report.captions, report.links) for report in reports] == [(2, 2, 2)] * 3
    assert reports[0].left_out == {"replaced member": 2}
    with Collection.open(collection) as opened:
        (picture,) = [
            hit for hit in opened.items(list(uris(collection).values())) if hit.uri.endswith("#a.png")
        ]
    assert [text.text for text in picture.captions] == ["blue"]


def test_an_evaluation_pairs_them_alike(archive: Path) -> None:
    evaluated = load_evaluation(archive)

    assert sorted(text.text for text in evaluated.texts) == ["blue", "green"]


def test_a_query_by_the_members_uri_reads_the_bytes_that_were_indexed(archive: Path) -> None:
    assert read_source(file_uri(archive, "a.png"), Limits()) == InlineBytes(_png("blue"))


def test_a_query_by_a_member_that_is_not_there_is_an_error(archive: Path) -> None:
    with pytest.raises(QueryError, match=r"there is no member c\.png"):
        read_source(file_uri(archive, "c.png"), Limits())


def _png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), colour).save(buffer, "PNG")
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
