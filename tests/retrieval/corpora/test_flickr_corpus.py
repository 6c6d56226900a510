"""Flickr's own caption files, and tables whose picture names need a hand."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.types import FileBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write

LINES = "1000_a.jpg#0\tA child .\n1000_a.jpg#1\tA girl .\n1001_b.jpg#0\tA dog .\n"


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "results_20130124.token", "Flickr8k.lemma.token.txt"])
@pytest.mark.parametrize("folder", ["Flicker8k_Dataset", "flickr30k_images", "Images", "."])
def test_lines_of_flickr_are_captions_of_pictures(tmp_path: Path, name: str, folder: str) -> None:
    write(tmp_path / folder / "1000_a.jpg", b"")
    path = write(tmp_path / name, LINES)

    found = read(path)

    places = [one.location for one in found.pictures]
    assert places == [FileBytes(tmp_path / folder / one) for one in ("1000_a.jpg", "1001_b.jpg")]
    assert [[text.text for text in entry.texts] for entry in found.entries] == [
        ["A child .", "A girl ."],
        ["A dog ."],
    ]
    assert found.texts[2].uri == file_uri(path, "L3")
    assert not found.failures


def test_a_line_that_is_not_flickrs_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "1000_a.jpg", b"")
    path = write(tmp_path / "x.token.txt", LINES + "what is this\n1002_c.jpg#0\tA cat .\n")

    found = read(path)

    assert len(found.entries) == 3
    assert found.reasons == ["the line is not a picture's name, #, a number, a tab and a caption"]


@pytest.mark.parametrize(
    ("file", "spelt"),
    [
        ("a/x.jpg", "a/x.jpg "),
        ("a/x.jpg", "a\\x.jpg"),
        ("a/x.jpg", "A/X.JPG"),
        ("a/x.JPG", "a/x.jpg"),
        (unicodedata.normalize("NFD", "é.jpg"), unicodedata.normalize("NFC", "é.jpg")),
        (unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "é.jpg")),
    ],
)
def test_a_name_is_taken_for_the_only_file_that_it_can_mean_and_that_is_said(
    tmp_path: Path, file: str, spelt: str
) -> None:
    write(tmp_path / file, b"")
    path = write(tmp_path / "t.tsv", f"image\tcaption\n{spelt}\ta\n")

    corpus = open_corpus(str(path), CorpusOptions())

    assert [one.location for one in read(path).pictures] == [FileBytes(tmp_path / file)]
    assert corpus.note is not None
    assert "are taken for the only file that they can mean" in corpus.note


def test_a_name_that_may_mean_two_files_is_a_failure_that_names_them(tmp_path: Path) -> None:
    for name in ("x.jpg", "X.JPG"):
        write(tmp_path / name, b"")
    path = write(tmp_path / "t.csv", "image,caption\nX.jpg,a\n")

    (reason,) = read(path).reasons

    assert "it may be" in reason
    assert str(tmp_path / "x.jpg") in reason


def test_where_all_pictures_are_missing_a_note_says_which_folder_names_were_counted_from(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "t.csv", "image,caption\nx.jpg,a\ny.jpg,b\n")

    note = open_corpus(str(path), CorpusOptions()).note

    assert note is not None
    assert (
        f"none of the first 2 pictures ('x.jpg', ...) is in {tmp_path}, from which names are counted" in note
    )
    assert "--images DIR" in note


def test_pictures_in_the_usual_folder_beside_a_table_are_found_and_that_is_said(tmp_path: Path) -> None:
    write(tmp_path / "Images/x.jpg", b"")
    path = write(tmp_path / "captions.txt", "image,caption\nx.jpg,a\n")

    corpus = open_corpus(str(path), CorpusOptions())

    assert [one.location for one in read(path).pictures] == [FileBytes(tmp_path / "Images/x.jpg")]
    assert corpus.note is not None
    assert corpus.note.startswith(f"picture names are counted from {tmp_path / 'Images'}")


def test_a_table_may_name_files_by_their_uris(tmp_path: Path) -> None:
    write(tmp_path / "a b.jpg", b"")
    inside, outside = file_uri(tmp_path / "a b.jpg"), "file:///etc/passwd"
    path = write(tmp_path / "t.csv", f"image,caption\n{inside},a\n{outside},b\n")

    found = read(path)

    assert [one.location for one in found.pictures] == [FileBytes(tmp_path / "a b.jpg")]
    assert [f"is not inside {tmp_path}" in reason for reason in found.reasons] == [True]
