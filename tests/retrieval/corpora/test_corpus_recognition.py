from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from retrieval.corpora import FORMATS, CaptionColumn, CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError, UsageError, VlsearchError
from retrieval.types import FileBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write, write_json, write_tar

NAMES = [format.name for format in FORMATS]
TABLE = "image,caption\na.jpg,A dog.\n"
COCO = {
    "images": [{"id": 1, "file_name": "1.jpg"}],
    "annotations": [{"id": 1, "image_id": 1, "caption": "A dog."}],
}


def format_of(source: Path, **options: Any) -> str:
    return open_corpus(str(source), CorpusOptions(**options)).format


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("t.csv", TABLE, "csv"),
        ("t.CSV", TABLE, "csv"),
        ("t.tsv", TABLE.replace(",", "\t"), "tsv"),
        ("t.jsonl", '{"image": "a.jpg"}\n', "jsonl"),
        ("t.ndjson", '{"image": "a.jpg"}\n', "jsonl"),
        ("captions.txt", "A dog.\nA cat, too.\n", "lines"),
        ("captions", "A dog.\n", "lines"),
        ("urls.txt", "\n  https://example.org/a.jpg\n", "urls"),
        ("urls", "HTTP://example.org/a.jpg\n", "urls"),
        ("captions.txt", TABLE, "csv"),
        ("captions.txt", TABLE.replace(",", "\t"), "tsv"),
        ("records.txt", '{"image": "a.jpg"}\n', "jsonl"),
    ],
)
def test_a_files_format_is_recognised(tmp_path: Path, name: str, content: str, format: str) -> None:
    assert format_of(write(tmp_path / name, content)) == format


def test_json_tars_and_folders_are_recognised(tmp_path: Path) -> None:
    write(tmp_path / "1.jpg", b"")
    karpathy = {"images": [{"filename": "1.jpg", "split": "val", "sentences": [{"raw": "A dog."}]}]}

    assert format_of(write_json(tmp_path / "c.json", COCO)) == "coco"
    assert format_of(write_json(tmp_path / "k.json", karpathy)) == "karpathy"
    assert format_of(write_tar(tmp_path / "t.tar", {"a.jpg": b""})) == "webdataset"
    assert format_of(write_tar(tmp_path / "shard-000", {"a.jpg": b""})) == "webdataset"
    assert format_of(tmp_path) == "folder"


def test_a_named_format_overrides_what_is_recognised(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE)

    assert read(path, format="lines").words == ["image,caption", "a.jpg,A dog."]


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.zip", b"PK\3\4"), ("notes.md", b"# x"), ("empty.txt", b"")],
)
def test_what_is_not_recognised_is_a_usage_error_that_lists_what_can_be(
    tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(
        UsageError, match=r"no format that is recognised\..*WebDataset.*Parquet.*COCO.*CSV.*a line"
    ):
        read(write(tmp_path / name, content))


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("nowhere", "there is no such file or folder"),
        ("nowhere.tar", "there is no such file or folder"),
        ("x" * 300, "File name too long"),
        ("", "is not a path"),
        ("a\0b", "is not a path"),
        ("https://example.org/a.csv", "corpora are read from disk"),
    ],
)
def test_a_source_that_cannot_be_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=fault):
        open_corpus(source, CorpusOptions())


@pytest.mark.parametrize("format", NAMES)
def test_a_missing_source_is_a_usage_error_in_every_format(tmp_path: Path, format: str) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read(tmp_path / "nowhere", format=format)


@pytest.mark.parametrize("format", [format for format in NAMES if format != "folder"])
def test_a_folder_is_read_as_nothing_else(tmp_path: Path, format: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be read as|is not a regular file"):
        read(tmp_path, format=format)


@pytest.mark.skipif(os.name != "posix", reason="needs a named pipe")
@pytest.mark.parametrize("format", [None, *NAMES])
def test_a_pipe_is_an_error_and_never_opened(tmp_path: Path, format: str | None) -> None:
    os.mkfifo(tmp_path / "t.csv")

    with pytest.raises(UsageError, match=r"regular file|cannot be read as folder"):
        read(tmp_path / "t.csv", format=format)


@pytest.mark.parametrize("format", [format for format in NAMES if format != "folder"])
@pytest.mark.parametrize(
    "content", [b"", b"\0\xff" * 300, b'"', b"{", b"\r" * 600, b"\xff\xfe" * 300, b"[" * 9999]
)
def test_any_bytes_read_as_any_format_end_in_our_errors_or_in_failures(
    tmp_path: Path, content: bytes, format: str
) -> None:
    path = write(tmp_path / "corpus", content)

    try:
        found = read(path, format=format)
    except VlsearchError as error:
        outcome = str(error)
    else:
        outcome = " ".join(failure.uri for failure in found.failures) if found.failures else f"read {path}"
        assert found.pictures == []

    assert str(path) in outcome


def test_an_unknown_format_is_a_usage_error_that_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format 'xml'; the formats are folder, webdataset"):
        read(tmp_path, format="xml")


@pytest.mark.parametrize(
    ("name", "options", "spelling"),
    [
        ("t.csv", {"exclude": ("*.png",)}, "--exclude"),
        ("t.csv", {"split": "train"}, "--split"),
        ("t.txt", {"caption_columns": (CaptionColumn("x"),)}, "--caption-column"),
        ("t.txt", {"image_column": "x"}, "--image-column"),
        ("t.txt", {"images": Path()}, "--images"),
    ],
)
def test_an_option_that_means_nothing_for_a_format_is_refused(
    tmp_path: Path, name: str, options: dict[str, Any], spelling: str
) -> None:
    with pytest.raises(UsageError, match=f"{spelling} has no meaning for"):
        read(write(tmp_path / name, TABLE.replace(",", " ") if name == "t.txt" else TABLE), **options)


def data_set(root: Path) -> Path:
    """A folder laid out as COCO is, with a picture that its captions do not name."""
    write(root / "images" / "1.jpg", b"")
    write(root / "images" / "other.jpg", b"")
    write_json(root / "annotations" / "captions_mini.json", COCO)
    return root


def test_a_folder_laid_out_as_coco_is_the_data_set_that_its_annotations_describe(tmp_path: Path) -> None:
    root = data_set(tmp_path)

    corpus = open_corpus(str(root), CorpusOptions())
    found = read(root)

    assert (corpus.format, corpus.uri) == ("coco", file_uri(root / "annotations" / "captions_mini.json"))
    assert corpus.note is not None
    assert "--format folder" in corpus.note
    assert [picture.location for picture in found.pictures] == [FileBytes(root / "images" / "1.jpg")]
    assert found.words == ["A dog."]


def test_captions_jsonl_beside_images_describes_a_folder_before_annotations_do(tmp_path: Path) -> None:
    root = data_set(tmp_path)
    write(root / "captions.jsonl", '{"image": "images/1.jpg", "captions": ["one", "two"]}\n')

    corpus = open_corpus(str(root), CorpusOptions())

    assert (corpus.format, corpus.uri) == ("jsonl", file_uri(root / "captions.jsonl"))
    assert read(root).words == ["one", "two"]


def test_the_same_folder_read_as_a_folder_gives_every_picture(tmp_path: Path) -> None:
    found = read(data_set(tmp_path), format="folder")

    assert (len(found.pictures), found.texts) == (2, [])


def test_several_annotation_files_are_an_error_that_names_them(tmp_path: Path) -> None:
    root = data_set(tmp_path)
    write_json(root / "annotations" / "captions_val.json", COCO)

    with pytest.raises(CorpusFormatError, match=r"captions_mini\.json, captions_val\.json.*--format folder"):
        read(root)


def test_a_folder_with_images_alone_is_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.jpg", b"")
    write(tmp_path / "annotations" / "instances.json", "{}")

    assert format_of(tmp_path) == "folder"
