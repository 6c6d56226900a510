"""What a server says is wrong, as the exception that the engine itself raises, with the server's sentence."""

from __future__ import annotations

from functools import cache

import httpx

from retrieval import errors
from retrieval.errors import CollectionLocked, QueryError, ServerError, VlsearchError

ERROR_HEADER = "Vlsearch-Error"
_BY_STATUS: dict[int, type[VlsearchError]] = {
    400: QueryError,
    404: QueryError,
    409: QueryError,
    423: CollectionLocked,
}


def fault_of(answer: httpx.Response) -> VlsearchError:
    """Give the exception that an answer other than a success stands for."""
    try:
        sentence = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ServerError(str(answer.request.url.copy_with(query=None)), f"status {answer.status_code}")
    return told(answer.headers.get(ERROR_HEADER, ""), sentence, answer.status_code)


def told(name: str | None, sentence: str, status: int = 0) -> VlsearchError:
    """Give an exception of the class of a name, or of a status, whose sentence is another one."""
    found = getattr(errors, name or "", None)
    if not (isinstance(found, type) and issubclass(found, VlsearchError)):
        found = _BY_STATUS.get(status, ServerError)
    return _told_class(found.__name__)(sentence)


@cache
def _told_class(name: str) -> type[VlsearchError]:
    """Make a class that is an error's own and whose sentence is given: the facts behind it stay with the server."""
    kind: type[VlsearchError] = getattr(errors, name)

    class Told(kind):  # type: ignore[misc, valid-type]  # the class is an argument
        def __init__(self, sentence: str) -> None:
            Exception.__init__(self, sentence)
            self.sentence = sentence

        def __str__(self) -> str:
            return self.sentence

        def in_shell(self) -> str:
            return self.sentence

        def __reduce__(self) -> tuple[object, ...]:
            return told, (kind.__name__, self.sentence)

    Told.__name__ = Told.__qualname__ = kind.__name__
    Told.__doc__ = kind.__doc__
    return Told
