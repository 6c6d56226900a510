from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.corpora.locate import ImageFolder
from retrieval.errors import UsageError
from retrieval.types import CorpusImage, Failure, FileBytes, UrlBytes
from retrieval.uris import file_uri


def test_a_relative_name_counts_from_the_folder(tmp_path: Path) -> None:
    picture = ImageFolder(tmp_path).image("a/./b/../c d.jpg", "place", {"n": 1})

    path = tmp_path / "a" / "c d.jpg"
    assert picture == CorpusImage(file_uri(path), FileBytes(path), None, {"n": 1})


def test_an_absolute_name_inside_the_folder_is_taken(tmp_path: Path) -> None:
    picture = ImageFolder(tmp_path).image(f"{tmp_path}/a.jpg", "place", {})

    assert isinstance(picture, CorpusImage)
    assert picture.location == FileBytes(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "a/../../a.jpg", "/etc/passwd", "..", ".", "a/..", "/", "//etc/passwd", "{root}x/a.jpg"],
)
def test_a_name_that_leads_out_of_the_folder_is_a_failure_that_says_what_to_do(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "root"
    folder.mkdir()

    found = ImageFolder(folder).image(name.format(root=folder), "place", {})

    assert isinstance(found, Failure)
    assert found.uri == "place"
    assert "is not inside" in found.reason
    assert "pass --images DIR" in found.reason


@given(name=st.text(st.sampled_from("./\\a:~ \0é"), max_size=12) | st.text(max_size=30))
def test_no_name_whatever_leads_out_of_the_folder(name: str) -> None:
    root = Path(os.sep, "no", "such", "root")
    folder = ImageFolder.__new__(ImageFolder)  # the constructor wants a folder that exists
    folder.path, folder._prefix = root, f"{root}{os.sep}"

    found = folder.image(name, "place", {})

    if isinstance(found, CorpusImage) and isinstance(found.location, FileBytes):
        assert os.path.realpath(found.location.path).startswith(f"{root}{os.sep}")
    elif isinstance(found, CorpusImage):
        assert isinstance(found.location, UrlBytes)


@pytest.mark.parametrize("name", ["a\0b.jpg", "half \ud800.jpg", "", None, 7, ["a.jpg"], {"path": "a.jpg"}])
def test_what_cannot_be_a_files_name_is_a_failure(tmp_path: Path, name: object) -> None:
    assert isinstance(ImageFolder(tmp_path).image(name, "place", {}), Failure)


@pytest.mark.parametrize("url", ["http://example.org/a.jpg", "HTTPS://example.org:8443/a.jpg?x=1#y"])
def test_an_http_url_is_its_own_name(tmp_path: Path, url: str) -> None:
    assert ImageFolder(tmp_path).image(url, "place", {}) == CorpusImage(url, UrlBytes(url))


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("s3://bucket/a.jpg", "not an http or https URL"),
        ("file:///etc/passwd", "is not inside"),
        ("http://", "names no host"),
        ("http://[::1/a.jpg", "is not a URL"),
        ("http://example.org:99999/a.jpg", "is not a URL"),
        ("http://example.org/a b.jpg", "blanks or control characters"),
        ("http://example.org/\r\nHost: x", "blanks or control characters"),
        ("http://example.org/" + "a" * 9000, "longer than"),
    ],
)
def test_a_url_that_cannot_be_downloaded_from_is_a_failure(tmp_path: Path, url: str, fault: str) -> None:
    found = ImageFolder(tmp_path).image(url, "place", {})

    assert isinstance(found, Failure)
    assert fault in found.reason


def test_an_image_folder_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        ImageFolder(tmp_path / "nowhere")
