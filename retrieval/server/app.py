"""The application: routes, errors, and the guard around both."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from retrieval.server import (
    album_routes,
    desktop_routes,
    duplicate_routes,
    explain_routes,
    index_routes,
    map_routes,
    page_routes,
    picture_routes,
    program_routes,
    search_routes,
    stream_routes,
    write_routes,
)
from retrieval.server.access import Hosts, Tokens
from retrieval.server.assistant_routes import AssistantRoute
from retrieval.server.context import Context
from retrieval.server.failures import answer_errors
from retrieval.server.guard import Guard
from retrieval.server.metrics import Metrics
from retrieval.server.served import Collections
from retrieval.server.settings import LINKS, ServerSettings


class Server:
    """An ASGI application that answers for some collections; :meth:`close` ends its threads and not the collections.

    Args:
        collections: what is searched.
        settings: as it was told.
        port: that it really listens on.
    """

    def __init__(self, collections: Collections, settings: ServerSettings, port: int) -> None:
        links = None if settings.shared is None else settings.shared / LINKS
        self.tokens = None if settings.token is None else Tokens(settings.token, links)
        cookie = f"vlsearch-{port}"
        metrics = Metrics()
        self.context = Context.of(settings, collections, self.tokens, cookie)
        self.app: ASGIApp = Guard(
            _application(self.context, metrics), settings, Hosts(settings, port), self.tokens, cookie, metrics
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        await self.app(scope, receive, send)

    def close(self) -> None:
        """End the threads."""
        self.context.close()


def _application(context: Context, metrics: Metrics) -> FastAPI:
    app = FastAPI(
        title="vlsearch",
        version="1",
        description="Find pictures by words and captions by pictures.",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context, app.state.metrics = context, metrics
    for router in (
        program_routes.routes,
        program_routes.plain_routes,
        stream_routes.routes,  # before the items by id, which would take its name for one
        search_routes.routes,
        album_routes.routes,
        duplicate_routes.routes,
        explain_routes.routes,
        map_routes.routes,
        picture_routes.routes,
        write_routes.routes,
        desktop_routes.routes,
        index_routes.routes,
        page_routes.routes,
    ):
        app.include_router(router)
    app.router.routes.append(Route("/mcp", AssistantRoute(context), methods=["GET", "POST", "DELETE"]))
    answer_errors(app)
    return app
