"""Errors as answers: a status, and one sentence in JSON, without paths of this machine for clients elsewhere."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from retrieval.errors import (
    CollectionError,
    CollectionLocked,
    CursorExpired,
    ImageError,
    UsageError,
    VlsearchError,
)
from retrieval.server.answers import Answer, is_local
from retrieval.server.capacity import HungUp, Overdue, Overloaded

log = logging.getLogger("retrieval.server")

ERROR_HEADER = "Vlsearch-Error"  # names the class in retrieval.errors, for clients in Python
CLIENT_CLOSED = 499  # nobody sees it but the log
_PATH = re.compile(r"(?<![\w:/])(?:/|[A-Za-z]:[\\/])[^\s/\\]+[/\\]|postgres(?:ql)?://")
_LOCKED = "another process is writing to the collection; ask again when it has ended"
_SECRET = "the collection cannot answer this now; the log of the server says why"


class NoSuch(HTTPException):
    """What a request names is not there.

    Args:
        what: says so.
        error: the class of what the engine raises of it, for clients in Python.
    """

    def __init__(self, what: str, error: type[VlsearchError] | None = None) -> None:
        super().__init__(404, what, None if error is None else {ERROR_HEADER: error.__name__})


class GenerationGone(HTTPException):
    """A page of an answer was asked for after the collection has changed."""

    def __init__(self) -> None:
        super().__init__(
            409, "the collection has changed since the first page; search again from the beginning"
        )


def answer_errors(app: FastAPI) -> None:
    """Have an application answer every error as this module does."""

    def failed(request: Request, error: Exception) -> Response:
        status, sentence, headers = answer_to(error)
        if isinstance(error, VlsearchError):
            headers = {**headers, ERROR_HEADER: type(error).__name__}
        return Answer({"error": without_paths(sentence, is_local(request))}, status, headers)

    for kind in (
        StarletteHTTPException, RequestValidationError, VlsearchError, Overloaded, Overdue, HungUp, Exception,
    ):  # fmt: skip
        app.add_exception_handler(kind, failed)


def without_paths(sentence: str, local: bool) -> str:
    """Give a sentence, or another one where it names a path of this machine, or its database, to a client elsewhere."""
    return _SECRET if not local and _PATH.search(sentence) else sentence


def answer_to(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Give an error's status, sentence and headers; the log has what is the server's own fault."""
    status, sentence, headers = _answer(error)
    if status >= 500 and not isinstance(error, Overloaded | Overdue):
        log.error("%s: %s", type(error).__name__, error)
    return status, sentence, headers


def _answer(error: Exception) -> tuple[int, str, dict[str, str]]:
    match error:
        case StarletteHTTPException():
            return error.status_code, _sentence(error), dict(error.headers or {})
        case RequestValidationError():
            return 400, _first_fault(error.errors()), {}
        case CursorExpired():
            return 409, str(error), {}
        case UsageError():
            return 400, str(error), {}
        case ImageError():
            return 404, str(error), {}
        case CollectionLocked():
            return 423, _LOCKED, {"Retry-After": "5"}
        case CollectionError():
            return 503, str(error), {"Retry-After": "10"}
        case VlsearchError():
            return 503, str(error), {"Retry-After": "60"}
        case Overloaded():
            return 429, "too many requests are waiting; ask again soon", {"Retry-After": "1"}
        case Overdue():
            return 503, "the answer took too long; ask for less, or again later", {"Retry-After": "5"}
        case HungUp():
            return CLIENT_CLOSED, "the client hung up", {}
    return 500, "the server made an error; its log says more", {}


def _sentence(error: StarletteHTTPException) -> str:
    plain = {404: "there is nothing at this address", 405: "this address does not answer that method"}
    said = str(error.detail)
    return plain.get(error.status_code, said) if said in ("Not Found", "Method Not Allowed") else said


def _first_fault(faults: Sequence[Any]) -> str:
    """Say what is wrong with a request, by the name of what was sent; the body has none but that."""
    fault = faults[0]
    if fault["type"] == "json_invalid":
        why, place = fault["ctx"]["error"], fault["loc"][-1]
        return f"the body is not JSON ({why}, at character {place}); send a JSON object"
    return first_fault([{**one, "loc": one["loc"][1:] or ("the body",)} for one in faults])


def first_fault(faults: Sequence[Any]) -> str:
    """Say what pydantic finds wrong: where, and what; what the client sent is not repeated."""
    fault = faults[0]
    where = ".".join(str(part) for part in fault["loc"])
    what = str(fault["msg"]).removeprefix("Value error, ")
    more = len(faults) - 1
    return (f"{where}: {what}" if where else what) + (f" (and {more} more)" if more else "")
