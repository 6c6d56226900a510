"""Assistants search through the Model Context Protocol, tried with the SDK's own client on both transports."""

from __future__ import annotations

import base64
import io
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError, types
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

import retrieval
from tests.command_line import fill_photos, vlsearch
from tests.retrieval.server.conftest import TOKEN
from tests.serving import Serving, serving

Session = Callable[[], Any]
TOOLS = ["search", "similar", "get_picture", "describe_collection", "facets"]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("assisted")
    done = vlsearch(
        "index", fill_photos(folder / "p"), "--model", model, "--collection", folder / "c", "--quiet"
    )
    assert done.exit_code == 0, done.stderr
    return folder / "c"


@pytest.fixture(scope="module")
def assisting(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving([collection], tmp_path_factory.mktemp("cache"), hashes=False) as found:
        yield found


@pytest.fixture(params=["http", "stdio"])
def session(request: pytest.FixtureRequest, assisting: Serving, collection: Path) -> Session:
    """Gives a client of the SDK, connected over one of the transports."""
    if request.param == "http":
        return lambda: Client(f"{assisting.url}/mcp")
    command = ["-m", "retrieval.cli", "mcp", str(collection)]
    return lambda: Client(StdioServerParameters(command=sys.executable, args=command))


def talk(session: Session, use: Callable[[Client], Awaitable[Any]]) -> Any:
    async def talking() -> Any:
        with anyio.fail_after(120):
            async with session() as client:
                return await use(client)

    return anyio.run(talking)


def test_every_tool_is_listed_with_a_schema_and_none_can_change_anything(assisting: Serving) -> None:
    listed = talk(lambda: Client(f"{assisting.url}/mcp"), lambda client: client.list_tools()).tools

    assert [tool.name for tool in listed] == TOOLS
    for tool in listed:
        assert tool.annotations.read_only_hint
        assert tool.input_schema["additionalProperties"] is False
        assert len(tool.description) < 120


def test_every_tool_answers_on_both_transports_as_the_engine_does(session: Session, collection: Path) -> None:
    with retrieval.open(collection) as engine:
        expected = engine.search("a red square", k=3, find="image")
        similar = engine.similar(expected[0], k=2)

    async def use(client: Client) -> None:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
        found = await client.call_tool("search", {"text": "a red square", "k": 3, "find": "image"})
        facts: dict[str, Any] = found.structured_content
        assert [(hit["id"], hit["score"]) for hit in facts["hits"]] == [
            (hit.id, hit.score) for hit in expected
        ]
        assert isinstance(found.content[0], types.TextContent)
        assert json.loads(found.content[0].text) == facts
        links = [one for one in found.content if isinstance(one, types.ResourceLink)]
        assert [link.name for link in links] == [f"item {hit.id}" for hit in expected]
        like = await client.call_tool("similar", {"items": [expected[0].id], "k": 2})
        assert [hit["id"] for hit in like.structured_content["hits"]] == [hit.id for hit in similar]
        picture = await client.call_tool("get_picture", {"item": expected[0].id, "size": 240})
        (image,) = [one for one in picture.content if isinstance(one, types.ImageContent)]
        with Image.open(io.BytesIO(base64.b64decode(image.data))) as opened:
            assert (opened.format, opened.size) == ("WEBP", (40, 30))
        described = (await client.call_tool("describe_collection", {})).structured_content
        assert described["images"] == 3
        assert "width" in [one["name"] for one in described["fields"]]
        counted = (await client.call_tool("facets", {"fields": ["width"]})).structured_content
        assert counted["facets"] == {"width": [{"value": "40", "count": 3}]}

    talk(session, use)


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("search", {}, "text: Field required"),
    ("search", {"text": ""}, "text: String should have at least 1 character"),
    ("search", {"text": "a" * 5000}, "text: String should have at most 4000 characters"),
    ("search", {"text": " "}, "the text of a query is empty"),
    ("search", {"text": "a", "k": 10**9}, "k: Input should be less than or equal to 50"),
    ("search", {"text": "a", "offset": -1}, "offset: Input should be greater than or equal to 0"),
    ("search", {"text": "a", "path": "/etc/passwd"}, "path: Extra inputs are not permitted"),
    ("search", {"text": "a", "where": "1=1; DROP TABLE items"}, ""),
    ("search", {"text": "a", "collection": "../../etc"}, "there is no collection of that name here"),
    ("search", {"text": ["a", {"b": 1}]}, "text: Input should be a valid string"),
    ("similar", {"items": []}, "items: List should have at least 1 item"),
    ("similar", {"items": [2**70]}, "items.0: "),
    ("similar", {"items": [10**9]}, "no item"),
    ("get_picture", {"item": "file:///etc/passwd"}, "item: Input should be a valid integer"),
    ("get_picture", {"item": 1, "size": 100000}, "size: Input should be 240, 480 or 1600"),
    ("get_picture", {"item": 10**9}, "there is no such picture in the collection"),
    ("facets", {"fields": ["wdith"]}, "wdith"),
    ("describe_collection", {"x": 1}, "x: Extra inputs are not permitted"),
]


def test_hostile_arguments_are_answered_with_a_sentence_and_the_server_goes_on(assisting: Serving) -> None:
    async def use(client: Client) -> None:
        for tool, arguments, sentence in HOSTILE:
            answer = await client.call_tool(tool, arguments)
            assert answer.is_error, (tool, arguments)
            (said,) = answer.content
            assert isinstance(said, types.TextContent)
            assert said.text.count("\n") == 0
            assert sentence in said.text
        with pytest.raises(MCPError, match="there is no such tool"):
            await client.call_tool("delete", {})
        assert not (await client.call_tool("describe_collection", {})).is_error

    talk(lambda: Client(f"{assisting.url}/mcp"), use)


def test_an_older_client_that_shakes_hands_first_is_answered_too(assisting: Serving) -> None:
    async def use(client: Client) -> None:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS

    talk(lambda: Client(f"{assisting.url}/mcp", mode="legacy"), use)


def test_the_tools_are_behind_the_token_and_the_checks_of_host_and_origin(locked: Serving) -> None:
    @asynccontextmanager
    async def with_token() -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(f"{locked.url}/mcp", http_client=http)) as client,
        ):
            yield client

    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    plain = locked.client.post("/mcp", json=message)
    foreign = locked.client.post("/mcp", json=message, headers={"Origin": "https://evil.example"})
    tools = talk(with_token, lambda client: client.list_tools()).tools

    assert (plain.status_code, foreign.status_code) == (401, 403)
    assert [tool.name for tool in tools] == TOOLS


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 30_000, b'{"jsonrpc": "2.0"}'])
def test_what_is_not_the_protocol_is_refused(assisting: Serving, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    answer = assisting.client.post("/mcp", content=body, headers=headers)

    assert 400 <= answer.status_code < 500


def test_an_assistant_elsewhere_is_told_no_paths(locked: Serving) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "photos.example.org", "Accept": "application/json"}
    asked = {"name": "similar", "arguments": {"items": [1], "k": 3}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}

    answer = locked.client.post(
        "/mcp", json=message, headers=headers | {"Accept": "application/json, text/event-stream"}
    )

    assert answer.json()["result"]["structuredContent"]["hits"]
    assert "file:" not in answer.text
    assert "/tmp" not in answer.text


def test_nothing_but_the_protocol_is_written_to_the_output(collection: Path) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    sent = "".join(json.dumps(one) + "\n" for one in messages) + "not JSON\n"

    done = subprocess.run(
        [sys.executable, "-m", "retrieval.cli", "mcp", str(collection)],
        input=sent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in done.stdout.splitlines())
    assert "Traceback" not in done.stderr


def test_an_interrupt_ends_it_while_it_waits_for_input(collection: Path) -> None:
    command = [sys.executable, "-m", "retrieval.cli", "mcp", str(collection)]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        assert "vlsearch" in process.stdout.readline()
        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 130
