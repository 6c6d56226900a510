"""What every request that changes something must meet, whatever it changes.

A page of another site can have a browser send plain forms and nothing else: JSON, and methods other than GET and POST,
it may send only after it has asked, and the answer is no (there is no CORS). The guard has checked Origin before.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request

from retrieval.server.context import Context, context_of

WAIT_S = 5.0  # for another writer, before a request is refused
READ_ONLY = "this server changes nothing; start it with vlsearch serve --write to change collections"


async def writing_context(request: Request) -> Context:
    """Give the context for a request that changes something.

    Raises:
        HTTPException: 403, the server only reads; 415, the body is not JSON.
    """
    shared = await context_of(request)
    if not shared.settings.writes:
        raise HTTPException(403, READ_ONLY)
    if request.method == "POST":
        check_json(request)
    return shared


def check_json(request: Request) -> None:
    """Refuse a body that a form of another site could send.

    Raises:
        HTTPException: 415, the body is not JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send JSON, as Content-Type: application/json")


Writing = Annotated[Context, Depends(writing_context)]
