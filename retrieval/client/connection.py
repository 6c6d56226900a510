"""Requests to a server, and its faults as exceptions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from retrieval.client.faults import fault_of, told
from retrieval.errors import QueryError, ServerError, UsageError

T = TypeVar("T")

NO_ANSWER = "what it answers is not an answer of vlsearch"
_LINES = "application/x-ndjson"
_UNREAD = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What JSON of another shape raises where it is read."""


class Connection:
    """A server, by its address; many threads may share it.

    Raises:
        UsageError: the address is not one of HTTP, or the token cannot be sent, or the time is none to wait.
    """

    def __init__(self, address: str, token: str | None, timeout_s: float) -> None:
        try:
            base = httpx.URL(address)
        except (httpx.InvalidURL, TypeError, ValueError):
            raise _no_address(address) from None  # whose message may have a part of a password
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
        if timeout_s is not None and not 0 < timeout_s <= threading.TIMEOUT_MAX:
            raise UsageError(f"timeout is {timeout_s}; give seconds to wait for an answer, more than 0")
        self.address = str(base).rstrip("/")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(headers=headers, timeout=timeout_s, trust_env=False, follow_redirects=False)

    def json(self, method: str, path: str, read: Callable[[Any], T], **given: Any) -> T:
        """Send a request, and give what the JSON of its answer is read as.

        Args:
            method: of HTTP.
            path: behind the server's address.
            read: makes a value of the JSON.
            given: what is sent, as httpx takes it; ``json`` may hold numbers of numpy.

        Raises:
            VlsearchError: what the server says is wrong.
            ServerError: it does not answer, or its answer is read as nothing.
            QueryError: what is asked is too long for an address, or not valid Unicode.
            UsageError: the connection was closed.
        """
        answer = self._sent(method, path, **given)
        with self._reading(path):
            return read(answer.json())

    def picture(self, method: str, path: str, **given: Any) -> bytes:
        """Send a request, and give the bytes of the picture that answers it; errors as :meth:`json`."""
        answer = self._sent(method, path, **given)
        if not answer.headers.get("Content-Type", "").startswith("image/"):
            raise self._no_answer(path)
        return answer.content

    def lines(self, path: str, read: Callable[[Any], T], **params: Any) -> Iterator[T]:
        """Give what the objects of an answer in lines are read as, as they come; errors as :meth:`json`."""
        url = f"{self.address}{path}"
        with self._asking(), self._http.stream("GET", url, params=_present(params)) as answer:
            if not answer.is_success:
                answer.read()
                raise fault_of(answer)
            if not answer.headers.get("Content-Type", "").startswith(_LINES):
                raise self._no_answer(path)  # which may be empty, as that of an empty collection is
            for line in answer.iter_lines():
                yield self._line(path, line, read)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _sent(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        json: object = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        headers = {}
        with self._asking():
            if json is not None:
                content, headers = _written(json), {"Content-Type": "application/json"}
            answer = self._http.request(
                method,
                f"{self.address}{path}",
                params=None if params is None else _present(params),
                content=content,
                headers=headers,
            )
        if not answer.is_success:
            raise fault_of(answer)
        return answer

    def _line(self, path: str, line: str, read: Callable[[Any], T]) -> T:
        with self._reading(path):
            found = json.loads(line)
            if "error" not in found:
                return read(found)
            sentence = str(found["error"])
        raise told(None, sentence)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Run a block that sends a request; what keeps it from an answer is raised as ours."""
        if self._http.is_closed:
            raise UsageError(f"the connection to {self.address} was closed; connect again")
        try:
            yield
        except httpx.HTTPError as error:
            raise ServerError(self.address, _reason(error)) from error
        except httpx.InvalidURL as error:
            raise QueryError(
                f"what is asked cannot be written in an address ({error}); ask with a shorter name or condition"
            ) from error
        except UnicodeError as error:
            raise QueryError("what is asked is not valid Unicode; pass it as UTF-8") from error

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Run a block that reads an answer."""
        try:
            yield
        except _UNREAD as error:
            raise self._no_answer(path) from error

    def _no_answer(self, path: str) -> ServerError:
        return ServerError(f"{self.address}{path}", NO_ANSWER)


def _present(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _written(facts: object) -> bytes:
    """Write JSON, numbers of numpy as those of Python that they are."""
    written = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    return written.encode()


def _plain(value: object) -> object:
    import numpy as np  # late: most values are Python's own

    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot send a {type(value).__name__} to a server; pass a number or a text")


def _no_address(address: object) -> UsageError:
    """Refuse an address; one that may have a password or a token in it is not repeated."""
    text = address if isinstance(address, str) else ""
    if any(mark in text for mark in "@?#"):
        return UsageError(
            "what was given is not the address of a server, which has no user, password or question in it; give one "
            "such as http://127.0.0.1:8642, and a token as token="
        )
    return UsageError(f"{address!r} is not the address of a server; give one such as http://127.0.0.1:8642")


def _reason(error: httpx.HTTPError) -> str:
    return (
        "it takes too long"
        if isinstance(error, httpx.TimeoutException)
        else str(error) or type(error).__name__
    )
