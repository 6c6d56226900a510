from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from retrieval.catalogue_name import is_collection
from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError
from retrieval.types import CorpusImage, CorpusText, Entry, FileBytes
from retrieval.uris import file_uri, split_file_uri
from tests.retrieval.corpora.corpus_reading import Read, read, write

posix = pytest.mark.skipif(os.name != "posix", reason="needs links and special files of POSIX")


def names(found: Read, root: Path) -> list[str]:
    return [
        str(one.location.path.relative_to(root))
        for one in found.pictures
        if isinstance(one.location, FileBytes)
    ]


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        write(root / path, b"")
    return root


def test_pictures_come_in_the_order_of_names_files_before_folders(tmp_path: Path) -> None:
    make(tmp_path, "b/2.png", "b/a/1.jpg", "z.jpg", "a/1.webp", "B.JPG", "a-b/x.gif", "c.txt", "d.py", "e")

    assert names(read(tmp_path), tmp_path) == [
        "B.JPG",
        "z.jpg",
        "a/1.webp",
        "a-b/x.gif",
        "b/2.png",
        "b/a/1.jpg",
    ]


@pytest.mark.parametrize(
    "suffix",
    ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "JPEG", "Png"],
)
def test_the_end_of_a_name_makes_a_candidate(tmp_path: Path, suffix: str) -> None:
    make(tmp_path, f"a.{suffix}", f"b.{suffix}.bak", f".{suffix}", suffix)

    assert names(read(tmp_path), tmp_path) == [f"a.{suffix}"]


def test_each_line_of_a_text_beside_a_picture_is_its_caption(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path / "a.txt", "\ufeffone\r\n\r\nzwei Bären\n")
    write(tmp_path / "a.jpg.txt", "three")
    write(tmp_path / "notes.txt", "not a caption")

    first, second = read(tmp_path, lang="en").entries

    path = tmp_path / "a.jpg"
    assert first == Entry(
        CorpusImage(file_uri(path), FileBytes(path)),
        (
            CorpusText(file_uri(tmp_path / "a.txt", "L1"), "one", lang="en"),
            CorpusText(file_uri(tmp_path / "a.txt", "L3"), "zwei Bären", lang="en"),
            CorpusText(file_uri(tmp_path / "a.jpg.txt", "L1"), "three", lang="en"),
        ),
    )
    assert second.texts == ()


def test_a_faulty_caption_file_is_a_failure_and_costs_its_picture_nothing(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    write(tmp_path / "a.txt", b"\xff\nfine")
    write(tmp_path / "b.txt", "x" * (2**20 + 1))
    write(tmp_path / "c.txt", "A dog.".encode("utf-16"))

    found = read(tmp_path)

    assert len(found.pictures) == 4
    assert found.words == ["fine"]
    assert [failure.uri for failure in found.failures] == [
        file_uri(tmp_path / "a.txt", "L1"), file_uri(tmp_path / "b.txt"), file_uri(tmp_path / "c.txt"),
    ]  # fmt: skip
    assert "not UTF-8" in found.reasons[0]
    assert "is longer than" in found.reasons[1]
    assert "is UTF-16" in found.reasons[2]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, ".thumbnails/a.jpg", "._b.jpg", ".hidden.jpg", "c.jpg")

    assert names(read(tmp_path), tmp_path) == ["c.jpg"]


def test_collections_are_passed_over_and_one_given_as_a_corpus_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "collection/catalogue.sqlite", "collection/b.jpg", "collection/deep/c.jpg")

    assert names(read(tmp_path), tmp_path) == ["a.jpg"]
    with pytest.raises(CorpusFormatError, match="is a collection, not a corpus"):
        read(tmp_path / "collection")
    with pytest.raises(CorpusFormatError, match="belongs to a collection"):
        read(tmp_path / "collection" / "catalogue.sqlite")


def test_what_is_passed_over_as_a_collection_is_what_readers_open_as_one(tmp_path: Path) -> None:
    make(tmp_path, "file/catalogue.sqlite", "file/a.jpg", "linked/a.jpg", "dangling/a.jpg", "itself/a.jpg")
    make(tmp_path, "folder/catalogue.sqlite/b.jpg", "folder/c.jpg")
    (tmp_path / "linked" / "catalogue.sqlite").symlink_to("../file/catalogue.sqlite")
    (tmp_path / "dangling" / "catalogue.sqlite").symlink_to("nowhere")
    (tmp_path / "itself" / "catalogue.sqlite").symlink_to("catalogue.sqlite")

    collections = {path.name for path in tmp_path.iterdir() if is_collection(path)}

    assert collections == {"file", "linked", "dangling", "itself"}
    assert names(read(tmp_path), tmp_path) == ["folder/c.jpg", "folder/catalogue.sqlite/b.jpg"]
    for name in collections:
        with pytest.raises(CorpusFormatError, match="is a collection, not a corpus"):
            read(tmp_path / name)


def test_excluded_names_and_all_below_them_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.png", "raw/b.jpg", "x/raw/c.jpg", "x/d.jpg", "x/deep/d.jpg")

    found = read(tmp_path, exclude=("*.png", "raw", "x/d.jpg"))

    assert names(found, tmp_path) == ["a.jpg", "x/deep/d.jpg"]


def test_a_folder_that_is_named_like_a_picture_is_walked(tmp_path: Path) -> None:
    make(tmp_path, "album.jpg/a.png")

    assert names(read(tmp_path), tmp_path) == ["album.jpg/a.png"]


@posix
def test_links_are_followed_and_loops_survive(tmp_path: Path) -> None:
    root = make(tmp_path / "root", "a.jpg", "deep/b.jpg")
    make(tmp_path / "elsewhere", "c.jpg")
    (root / "deep" / "up").symlink_to(root)
    (root / "deep" / "self").symlink_to(root / "deep")
    (root / "0-other").symlink_to(tmp_path / "elsewhere")
    (root / "1-other").symlink_to(tmp_path / "elsewhere")
    (root / "link.jpg").symlink_to(root / "a.jpg")

    assert names(read(root), root) == ["a.jpg", "link.jpg", "deep/b.jpg", "0-other/c.jpg"]


@posix
def test_a_folder_is_walked_by_its_real_path_whatever_links_to_it(tmp_path: Path) -> None:
    root = make(tmp_path, "z-real/a.jpg")
    (root / "a-link").symlink_to(root / "z-real")

    assert names(read(root), root) == ["z-real/a.jpg"]


@posix
def test_special_files_and_broken_links_are_failures_and_never_opened(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would block for good
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)  # a socket's path is short
        listener.bind("s.jpg")

    found = read(tmp_path)

    assert names(found, tmp_path) == ["a.jpg"]
    assert {failure.uri: failure.reason for failure in found.failures}.keys() == {
        file_uri(tmp_path / name) for name in ("pipe.jpg", "a.txt", "gone.jpg", "loop.jpg", "s.jpg")
    }
    assert "is a link that leads nowhere" in found.reasons


@posix
def test_a_name_that_is_no_utf8_survives_the_way_into_a_uri_and_back(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("the file system takes only UTF-8")
    name = os.fsdecode(b"caf\xe9 #1\n.jpg")
    (tmp_path / name).write_bytes(b"")

    (picture,) = read(tmp_path).pictures

    assert split_file_uri(picture.uri) == (tmp_path / name, None)


@posix
def test_a_folder_that_cannot_be_listed_is_a_failure_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    listed = os.scandir

    def refuse_b(path: str) -> object:  # permissions do not bind root, who may run the tests
        if path.rstrip("/").endswith("b"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse_b)
    found = read(root)

    assert names(found, root) == ["a/1.jpg", "c/3.jpg"]
    assert found.reasons == ["the folder cannot be read (Permission denied)"]


@posix
def test_a_path_deeper_than_the_system_takes_is_a_failure(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(30):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
    finally:
        os.chdir(before)

    found = read(tmp_path)

    assert names(found, tmp_path) == ["a.jpg"]
    assert len(found.failures) == 1
    assert "File name too long" in found.reasons[0]


def test_an_empty_folder_is_an_empty_corpus(tmp_path: Path) -> None:
    corpus = open_corpus(str(tmp_path), CorpusOptions())

    assert (corpus.format, corpus.uri, corpus.total) == ("folder", file_uri(tmp_path), None)
    assert list(corpus.entries()) == []


def test_a_relative_path_names_the_same_corpus_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "photos/a.jpg")
    monkeypatch.chdir(tmp_path)

    corpus = open_corpus("photos/../photos", CorpusOptions())
    monkeypatch.chdir("/")

    assert corpus.uri == file_uri(tmp_path / "photos")
    assert [one.image.uri for one in corpus.entries() if isinstance(one, Entry) and one.image] == [
        file_uri(tmp_path / "photos" / "a.jpg")
    ]
