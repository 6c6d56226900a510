"""What a folder is read without is counted by kind, and a picture is found whatever its name is."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.signatures import looks_like_image
from retrieval.types import FileBytes
from tests.retrieval.corpora.corpus_reading import Read, write

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
NO_OPTIONS = CorpusOptions()


def names_and_counts(root: Path, options: CorpusOptions = NO_OPTIONS) -> tuple[list[str], dict[str, int]]:
    left_out: Counter[str] = Counter()
    found = Read(open_corpus(str(root), options).entries(left_out))
    names = [one.location.path.name for one in found.pictures if isinstance(one.location, FileBytes)]
    return names, dict(left_out)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.CR3", "RAW picture"),
        ("a.nef", "RAW picture"),
        ("a.dng", "RAW picture"),
        ("a.wmv", "unsupported video"),
        ("a.psd", "layered picture"),
        ("a.svg", "drawing"),
        ("a.pdf", "PDF"),
        ("a.jxl", "JPEG XL picture"),
        ("a.jp2", "unsupported picture"),
        ("a.txt", "text file"),
        ("a.xmp", "sidecar file"),
        ("a.tar", "archive"),
        ("a.what", "other file"),
        ("what", "other file"),
        (".a.jpg", "hidden file"),
        ("._a.jpg", "system file"),
        ("Thumbs.db", "system file"),
        ("desktop.ini", "system file"),
        (".DS_Store", "system file"),
    ],
)
def test_a_file_that_is_not_read_is_counted_by_kind(
    tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.file_kinds._is_installed", lambda _: False)
    write(tmp_path / name, JPEG if kind == "RAW picture" else b"?")

    assert names_and_counts(tmp_path) == ([], {kind: 1})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "system folder") for name in (
            "@eaDir", "#recycle", "@Recycle", ".thumbnails", "lost+found", "$RECYCLE.BIN",
            "System Volume Information", ".Trash-1000", ".Trashes", ".photostructure", "x.lrdata",
        )),
        (".git", "hidden folder"),
    ],
)  # fmt: skip
def test_a_system_folder_is_left_out_unless_it_is_asked_for(tmp_path: Path, name: str, kind: str) -> None:
    write(tmp_path / name / "a.jpg", JPEG)

    assert names_and_counts(tmp_path) == ([], {kind: 1})
    assert names_and_counts(tmp_path, CorpusOptions(default_excludes=False)) == (["a.jpg"], {})


def test_a_text_that_holds_captions_is_not_left_out(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.txt", "a.jpg.txt", "b.txt"):
        write(tmp_path / name, b"words")

    assert names_and_counts(tmp_path) == (["a.jpg"], {"text file": 1})


def test_what_is_excluded_is_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c/d.jpg"):
        write(tmp_path / name, JPEG)
    left_out: Counter[str] = Counter()

    Read(open_corpus(str(tmp_path), CorpusOptions(exclude=("b.jpg", "c"))).entries(left_out))

    assert left_out == {"excluded file": 1, "excluded folder": 1}


@pytest.mark.parametrize("name", ["IMG_1234", "a.JPG_original", "a.jpg~", "a.bak", "README", "a.2024"])
def test_a_picture_of_an_unknown_name_is_found_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, JPEG)
    write(tmp_path / "z", b"\xff\xd8 is not a picture")

    assert names_and_counts(tmp_path) == ([name], {"other file": 1})


@pytest.mark.skipif(os.name != "posix", reason="needs special files of POSIX")
def test_a_special_file_of_an_unknown_name_is_counted_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "itself").symlink_to("itself")

    assert names_and_counts(tmp_path) == ([], {"other file": 3})


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n", True),
        (b"GIF89a", True),
        (b"RIFF\0\0\0\0WEBP", True),
        (b"RIFF\0\0\0\0WAVE", False),
        (b"II*\0\x08\0\0\0", True),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", True),
        (b"\0\0\0\x1cftypisom\0\0\0\0isomavif", True),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", False),
        (b"BM" + bytes(12) + (40).to_bytes(4, "little"), True),
        (b"BMW is a car maker in Munich", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_first_bytes_tell_images_from_other_files(head: bytes, expected: bool) -> None:
    assert looks_like_image(head) is expected
