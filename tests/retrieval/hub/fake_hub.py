"""A model hub on loopback: the few answers that a download needs, over folders that a test publishes."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

_INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>.+))?")
_TREE = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class FakeHub:
    """What is published, and what has been asked for.

    Attributes:
        commits: by repository and by commit or branch: the commit's name and its folder.
        requests: ``GET /path`` or ``HEAD /path``, in order.
        gated: repositories that answer 403.
        cut_after: files are cut off after so many bytes, once each, if it is set.
    """

    commits: dict[str, dict[str, tuple[str, Path]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    gated: set[str] = field(default_factory=set)
    cut_after: int | None = None
    url: str = ""

    def publish(self, repo: str, folder: Path, commit: str, branch: str = "main") -> None:
        """Make a folder the state of a branch, under a commit's name of 40 hex digits."""
        self.commits.setdefault(repo, {}).update({commit: (commit, folder), branch: (commit, folder)})

    def fetched(self) -> set[str]:
        """Names of the files whose bytes were asked for."""
        found = (re.fullmatch(r"GET .*/resolve/[^/]+/(.+)", request) for request in self.requests)
        return {match[1] for match in found if match}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:  # the server's own spelling
        self._answer()

    def do_GET(self) -> None:  # the server's own spelling
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        for pattern, answer in ((_TREE, self._tree), (_INFO, self._info), (_FILE, self._file)):
            if (match := pattern.fullmatch(path)) is not None:
                return answer(**match.groupdict())
        return self._fault(404, "EntryNotFound")

    def _commit(self, repo: str, revision: str | None) -> tuple[str, Path] | None:
        if repo in self.hub.gated:
            self._fault(403, "GatedRepo")
        elif repo not in self.hub.commits:
            self._fault(404, "RepoNotFound")
        elif (revision or "main") not in self.hub.commits[repo]:
            self._fault(404, "RevisionNotFound")
        else:
            return self.hub.commits[repo][revision or "main"]
        return None

    def _info(self, repo: str, revision: str | None) -> None:
        if (found := self._commit(repo, revision)) is not None:
            commit, folder = found
            files = [
                {"rfilename": file.name, "size": file.stat().st_size} for file in sorted(folder.iterdir())
            ]
            self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": files, "private": False})

    def _tree(self, repo: str, revision: str) -> None:
        if (found := self._commit(repo, revision)) is not None:
            self._json(
                [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _digest(file)}
                    for file in sorted(found[1].iterdir())
                ]
            )

    def _file(self, repo: str, revision: str, file: str) -> None:
        if (found := self._commit(repo, revision)) is None:
            return None
        commit, folder = found
        if not (folder / file).is_file():
            return self._fault(404, "EntryNotFound")
        data = (folder / file).read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{_digest(folder / file)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self._send(data[start:])
        return None

    def _send(self, data: bytes) -> None:
        cut, self.hub.cut_after = self.hub.cut_after, None
        self.wfile.write(data if cut is None else data[:cut])
        if cut is not None:
            self.close_connection = True

    def _json(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _fault(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def hub_on_loopback() -> Iterator[FakeHub]:
    """A running hub; its ``url`` is the endpoint."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Send the hub's client there, as HF_ENDPOINT does at a program's start."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
