"""Requests to a server, and its faults as exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

from retrieval.client.faults import fault_of, told
from retrieval.errors import ServerError, UsageError


class Connection:
    """A server, by its address; many threads may share it.

    Raises:
        UsageError: the address is not one of HTTP, or the token cannot be sent.
    """

    def __init__(self, address: str, token: str | None, timeout_s: float) -> None:
        try:
            base = httpx.URL(address)
        except (httpx.InvalidURL, TypeError) as error:
            raise _no_address(address) from error
        if (
            base.scheme not in ("http", "https")
            or not base.host
            or base.userinfo
            or base.query
            or base.fragment
        ):
            raise _no_address(address)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise UsageError(
                "the token is not printable ASCII; give the one that the server was started with"
            )
        self.address = str(base).rstrip("/")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(headers=headers, timeout=timeout_s, trust_env=False, follow_redirects=False)

    def json(self, method: str, path: str, **given: Any) -> Any:
        """Send a request, and give the JSON of its answer.

        Raises:
            VlsearchError: what the server says is wrong.
            ServerError: it does not answer.
        """
        answer = self._sent(method, path, **given)
        try:
            return answer.json()
        except ValueError as error:
            raise ServerError(f"{self.address}{path}", "its answer is not JSON") from error

    def data(self, method: str, path: str, **given: Any) -> bytes:
        """Send a request, and give the bytes of its answer; errors as :meth:`json`."""
        return self._sent(method, path, **given).content

    def lines(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Give the objects of an answer in lines as they come; errors as :meth:`json`."""
        try:
            with self._http.stream("GET", f"{self.address}{path}", params=_present(params)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise fault_of(answer)
                for line in answer.iter_lines():
                    found: dict[str, Any] = json.loads(line)
                    if "error" in found:
                        raise told(None, found["error"])
                    yield found
        except httpx.HTTPError as error:
            raise ServerError(self.address, _reason(error)) from error

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _sent(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, **given: Any
    ) -> httpx.Response:
        try:
            answer = self._http.request(
                method, f"{self.address}{path}", params=None if params is None else _present(params), **given
            )
        except httpx.HTTPError as error:
            raise ServerError(self.address, _reason(error)) from error
        if not answer.is_success:
            raise fault_of(answer)
        return answer


def _present(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _no_address(address: object) -> UsageError:
    return UsageError(f"{address!r} is not the address of a server; give one such as http://127.0.0.1:8642")


def _reason(error: httpx.HTTPError) -> str:
    return (
        "it takes too long"
        if isinstance(error, httpx.TimeoutException)
        else str(error) or type(error).__name__
    )
