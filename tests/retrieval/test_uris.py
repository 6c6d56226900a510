"""Uris of items: any name that a file system allows goes into one and comes back, and no password stays in a URL."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.query.parse import parse_query
from retrieval.query.parts import ImagePart
from retrieval.uris import (
    display,
    expand_home,
    file_uri,
    hide_passwords,
    is_missing,
    is_url,
    last_part,
    object_uri,
    split_file_name,
    split_file_uri,
)

NAMES = (
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b".."))
    .map(os.fsdecode)
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: Path("/", *names))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=20)


@given(PATHS)
def test_any_path_comes_back_from_its_uri(path: Path) -> None:
    assert split_file_uri(file_uri(path)) == (path, None)


@given(PATHS, WORDS)
def test_any_place_inside_a_file_comes_back_from_its_uri(path: Path, place: str) -> None:
    assert split_file_uri(file_uri(path, place)) == (path, place)


@given(PATHS, ANYTHING)
def test_a_uri_is_printable_ascii_without_blanks_whatever_the_names(path: Path, place: str) -> None:
    uri = file_uri(path, place)

    assert uri.isascii()
    assert uri.isprintable()
    assert " " not in uri
    assert uri.count("#") == 1


@given(PATHS, PATHS)
def test_two_paths_have_one_uri_only_if_they_are_one_path(first: Path, second: Path) -> None:
    assert (file_uri(first) == file_uri(second)) == (first == second)


@given(ANYTHING)
def test_any_text_after_the_scheme_is_split_without_an_error(text: str) -> None:
    split = split_file_uri(f"file://{text}")

    assert split is not None
    path, place = split
    assert isinstance(path, Path)
    assert (place is not None) == ("#" in text)


@given(st.text("/.a%2Fé\n", max_size=12))
def test_a_file_name_is_the_path_as_text_however_it_is_spelt(text: str) -> None:
    split = split_file_name(f"file://{text}")

    assert split is not None
    assert split[0] == str(Path(os.fsdecode(unquote_to_bytes(text.encode()))))


@given(ANYTHING.filter(lambda text: not text.startswith("file://")))
def test_a_uri_of_another_scheme_is_of_no_file(text: str) -> None:
    assert split_file_uri(text) is None
    assert not is_missing(text)


def test_a_relative_path_counts_from_the_working_directory_and_dots_are_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert file_uri(Path("a/../b.jpg")) == file_uri(tmp_path / "b.jpg")
    assert file_uri(Path("./b.jpg")) == file_uri(tmp_path / "b.jpg")


def test_a_link_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert file_uri(tmp_path / "link" / "a.jpg").endswith("/link/a.jpg")


@given(PATHS, WORDS)
def test_what_is_displayed_is_printable_and_plain_where_it_can_be(path: Path, place: str) -> None:
    shown = display(file_uri(path, place))

    assert shown.isprintable()
    plain = f"{path}#{place}"
    assert shown == (plain if plain.isprintable() else file_uri(path, place))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (file_uri(Path("/misc/a#b.jpg")), "a#b.jpg"),
        (file_uri(Path("/misc/a\\b c.jpg")), "a\\b c.jpg"),
        (file_uri(Path("/misc/x#y.tar"), "in/m#n.jpg"), "m#n.jpg"),
        (file_uri(Path("/misc/scan.tif"), "page=2"), "page=2"),
        (file_uri(Path("/misc/\udce4.jpg")), "%E4.jpg"),
        (file_uri(Path("/misc/a\nb.jpg")), "a%0Ab.jpg"),
        (object_uri("bucket", "in/a#b c.jpg"), "a#b c.jpg"),
        ("https://name:secret@example.org/a%20b.jpg#c", "c"),
        ("https://name:secret@example.org", "example.org"),
        ("sku-2", "sku-2"),
    ],
)
def test_the_last_part_of_a_uri_is_the_whole_name(uri: str, name: str) -> None:
    assert last_part(uri) == name


def test_a_file_that_is_not_there_is_missing_and_one_that_is_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.tar").touch()

    assert not is_missing(file_uri(tmp_path / "a.tar"))
    assert not is_missing(file_uri(tmp_path / "a.tar", "member.jpg"))
    assert is_missing(file_uri(tmp_path / "b.tar", "member.jpg"))
    assert is_missing(file_uri(tmp_path / "a.tar" / "below a file"))
    assert not is_missing("http://example.org/a.jpg")
    assert not is_missing(file_uri(tmp_path / ("long" * 100)))  # too long for a file system: nobody knows


@pytest.mark.parametrize("name", ["~nobody-of-that-name/a", "a/~", "", "./~/a"])
def test_a_tilde_that_is_no_home_stays_as_it_is(name: str) -> None:
    assert expand_home(name) == Path(name)


def test_a_leading_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert expand_home("~/a.jpg") == tmp_path / "a.jpg"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("http://a", True), ("HTTPS://a", True), ("http:/a", False), ("ftp://a", False), (" http://a", False)],
)
def test_a_url_begins_with_http_or_https_in_either_case(text: str, expected: bool) -> None:
    assert is_url(text) == expected


LETTERS = st.text('ab:/@?#[]. "<>0', max_size=14)
SECRETS = st.text("abc:0", min_size=1, max_size=8)


@given(st.lists(st.sampled_from(["http://", "HTTPS://"]) | LETTERS, max_size=8).map("".join))
def test_hiding_passwords_twice_is_hiding_them_once(text: str) -> None:
    hidden = hide_passwords(text)

    assert hide_passwords(hidden) == hidden


@given(
    SECRETS,
    st.sampled_from(["a.org", "a.org:80", "[::1]", "[::1]:8080"]),
    st.sampled_from(["", "/b@2x.png", "?q=@"]),
)
def test_a_password_goes_and_host_port_and_path_stay(secret: str, host: str, rest: str) -> None:
    assert hide_passwords(f"see http://{secret}@{host}{rest} there") == f"see http://{host}{rest} there"


@given(st.sampled_from(["a.org", "a.org:80", "[::1]:8080"]), st.text("ab/?#=@:", max_size=10))
def test_a_url_without_a_password_stays_as_it_is(host: str, rest: str) -> None:
    url = f"http://{host}/{rest}"

    assert urlsplit(url).username is None
    assert hide_passwords(url) == url


@given(SECRETS.filter(lambda secret: not secret.isdigit()))
def test_a_password_that_a_bare_slash_cuts_off_goes_whole(secret: str) -> None:
    assert hide_passwords(f"http://me:x{secret}/y@a.org/b") == "http://a.org/b"


@given(ANYTHING.filter(lambda text: "://" not in text))
def test_a_text_without_a_url_stays_as_it_is(text: str) -> None:
    assert hide_passwords(text) == text


@pytest.mark.parametrize(
    ("hostile", "expected"),
    [
        ("http://" + ":a" * 300_000 + " @", "http://" + ":a" * 300_000 + " @"),
        ("http://" * 90_000 + "@", "http://" * 90_000),
        ("http://a:b/" * 60_000 + "@", "http://"),
        ("http://a@" * 60_000, "http://" * 60_000),
    ],
    ids=["colons", "schemes", "slashes", "names"],
)
def test_a_long_hostile_text_is_gone_through_once(hostile: str, expected: str) -> None:
    assert hide_passwords(hostile) == expected  # in milliseconds; in many minutes where the work is a square


@pytest.mark.parametrize("archive", ["a.tar#\udcff.jpg", "image:a.tar#b\udce4.png", "2:x.tar#\ud800.png"])
def test_a_query_may_name_a_tar_member_whose_name_is_not_utf_8(archive: str) -> None:
    (part,) = parse_query([archive]).parts

    assert isinstance(part, ImagePart)
    assert str(part.source).isascii()
