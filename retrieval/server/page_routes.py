"""Routes of the page: files of this package from a table made at the start, and the ways to log in."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from retrieval.server.context import Context, Shared, is_current

routes = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
WRONG_TOKEN_S = 1.0  # that a wrong token at the login page costs


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page, as it is and compressed."""

    data: bytes
    packed: bytes
    media_type: str
    tag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Read the files of the page, by their names below its folder."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in TYPES:
            data = path.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:24]}"'
            kind = f"{TYPES[path.suffix]}; charset=utf-8"
            found[path.relative_to(FOLDER).as_posix()] = PageFile(
                data, gzip.compress(data, 9, mtime=0), kind, tag
            )
    return found


@routes.get("/")
async def page(request: Request) -> Response:
    """Give the page."""
    return _file(request, "index.html")


@routes.get("/page/{name:path}")
async def page_file(request: Request, name: str) -> Response:
    """Give a file that the page loads."""
    return _file(request, name)


@routes.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """Give the icon to browsers that ask for it by this name."""
    return _file(request, "icon.svg")


@routes.get("/login")
async def login_page(request: Request, shared: Shared) -> Response:
    """Give the page that asks for the token."""
    if shared.tokens is None:
        return RedirectResponse("/", 303)
    return _file(request, "login.html", 200 if request.scope["raw_path"] == b"/login" else 401)


@routes.post("/login")
async def login(request: Request, shared: Shared) -> Response:
    """Take the token from the login page, and set the cookie."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=4)
    given = fields.get("token", [""])[0].strip()
    if shared.tokens is None or shared.tokens.is_token(given):
        return _logged_in(request, shared, RedirectResponse("/", 303))
    await asyncio.sleep(WRONG_TOKEN_S)
    return _file(request, "login.html", 403)


@routes.get("/open/{code}")
async def open_link(request: Request, shared: Shared, code: str) -> Response:
    """Follow the link that the server printed: it works once, and sets the cookie.

    The answer is a page that goes on by itself: a redirect would lose the cookie where the link was followed from
    another site.
    """
    if shared.tokens is not None and shared.tokens.use_code(code):
        return _logged_in(request, shared, _file(request, "opened.html"))
    return _file(request, "login.html", 403)


def _logged_in(request: Request, shared: Context, response: Response) -> Response:
    if shared.tokens is not None:
        secure = request.headers.get("x-forwarded-proto") == "https"
        response.set_cookie(
            shared.cookie, shared.tokens.session, httponly=True, samesite="strict", secure=secure, path="/"
        )
    return response


def _file(request: Request, name: str, status: int = 200) -> Response:
    file = page_files().get(name)
    if file is None:
        return Response(status_code=404)
    headers = {
        "ETag": file.tag,
        "Cache-Control": "no-cache",
        "Content-Type": file.media_type,
        "Vary": "Accept-Encoding",
    }
    if status == 200 and is_current(request, file.tag):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, status, headers | {"Content-Encoding": "gzip"})
    return Response(file.data, status, headers)
