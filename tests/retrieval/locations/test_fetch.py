"""Downloads and files: bounded in bytes and in time, whatever the other side does; a fault is one clause."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.errors import ImageError
from retrieval.locations.fetch import read_bytes
from retrieval.types import FileBytes, InlineBytes, Limits, MemberBytes, UrlBytes
from tests.loopback import Server, server_on_loopback

# for answers that come: no busy machine makes them too late
PATIENT = Limits(file_bytes=2**20, seconds=600, private_addresses=True)
# for those that never come
IMPATIENT = Limits(file_bytes=2**20, seconds=0.25, private_addresses=True)


@pytest.fixture
def server() -> Iterator[Server]:
    with server_on_loopback() as running:
        running.files["picture.png"] = b"the bytes of a picture"
        yield running


def test_a_url_gives_the_bytes_behind_it(server: Server) -> None:
    assert read_bytes(UrlBytes(f"{server.url}/picture.png?size=2"), PATIENT) == server.files["picture.png"]


def test_a_redirect_is_followed(server: Server) -> None:
    assert read_bytes(UrlBytes(f"{server.url}/moved"), PATIENT) == server.files["picture.png"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nothing.jpg", "the server answered 404"),
        ("gone", "the server answered 410"),
        ("broken", "the server answered 500"),
        ("endless", "over the limit of 1,048,576"),
        ("bomb", "over the limit of 1,048,576"),
        ("cut-off", "the download failed"),
        ("no-http", "the download failed"),
        ("loop", "the download failed"),
        ("to-a-file", "the download failed"),
        ("to-nowhere", "the download failed"),
    ],
)
def test_a_server_that_misbehaves_is_a_reason_within_the_limits(
    server: Server, path: str, reason: str
) -> None:
    with pytest.raises(ImageError, match=reason):
        read_bytes(UrlBytes(f"{server.url}/{path}"), PATIENT)


@pytest.mark.parametrize("path", ["slow-body", "slow-headers", "silent"])
def test_a_server_that_never_comes_to_an_end_is_given_up_after_the_time_allowed(
    server: Server, path: str
) -> None:
    with pytest.raises(ImageError, match=r"within 0\.25 s|longer than 0\.25 s"):
        read_bytes(UrlBytes(f"{server.url}/{path}"), IMPATIENT)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/a.jpg",
        "file:///etc/hostname",
        "http://",
        "http://[::1",
        "http://127.0.0.1:9/a.jpg",
        "http://127.0.0.1:99999/a.jpg",
        "http://\x00/a.jpg",
        "http://a" + "b" * 300 + "/x.jpg",
    ],
)
def test_a_url_that_leads_nowhere_is_a_reason(url: str) -> None:
    with pytest.raises(ImageError, match=r"fetched|failed|took longer"):
        read_bytes(UrlBytes(url), IMPATIENT)


def test_a_file_of_just_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))

    assert read_bytes(FileBytes(tmp_path / "a"), Limits(file_bytes=10)) == bytes(10)
    with pytest.raises(ImageError, match="10 bytes, over the limit of 9"):
        read_bytes(FileBytes(tmp_path / "a"), Limits(file_bytes=9))
    with pytest.raises(ImageError, match="10 bytes, over the limit of 9"):
        read_bytes(InlineBytes(bytes(10)), Limits(file_bytes=9))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")

    for name, reason in (
        ("fifo", "not a regular file"),
        ("folder", "not a regular file|cannot be read"),
        ("dangling", "cannot be read"),
        ("nothing", "cannot be read"),
        ("nul\0", "cannot be read"),
    ):
        with pytest.raises(ImageError, match=reason):
            read_bytes(FileBytes(tmp_path / name), PATIENT)
    with pytest.raises(ImageError, match="not a regular file"):
        read_bytes(FileBytes(Path("/dev/zero")), PATIENT)


def test_a_member_is_read_in_place_and_one_that_is_cut_short_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"0123456789")

    assert read_bytes(MemberBytes(tmp_path / "a.tar", "m", 2, 3), PATIENT) == b"234"
    with pytest.raises(ImageError, match="ends within this member"):
        read_bytes(MemberBytes(tmp_path / "a.tar", "m", 8, 5), PATIENT)
