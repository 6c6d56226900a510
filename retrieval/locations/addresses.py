"""Which addresses a download may connect to, and a transport that connects to no others.

A list of URLs comes from strangers, and a download runs inside the user's network: a URL that leads to a router, to a
service on this machine or to a cloud's metadata would be asked in the user's name. A host's name is resolved once, the
addresses are checked, and one of them is what is connected to, so that a name that resolves differently the second
time (DNS rebinding) gains nothing. Each redirect passes the same check.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

import httpx

from retrieval.errors import ImageError

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")
_IETF = ipaddress.IPv4Network("192.0.0.0/24")  # some of it counts as global, and none of it serves images


class PublicTransport(httpx.BaseTransport):
    """Sends requests to public addresses only; proxies of the environment are not used.

    A proxy would choose the address by itself, and may reach what this machine may not.

    Raises:
        ImageError: a host has no public address.
    """

    def __init__(self) -> None:
        # no connection serves two requests: two hosts at one address have two certificates to check
        self._inner = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to an address of its host that has been checked."""
        host = request.url.raw_host.decode("ascii")
        failure: httpx.TransportError | None = None
        for address in public_addresses(host, request.url.port or 0):
            try:
                return self._inner.handle_request(_to_address(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        assert failure is not None  # there is at least one address
        raise failure

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def public_addresses(host: str, port: int) -> list[str]:
    """Look up the public addresses of a host, in the resolver's order.

    Raises:
        ImageError: it has none.
        OSError: its name cannot be resolved.
    """
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    public = [address for address in dict.fromkeys(found) if is_public(address)]
    if not public:
        raise ImageError(f"its address {found[0]} is not a public one (--allow-private)")
    return public


def is_public(address: str) -> bool:
    """Whether an IPv4 or IPv6 address is one of the public internet: globally routed, unicast, not reserved.

    IPv4 addresses inside IPv6 ones (mapped, 6to4, NAT64) are judged as what they lead to.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        return _is_public_v6(parsed)
    return parsed.is_global and not parsed.is_multicast and parsed not in _6TO4_RELAYS and parsed not in _IETF


def _is_public_v6(address: ipaddress.IPv6Address) -> bool:
    embedded = list(_embedded(address))
    if embedded:
        return all(is_public(str(inner)) for inner in embedded)
    return address in _GLOBAL_UNICAST and address.is_global


def _embedded(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """List the IPv4 addresses that packets to an IPv6 address end up at."""
    for inner in (address.ipv4_mapped, address.sixtofour):
        if inner is not None:
            yield inner
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _to_address(request: httpx.Request, host: str, address: str) -> httpx.Request:
    """Send a request to an address instead of a name; Host header, SNI and certificate check keep the name."""
    extensions = dict(request.extensions)
    if address != host:
        extensions["sni_hostname"] = host
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )
