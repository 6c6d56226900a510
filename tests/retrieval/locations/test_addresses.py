"""Which addresses a download may connect to: those of the public internet, and what leads there."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import ImageError
from retrieval.locations.addresses import PublicTransport, is_public, public_addresses

V4 = st.ip_addresses(v=4)
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "0.0.0.0", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.88.99.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd12:3456::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1",
    "64:ff9b::7f00:1", "::127.0.0.1", "fec0::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.0",
    "2606:4700:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_this_machine_its_network_or_nobody_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(V4)
def test_an_ipv4_address_is_judged_alike_however_it_is_wrapped_in_ipv6(
    address: ipaddress.IPv4Address,
) -> None:
    number = int(address)
    mapped = ipaddress.IPv6Address(0xFFFF << 32 | number)
    nat64 = ipaddress.IPv6Address((0x64FF9B << 96) | number)

    assert is_public(str(mapped)) == is_public(str(address))
    assert is_public(str(nat64)) == is_public(str(address))


@given(V4)
def test_a_public_ipv4_address_is_globally_routed_unicast(address: ipaddress.IPv4Address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_private
        assert not address.is_multicast


@given(st.text(max_size=12))
def test_what_is_not_an_address_is_not_public(text: str) -> None:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        assert not is_public(text)


def resolver(*addresses: str) -> Any:
    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


def test_only_public_addresses_of_a_host_are_given_each_once_in_the_resolvers_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver("8.8.8.8", "10.0.0.1", "1.1.1.1", "8.8.8.8"))

    assert public_addresses("a.org", 443) == ["8.8.8.8", "1.1.1.1"]


def test_a_host_without_a_public_address_is_refused_with_the_option_that_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver("10.0.0.1", "127.0.0.1"))

    with pytest.raises(ImageError, match=r"10\.0\.0\.1 is not a public one \(--allow-private\)"):
        public_addresses("router.local", 80)


class Recorder(httpx.BaseTransport):
    """Notes where requests would go, and fails at the first addresses."""

    def __init__(self, failing: int) -> None:
        self.failing, self.requests = failing, list[httpx.Request]()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if len(self.requests) <= self.failing:
            raise httpx.ConnectError("no route")
        return httpx.Response(200)


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> PublicTransport:
    monkeypatch.setattr(socket, "getaddrinfo", resolver("8.8.8.8", "1.1.1.1"))
    return PublicTransport()


def test_the_address_that_was_checked_is_the_one_connected_to_and_the_name_stays_in_the_request(
    transport: PublicTransport,
) -> None:
    recorder = Recorder(failing=0)
    transport._inner.close()
    transport._inner = recorder  # type: ignore[assignment]  # nothing is to be connected to

    transport.handle_request(httpx.Request("GET", "https://a.org/b.jpg?c"))

    (sent,) = recorder.requests
    assert (sent.url.host, sent.url.path, sent.url.query) == ("8.8.8.8", "/b.jpg", b"c")
    assert sent.headers["host"] == "a.org"
    assert sent.extensions["sni_hostname"] == "a.org"


@pytest.mark.parametrize("failing", [1, 2])
def test_the_next_address_is_tried_where_one_cannot_be_reached(
    transport: PublicTransport, failing: int
) -> None:
    recorder = Recorder(failing)
    transport._inner.close()
    transport._inner = recorder  # type: ignore[assignment]  # as above
    request = httpx.Request("GET", "http://a.org/")

    if failing == 2:
        with pytest.raises(httpx.ConnectError):
            transport.handle_request(request)
    else:
        assert transport.handle_request(request).status_code == 200
    assert [sent.url.host for sent in recorder.requests] == ["8.8.8.8", "1.1.1.1"]
