"""The Model Context Protocol (MCP): :mod:`retrieval.server.assistant_tools` through the official SDK.

Over standard input and output (``vlsearch mcp``), and as streamable HTTP (``/mcp``), each request by itself, so that
any process of a server answers it. Importing this module needs the extra ``mcp``.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import anyio
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from retrieval.answers import json_line
from retrieval.server.answers import is_local
from retrieval.server.assistant_tools import TOOLS, Asker, AssistantTool, ToolAnswer
from retrieval.server.context import Context
from retrieval.server.failures import answer_to, first_fault, without_paths

INSTRUCTIONS = (
    "Pictures of the user, searched by what they show. Begin with search; look with get_picture; narrow with where, "
    "whose fields describe_collection names. Nothing can be changed."
)
_BY_NAME: dict[str, AssistantTool[Any]] = {tool.name: tool for tool in TOOLS}

Calling = ServerRequestContext[Any, Request]


def protocol_server(shared: Context) -> Server[Any]:
    """Make a server that lists the tools and calls them."""

    async def list_tools(_: Calling, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS])

    async def call_tool(calling: Calling, asked: types.CallToolRequestParams) -> types.CallToolResult:
        tool = _BY_NAME.get(asked.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no such tool; there are {', '.join(_BY_NAME)}")
        return await _called(shared, tool, _asker(calling.request), asked.arguments or {})

    return Server("vlsearch", instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool)


def serve_stdio(shared: Context) -> None:
    """Answer over standard input and output until the input ends; nothing else is written to the output."""
    server = protocol_server(shared)

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(serve)


class AssistantApp:
    """An ASGI application that answers over streamable HTTP; whatever guards it stands around it."""

    def __init__(self, shared: Context) -> None:
        self._manager = StreamableHTTPSessionManager(
            protocol_server(shared),
            json_response=True,
            stateless=True,
            security_settings=TransportSecuritySettings(
                enable_dns_rebinding_protection=False
            ),  # the guard's business
        )
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the first one starts the manager of the SDK, which ends with the loop."""
        if self._running is None:
            ready = asyncio.Event()
            self._running = asyncio.create_task(self._run(ready))
            await ready.wait()
        await self._manager.handle_request(scope, receive, send)

    async def _run(self, ready: asyncio.Event) -> None:
        async with self._manager.run():
            ready.set()
            await asyncio.Event().wait()


def _described(tool: AssistantTool[Any]) -> types.Tool:
    output = {
        "type": "object",
        "properties": {name: {} for name in tool.required},
        "required": list(tool.required),
    }
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=_untitled(tool.arguments.model_json_schema()),
        output_schema=output,
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )


def _untitled(schema: Any) -> Any:
    """Leave out what pydantic says twice: a model reads every word of a schema."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _untitled(one) for name, one in value.items()}
        if key == "properties"
        else _untitled(value)
        for key, value in schema.items()
        if key != "title" and not (key == "description" and schema.get("type") == "object")
    }


def _asker(request: Request | None) -> Asker:
    if request is None:
        return Asker(local=True)
    return Asker(is_local(request), str(request.base_url))


async def _called(
    shared: Context, tool: AssistantTool[Any], asker: Asker, given: dict[str, Any]
) -> types.CallToolResult:
    """Run a tool; what is wrong with its arguments, or cannot be done, is told to the model in a sentence."""
    lane = shared.thumbnails if tool.decodes else shared.searches
    try:
        answer = await lane.call(lambda: tool.answer(shared, asker, given))
    except ValidationError as error:
        return _refused(first_fault(error.errors()))
    except Exception as error:  # as over HTTP: every error has a sentence, and the log what is our own fault
        return _refused(without_paths(answer_to(error)[1], asker.local))
    return _result(answer)


def _refused(sentence: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=_plain(sentence))], is_error=True)


def _result(answer: ToolAnswer) -> types.CallToolResult:
    content: list[types.ContentBlock] = [types.TextContent(text=json_line(answer.facts))]
    if answer.picture is not None:
        data = base64.b64encode(answer.picture).decode()
        content.append(types.ImageContent(data=data, mime_type="image/webp"))
    content += [
        types.ResourceLink(uri=_plain(link.uri), name=link.name, mime_type=link.media_type)
        for link in answer.links
    ]
    return types.CallToolResult(content=content, structured_content=_plain(answer.facts))


def _plain(value: Any) -> Any:
    """Give a JSON value with every text in it valid Unicode: names of files need not be."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
