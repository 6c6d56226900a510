"""Downloads connect to public addresses only, unless private ones are allowed; passwords of URLs are not kept."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import retrieval.locations.addresses
from retrieval.errors import ImageError
from retrieval.locations.addresses import is_public
from retrieval.locations.fetch import read_bytes
from retrieval.types import Limits, UrlBytes
from retrieval.uris import hide_passwords
from tests.command_line import Run
from tests.loopback import Server, server_on_loopback

LIMITS = Limits(seconds=600)
PICTURE = b"the bytes of a picture"


@pytest.fixture
def server() -> Iterator[Server]:
    with server_on_loopback() as running:
        running.files["picture.png"] = PICTURE
        yield running


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001::1",
        "not an address",
    ],
)
def test_addresses_that_are_not_of_the_public_internet_are_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_addresses_of_the_public_internet_are_told(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]"]
)
def test_a_private_address_is_refused_however_it_is_spelt(server: Server, host: str) -> None:
    url = UrlBytes(f"http://{host}:{server.server_port}/picture.png")

    with pytest.raises(ImageError, match=r"is not a public one \(--allow-private\)|the download failed"):
        read_bytes(url, LIMITS)
    assert not server.asked


def test_a_private_address_is_downloaded_from_where_that_is_allowed(server: Server) -> None:
    allowed = Limits(seconds=600, private_addresses=True)

    assert read_bytes(UrlBytes(f"{server.url}/picture.png"), allowed) == PICTURE


@pytest.fixture
def one_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's address counts as a public one, and no other does."""
    monkeypatch.setattr(retrieval.locations.addresses, "is_public", lambda address: address == "127.0.0.1")


@pytest.mark.usefixtures("one_public")
@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/picture.png", "http://169.254.169.254/latest/"])
def test_a_redirect_to_a_private_address_is_refused(server: Server, target: str) -> None:
    server.redirects["away"] = target.format(port=server.server_port)

    with pytest.raises(ImageError, match="is not a public one"):
        read_bytes(UrlBytes(f"{server.url}/away"), LIMITS)
    assert server.asked == ["away"]


@pytest.mark.usefixtures("one_public")
@pytest.mark.parametrize(
    "target", ["file:///etc/hostname", "ftp://127.0.0.1/a", "data:image/png;base64,AAAA"]
)
def test_a_redirect_to_another_scheme_is_refused(server: Server, target: str) -> None:
    server.redirects["away"] = target

    with pytest.raises(ImageError, match="the download failed"):
        read_bytes(UrlBytes(f"{server.url}/away"), LIMITS)


def resolver(answers: Callable[[int], str], asked: list[str]) -> Callable[..., Any]:
    """``getaddrinfo`` that answers for example.org and .net what ``answers`` says of the number of the question."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **settings: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in ("example.org", "example.net"):
            asked.append(name)
            return real(answers(len(asked)), port, *arguments, **settings)
        return real(host, port, *arguments, **settings)

    return getaddrinfo


@pytest.mark.usefixtures("one_public")
def test_a_name_is_resolved_once_so_that_a_second_answer_gains_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers = resolver(lambda number: "127.0.0.1" if number == 1 else "127.0.0.2", asked)
    monkeypatch.setattr(socket, "getaddrinfo", answers)

    assert read_bytes(UrlBytes(f"http://example.org:{server.server_port}/picture.png"), LIMITS) == PICTURE
    assert asked == ["example.org"]
    assert server.hosts == [f"example.org:{server.server_port}"]


def test_a_name_that_leads_to_a_private_address_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(lambda _: "127.0.0.1", []))

    with pytest.raises(ImageError, match=r"its address 127\.0\.0\.1 is not a public one"):
        read_bytes(UrlBytes(f"http://example.org:{server.server_port}/picture.png"), LIMITS)
    assert not server.asked


@pytest.mark.usefixtures("one_public")
def test_a_proxy_of_the_environment_is_not_used_unless_private_addresses_are_allowed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    closed = UrlBytes("http://127.0.0.1:9/picture.png")

    with pytest.raises(ImageError, match="a proxy of the environment is used only with --allow-private"):
        read_bytes(closed, LIMITS)
    assert not server.asked


def test_a_netrc_file_is_not_read(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    with pytest.raises(ImageError, match="the server answered 401"):
        read_bytes(UrlBytes(f"{server.url}/locked"), Limits(private_addresses=True))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for example.org that is its own authority, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here to make a certificate with")
    file = tmp_path / "example.org.pem"
    name = ("-subj", "/CN=example.org", "-addext", "subjectAltName=DNS:example.org")
    command = (openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name)
    subprocess.run((*command, "-keyout", file, "-out", tmp_path / "c"), check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "c").read_text())
    return file


@pytest.mark.usefixtures("one_public")
def test_the_certificate_is_checked_against_the_name_and_not_the_address(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(socket, "getaddrinfo", resolver(lambda _: "127.0.0.1", []))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    url = "https://{}:" + f"{server.server_port}/picture.png"
    assert read_bytes(UrlBytes(url.format("example.org")), LIMITS) == PICTURE
    for other in ("127.0.0.1", "localhost"):
        with pytest.raises(ImageError, match="certificate verify failed"):
            read_bytes(UrlBytes(url.format(other)), LIMITS)


@pytest.mark.usefixtures("one_public")
def test_a_redirect_to_another_name_at_the_same_address_has_its_own_certificate_checked(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(socket, "getaddrinfo", resolver(lambda _: "127.0.0.1", []))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.redirects["away"] = f"https://example.net:{server.server_port}/picture.png"

    with pytest.raises(ImageError, match="certificate verify failed"):
        read_bytes(UrlBytes(f"https://example.org:{server.server_port}/away"), LIMITS)
    assert server.asked == ["away"]


SECRET = "s3cret"


def test_a_password_in_a_url_is_used_and_neither_stored_nor_printed(
    server: Server, tmp_path: Path, model: Path, run: Run
) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    server.locked = (tmp_path / "a.png").read_bytes()
    place = f"somebody:{SECRET}@127.0.0.1:{server.server_port}"
    urls = tmp_path / "urls.txt"
    urls.write_text(
        f"http://{place}/locked\ta caption\nhttp://{place}/gone\nhttp://{place}/a b\nhttp://somebody:{SECRET}/x@y:z\n"
    )
    table = tmp_path / "table.csv"
    table.write_text(
        f"image,caption,page\nhttp://{place}/locked?again,more words,http://{place}/page\n"
        f"http://{place}/nothing,none,at http://{place}\n"
    )
    collection = ("--collection", tmp_path / "c")
    printed = ""
    for arguments in (
        ("index", urls, "--model", model, "--allow-private", *collection),
        ("index", table, "--allow-private", *collection),
        ("index", urls, "--allow-private", "--json", *collection),
        ("info", "--failures", *collection),
        ("query", "red", "--json", *collection),
        ("query", "red", "--list", *collection),
        ("query", "red", "--paths", *collection),
        ("query", f"http://{place}/gone", "--allow-private", *collection),
        ("query", f"http://{place}/gone", *collection),
        ("query", f"http://somebody:{SECRET}/x@y:z", *collection),
        ("index", f"http://{place}/gone", *collection),
        ("export", tmp_path / "out", *collection),
    ):
        done = run(*arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        printed += done.output

    assert f"http://127.0.0.1:{server.server_port}/locked" in printed
    assert SECRET not in printed
    assert run("query", f"http://{place}/locked", "--allow-private", *collection).exit_code == 0
    for path in (*(tmp_path / "c").rglob("*"), *(tmp_path / "out").rglob("*")):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    with sqlite3.connect(tmp_path / "c" / "catalogue.sqlite") as catalogue:
        assert SECRET not in "".join(catalogue.iterdump())


def test_every_command_that_downloads_refuses_private_addresses_by_default(
    server: Server, tmp_path: Path, collection: Path, indexed_photos: Path, run: Run
) -> None:
    server.files["picture.png"] = (indexed_photos / "red.png").read_bytes()
    (tmp_path / "urls.txt").write_text(f"{server.url}/picture.png\ta red square\n")

    assert "1 failed" in run("index", tmp_path / "urls.txt").stdout
    assert "is not a public one (--allow-private)" in run("query", f"{server.url}/picture.png").stderr
    assert (
        "is not a public one (--allow-private)"
        in run("eval", tmp_path / "urls.txt", "--model", "mini").stderr
    )
    assert not server.asked
    assert "0 failed" in run("index", tmp_path / "urls.txt", "--allow-private").stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@h/x", "https://h/x"),
        ("HTTP://u@h", "HTTP://h"),
        ("http://u:p@w@h:80/x?y=a@b", "http://h:80/x?y=a@b"),
        ("see http://u:p@h/x and https://v:q@i", "see http://h/x and https://i"),
        ("http://u:p/q@h/x", "http://h/x"),
        ("http://h/x@y", "http://h/x@y"),
        ("http://h:80/x@y?t=u:p@z", "http://h:80/x@y?t=u:p@z"),
        ("http://[::1]:80/x@y", "http://[::1]:80/x@y"),
        ('{"a": "http://h", "b": "x@y"}', '{"a": "http://h", "b": "x@y"}'),
        ('["http://u:p@h","x@y"]', '["http://h","x@y"]'),
        ('["http://h","x@y"]', '["http://h","x@y"]'),
        ("file:///a@b", "file:///a@b"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_only_user_names_and_passwords_are_taken_out_of_urls(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown
