"""One file, many items: each page of a document or of a scan is an item, named by the file and its number."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

import indexer
import retrieval
from indexer import Report
from indexer.store.known import _FILE_PARTS
from retrieval.catalogue_name import CATALOGUE
from retrieval.collection import Collection
from retrieval.decoding.pool import DecodePool
from retrieval.errors import ImageError, QueryError
from retrieval.query.pictures import Pictures
from retrieval.types import FileBytes, Limits
from retrieval.uris import display
from tests.builders import HashEncoder, uris
from tests.pdf_files import pdf

COLOURS = ("red", "lime", "blue")


def picture(colour: str) -> Image.Image:
    return Image.new("RGB", (60, 40), colour)


def save_pages(path: Path, colours: tuple[str, ...] = COLOURS) -> Path:
    first, *others = map(picture, colours)
    first.save(path, save_all=True, append_images=others)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "corpus"
    path.mkdir()
    return path


def build(folder: Path, collection: Path, prune: bool = False) -> Report:
    return indexer.build(folder, collection, model=HashEncoder(), prune=prune)


def ids(collection: Path) -> dict[str, int]:
    return {unquote(name): id for name, id in uris(collection).items()}


def names(collection: Path) -> list[str]:
    return sorted(ids(collection))


def test_pages_of_a_document_are_items_with_their_numbers(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")

    report = build(folder, collection)

    assert names(collection) == ["doc.pdf#page=1", "doc.pdf#page=2", "doc.pdf#page=3"]
    assert (report.images, report.encoded, report.failed) == (3, 3, 0)
    with Collection.open(collection) as opened:
        items = opened.items(list(uris(collection).values()))
    assert sorted((item.attributes["page"], item.attributes["pages"]) for item in items) == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]


def test_the_first_page_of_a_tiff_is_the_file_and_one_of_one_page_has_no_number(
    folder: Path, collection: Path
) -> None:
    save_pages(folder / "scan.tif")
    save_pages(folder / "one.tiff", ("white",))

    build(folder, collection)

    assert names(collection) == ["one.tiff", "scan.tif", "scan.tif#page=2", "scan.tif#page=3"]
    with Collection.open(collection) as opened:
        (one,) = opened.items([ids(collection)["one.tiff"]])
    assert "page" not in one.attributes


def test_pages_have_the_pixels_of_their_page(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    save_pages(folder / "scan.tif")
    build(folder, collection)

    with Collection.open(collection) as opened, Pictures(opened) as pictures:
        by_name = ids(collection)
        found = pictures.find(by_name.values())
        for name, colour in (
            ("doc.pdf#page=2", "lime"),
            ("doc.pdf#page=3", "blue"),
            ("scan.tif#page=3", "blue"),
        ):
            shown = pictures.thumbnail(found[by_name[name]], 240)
            (folder.parent / "shown.webp").write_bytes(shown)
            with Image.open(folder.parent / "shown.webp") as image:
                pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
            wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
            assert isinstance(pixel, tuple)
            assert isinstance(wanted, tuple)
            assert max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 12, name


def test_files_that_are_as_they_were_are_not_opened_again(
    folder: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pages(folder / "doc.pdf")
    save_pages(folder / "scan.tif")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nonsense")
    assert build(folder, collection).failed == 1
    asked: list[Path] = []

    def refuse(_: DecodePool, path: Path) -> list[str]:
        asked.append(path)
        raise ImageError("asked")

    monkeypatch.setattr(DecodePool, "list_parts", refuse)
    report = build(folder, collection)

    assert (report.unchanged, report.failed, asked) == (6, 1, [])


def test_a_file_whose_listing_was_committed_in_part_is_listed_again(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    build(folder, collection)
    indexer.delete(collection, [f"{folder}/doc.pdf#page=2"])

    report = build(folder, collection)

    assert (report.images, report.encoded) == (3, 1)


def test_a_changed_file_loses_the_pages_that_it_no_longer_has(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    build(folder, collection)
    save_pages(folder / "doc.pdf", ("black",))

    report = build(folder, collection, prune=True)

    assert (report.removed, names(collection)) == (2, ["doc.pdf#page=1"])


def test_pages_of_a_file_that_cannot_be_read_now_are_kept(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    picture("white").save(folder / "a.png")
    build(folder, collection)
    (folder / "doc.pdf").write_bytes(b"%PDF-1.4 half of it")

    report = build(folder, collection, prune=True)

    assert (report.failed, report.removed) == (1, 0)
    assert report.reasons[0].example == (folder / "doc.pdf").as_uri()
    assert len(names(collection)) == 4


def test_pages_of_a_moved_file_keep_their_items(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    build(folder, collection)
    before = sorted(uris(collection).values())
    (folder / "doc.pdf").rename(folder / "moved.pdf")

    report = build(folder, collection, prune=True)

    assert (report.encoded, report.known, sorted(uris(collection).values())) == (0, 3, before)
    assert names(collection) == ["moved.pdf#page=1", "moved.pdf#page=2", "moved.pdf#page=3"]


def test_captions_beside_a_document_describe_its_first_page(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    (folder / "doc.txt").write_text("a flag", encoding="utf-8")

    report = build(folder, collection)

    assert (report.captions, report.links) == (1, 1)
    with Collection.open(collection) as opened:
        (first,) = opened.items([ids(collection)["doc.pdf#page=1"]])
    assert [caption.text for caption in first.captions] == ["a flag"]


def test_a_page_can_be_asked_with(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    build(folder, collection)

    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        query = retrieval.parse_query([f"{folder}/doc.pdf#page=3"])
        assert display(engine.search(query, k=1, find="image")[0].uri) == f"{folder}/doc.pdf#page=3"
        missing = retrieval.parse_query([f"{folder}/doc.pdf#page=9"])
        with pytest.raises(QueryError, match="no page 9"):
            engine.search(missing)


def test_a_file_with_too_many_pictures_gives_its_first_ones_and_says_so(
    folder: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.parts.MOST_PARTS", 2)
    save_pages(folder / "doc.pdf")

    for _ in range(2):
        report = build(folder, collection)

        assert (report.images, report.failed) == (2, 1)
        assert "of which the first are taken" in report.reasons[0].reason


def test_files_whose_extra_is_missing_are_left_out_and_taken_once_it_is_there(
    folder: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pages(folder / "doc.pdf")
    monkeypatch.setattr("retrieval.file_kinds._is_installed", lambda _: False)
    assert build(folder, collection).left_out == {"PDF": 1}
    monkeypatch.undo()

    assert build(folder, collection).images == 3


def test_thumbnails_in_the_chain_of_a_tiff_are_no_pages(tmp_path: Path) -> None:
    first, small = picture("red"), picture("red").resize((6, 4))
    reduced = ImageFileDirectory_v2()
    reduced[254] = 1
    small.encoderinfo = {"tiffinfo": reduced}
    first.save(tmp_path / "a.tif", save_all=True, append_images=[small, picture("blue")])

    with DecodePool(Limits(), workers=1) as pool:
        assert pool.list_parts(FileBytes(tmp_path / "a.tif")) == ["", "page=3"]


def test_words_find_a_page_by_its_text_which_is_no_caption(folder: Path, collection: Path) -> None:
    (folder / "doc.pdf").write_bytes(pdf("Invoice number", 3))

    report = build(folder, collection)

    assert report.captions == 0
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        hits = engine.search("invoice 2", mode="words", find="image")
    assert [display(hit.uri) for hit in hits] == [f"{folder}/doc.pdf#page=2"]
    assert [(text.origin, text.text) for text in hits[0].texts if text.origin == "page"] == [
        ("page", "Invoice number 2")
    ]
    assert hits[0].captions == ()


def test_another_model_encodes_pages_again_from_their_file(folder: Path, collection: Path) -> None:
    save_pages(folder / "doc.pdf")
    save_pages(folder / "scan.tif")
    build(folder, collection)

    report = indexer.reindex(collection, model=HashEncoder(dimension=24))

    assert (report.encoded, report.unreadable) == (6, 0)


def test_the_pictures_of_a_file_are_looked_up_by_the_index_of_uris(folder: Path, collection: Path) -> None:
    save_pages(folder / "scan.tif")
    build(folder, collection)

    with closing(sqlite3.connect(collection / CATALOGUE)) as catalogue:
        plan = catalogue.execute(
            f"EXPLAIN QUERY PLAN {_FILE_PARTS.sql}", ("file:///a.tif", "file:///a.tif#", "file:///a.tif$")
        ).fetchall()

    searches = [row[3] for row in plan if row[3].startswith(("SEARCH", "SCAN"))]
    assert len(searches) == 4
    assert all("(uri=?)" in one or "(uri>? AND uri<?)" in one for one in searches), searches
