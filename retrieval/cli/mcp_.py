"""``vlsearch mcp``: tools for assistants over standard input and output."""

from __future__ import annotations

import os
import signal

import click

from retrieval.cli.completing import complete_collections
from retrieval.cli.options import given_places, runtime_options
from retrieval.extras import require
from retrieval.places import CollectionPlace

INTERRUPTED = 130  # 128 + SIGINT, as shells count


@click.command()
@click.argument(
    "collections",
    nargs=-1,
    metavar="[COLLECTION]...",
    callback=given_places,
    shell_complete=complete_collections,
)
@runtime_options
def mcp(collections: list[CollectionPlace]) -> None:
    r"""Let assistants search and look at pictures (MCP).

    An assistant that speaks the Model Context Protocol starts this command and talks to it over standard input and
    output. It can search, find similar pictures, look at them and count; it can change nothing. A server has the same
    tools at /mcp (vlsearch serve).

    \b
        pip install 'vlsearch[mcp]'
        vlsearch mcp photos/
    """
    require("mcp", "vlsearch mcp")
    from retrieval.query.pictures import default_cache  # numpy, faiss, mcp: not for --help
    from retrieval.server.assistant_protocol import serve_stdio
    from retrieval.server.context import Context
    from retrieval.server.served import Collections
    from retrieval.server.settings import ServerSettings

    with Collections(collections, cache=default_cache()) as opened:
        opened.load_encoders()
        shared = Context.of(ServerSettings(), opened, None, "")
        # a thread of the SDK reads the input and cannot be interrupted; nothing here is to be saved
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        try:
            serve_stdio(shared)
        finally:
            shared.close()
