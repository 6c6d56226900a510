"""RAW files, JPEG XL, documents and videos inside tars and tables: taken, or counted by their kind."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.collection import Collection
from retrieval.decoding.pool import DecodePool
from retrieval.extras import is_installed
from retrieval.query.parse import parse_query
from retrieval.query.pictures import Pictures
from retrieval.types import Item
from retrieval.uris import file_uri
from tests.builders import HashEncoder, uris
from tests.pdf_files import pdf
from tests.raw_files import dng
from tests.retrieval.corpora.corpus_reading import write_tar

pytestmark = pytest.mark.skipif(
    not all(map(is_installed, ("raw", "jxl", "pdf"))), reason="the extras raw, jxl and pdf are not installed"
)

VIDEO = b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(64)


def encoded(colour: str, format_: str, *more: str) -> bytes:
    if format_ == "JXL":
        import pillow_jxl  # noqa: F401  registers itself

    file = io.BytesIO()
    others = [Image.new("RGB", (60, 40), one) for one in more]
    settings = {"save_all": True, "append_images": others} if others else {}
    Image.new("RGB", (60, 40), colour).save(file, format_, **settings)
    return file.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    members = {
        "a.dng": dng(Image.new("RGB", (64, 48), "red")),
        "b.jxl": encoded("lime", "JXL"),
        "clip.mp4": VIDEO,
        "doc.pdf": pdf("Words on a page", 2),
        "doc.txt": b"a caption",
        "pair.dng": dng(Image.new("RGB", (64, 48), "blue")),
        "pair.jpg": encoded("navy", "JPEG"),
        "scan.tif": encoded("red", "TIFF", "yellow", "blue"),
    }
    return write_tar(tmp_path / "t.tar", members)


def build(corpus: Path, collection: Path, prune: bool = False) -> indexer.Report:
    return indexer.build(corpus, collection, model=HashEncoder(), prune=prune)


def items(collection: Path) -> dict[str, Item]:
    """The image items by the fragment of their uris."""
    by_id = {id: unquote(name).partition("#")[2] for name, id in uris(collection).items()}
    with Collection.open(collection) as opened:
        return {by_id[item.id]: item for item in opened.items(list(by_id))}


def test_members_of_every_kind_are_items_and_videos_are_counted(archive: Path, collection: Path) -> None:
    report = build(archive, collection)

    found = items(collection)
    assert sorted(found) == [
        "a.dng",
        "b.jxl",
        "doc.pdf#page=1",
        "doc.pdf#page=2",
        "pair.jpg",
        "scan.tif",
        "scan.tif#page=2",
        "scan.tif#page=3",
    ]
    assert (report.encoded, report.failed, report.left_out) == (9, 0, {"video": 1})
    assert found["pair.jpg"].attributes["raw"] == "pair.dng"
    assert [found["scan.tif#page=3"].attributes[name] for name in ("page", "pages")] == [3, 3]
    texts = {text.origin: text.text for text in found["doc.pdf#page=2"].texts}
    assert texts["page"] == "Words on a page 2"
    assert [len(found[f"doc.pdf#page={page}"].captions) for page in (1, 2)] == [1, 0]


def test_an_archive_that_is_as_it_was_costs_nothing(
    archive: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(archive, collection)
    monkeypatch.delattr(DecodePool, "list_parts")
    monkeypatch.delattr(DecodePool, "prepare")

    report = build(archive, collection, prune=True)

    assert (report.unchanged, report.encoded, report.failed, report.removed) == (9, 0, 0, 0)


def test_pages_of_members_are_shown_and_asked_with(archive: Path, collection: Path) -> None:
    build(archive, collection)
    found = items(collection)
    page = found["scan.tif#page=2"].id

    with Collection.open(collection) as opened, Pictures(opened) as pictures:
        shown = pictures.thumbnail(pictures.find([page])[page], 240)
        with Image.open(io.BytesIO(shown)) as image:
            pixel = image.convert("RGB").getpixel((30, 20))
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        hit, *_ = engine.search(parse_query([f"{archive}#scan.tif#page=2"]), find="image", k=1)

    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, (255, 255, 0), strict=True)) < 12
    assert hit.id == page
    assert hit.score == pytest.approx(1)
    assert hit.uri == file_uri(archive, "scan.tif#page=2")


def test_a_damaged_document_in_an_archive_is_a_failure_and_the_rest_is_taken(
    tmp_path: Path, collection: Path
) -> None:
    archive = write_tar(tmp_path / "t.tar", {"a.pdf": b"%PDF-1.4 no", "b.png": encoded("red", "PNG")})

    first, second = build(archive, collection), build(archive, collection)

    assert (first.encoded, first.failed, second.unchanged, second.failed) == (1, 1, 1, 1)
    assert first.reasons[0].example == file_uri(archive, "a.pdf")
    assert "damaged" in first.reasons[0].reason


def test_without_their_extras_members_are_counted_by_their_kind(
    archive: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.file_kinds._is_installed", lambda _: False)

    report = build(archive, collection)

    assert report.left_out == {"JPEG XL picture": 1, "PDF": 1, "RAW picture": 2, "video": 1}
    assert "pair.jpg" in items(collection)


def test_pictures_stored_in_a_table_are_what_their_bytes_are_and_of_several_the_first(
    tmp_path: Path, collection: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    cells = [
        dng(Image.new("RGB", (64, 48), "red")),
        encoded("lime", "JXL"),
        pdf("Words on a page", 2),
        encoded("red", "TIFF", "yellow"),
        VIDEO,
    ]
    table = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"image": cells}), table)

    report = build(table, collection)

    assert sorted(items(collection)) == ["row=1", "row=2", "row=3", "row=4"]
    assert [(group.example, group.reason) for group in report.reasons] == [
        (file_uri(table, "row=5"), "a video, not a picture")
    ]
