"""``vlsearch serve``: a page in the browser, and an HTTP API, over one or several collections."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from retrieval.cli.completing import complete_collections
from retrieval.cli.options import given_places, runtime_options
from retrieval.cli.printing import counted, printable
from retrieval.errors import UsageError
from retrieval.extras import require
from retrieval.places import CollectionPlace

TOKEN = "VLSEARCH_TOKEN"


@click.command()
@click.argument(
    "collections",
    nargs=-1,
    metavar="[COLLECTION]...",
    callback=given_places,
    shell_complete=complete_collections,
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8642,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser. [default: --browser]")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ask clients for the token in this file. [default: $VLSEARCH_TOKEN; a new one where others can reach it]",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Answer under this name too, as behind a reverse proxy; repeatable.",
)
@click.option(
    "--write", is_flag=True, help="Let clients hide, tag and keep items, and index corpora that are known."
)
@click.option(
    "--add-to",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Let clients add pictures, as files in this folder; needs --write.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that answer, each with a model of its own in memory. One answers those who ask at a time together; "
    "more are for many clients, take longer to start, and cannot --write.",
)
@click.option(
    "--cache-size",
    type=click.IntRange(min=0),
    default=1024,
    show_default=True,
    metavar="MB",
    help="Thumbnails to keep on disk, in your cache folder.",
)
@click.option(
    "--log/--no-log", default=True, help="Tell each request on stderr, without its query. [default: --log]"
)
@runtime_options
def serve(
    collections: list[CollectionPlace],
    host: str,
    port: int,
    browser: bool,
    token_file: Path | None,
    allow_host: tuple[str, ...],
    write: bool,
    add_to: Path | None,
    workers: int,
    cache_size: int,
    log: bool,
) -> None:
    r"""Look and search in the browser; answer other programs over HTTP.

    Serves the COLLECTIONs named, or the default one, until interrupted. Only this machine can reach the
    page, unless --host says otherwise; then clients need a token, which is made and printed as a link that
    works once. The connection is not encrypted: put a reverse proxy with TLS in front.

    \b
        pip install 'vlsearch[serve]'
        vlsearch serve
        vlsearch serve photos/ scans/ --no-browser --port 9000
        vlsearch serve postgresql://me@db.example/pictures/photos --workers 4
    """
    require("serve", "vlsearch serve")
    from retrieval.query.pictures import default_cache  # numpy, faiss, fastapi: not for --help
    from retrieval.server import run
    from retrieval.server.access import new_token
    from retrieval.server.served import Collections
    from retrieval.server.settings import ServerSettings, is_loopback
    from retrieval.server.workers import WorkerTask, serve_in_workers

    token = _token(token_file) or (None if is_loopback(host) else new_token())
    settings = ServerSettings(host, port, token, allow_host, writes=write, add_to=add_to)
    if write and workers > 1:
        raise UsageError("one process alone may change collections; leave out --workers, or --write")
    if log and workers == 1:
        run.log_requests()
    cache_bytes = cache_size * 10**6
    with (
        run.listen(settings) as listener,
        Collections(collections, cache=default_cache(cache_bytes)) as opened,
    ):
        names = [printable(one.name) for one in opened]

        def announce(address: str) -> None:
            what = ", ".join(names)
            click.echo(f"{counted(len(collections), 'collection')} ({what}) at {address}")
            if token is not None:
                click.echo("That link works once. " + _about_token(token_file, token))
            if not is_loopback(host):
                click.echo(
                    "The connection is not encrypted: put a reverse proxy with TLS in front.", err=True
                )
            click.echo("Interrupt with Ctrl-C to stop.", err=True)
            if browser:
                run.open_browser(address)

        with contextlib.suppress(KeyboardInterrupt):  # absent where whoever started us ignores SIGINT
            if workers > 1:
                opened.close()  # it was opened to see that it can be; processes open it for themselves
                task = WorkerTask(collections, settings, cache_bytes, log)
                serve_in_workers(task, workers, listener, announce)
            else:
                opened.load_encoders()
                run.serve(opened, settings, listener, announce)
        click.echo("Stopped.", err=True)


def _token(file: Path | None) -> str | None:
    """Read the token that the user chose; None if there is none."""
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read the token in {file} ({reason}); check the path") from error
    if not token:
        raise UsageError(f"{file} is empty; put a token of 16 characters or more into it")
    return token


def _about_token(file: Path | None, token: str) -> str:
    if file is not None or os.environ.get(TOKEN):
        return "Programs send the token as Authorization: Bearer TOKEN."
    return f"Programs send the token, new at each start: Authorization: Bearer {token}"
