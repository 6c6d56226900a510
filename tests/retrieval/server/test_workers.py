"""Several processes at one address, one of which may be killed; and the counts of requests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from retrieval.server.access import Tokens
from retrieval.server.uploads import Uploads
from tests.command_line import fill_photos, vlsearch
from tests.serving import Serving

WAIT_S = 150.0
PROC = Path("/proc")


@contextmanager
def command(
    *arguments: str | Path, before: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command ``vlsearch serve`` as its user runs it, after other words, and the address that it prints."""
    started = [*before, sys.executable, "-m", "retrieval.cli", "serve", *map(str, arguments)]
    with subprocess.Popen(
        [*started, "--no-browser", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, line.rpartition(" at ")[2].strip()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=WAIT_S)


def children_of(parent: int) -> list[int]:
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent and b"spawn_main" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return sorted(found)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_an_interrupt_ends_processes_whose_starter_ignores_interrupts(tmp_path: Path, model: Path) -> None:
    photos = fill_photos(tmp_path / "p")
    assert (
        vlsearch("index", photos, "--model", model, "--collection", tmp_path / "c", "--quiet").exit_code == 0
    )
    in_background = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")  # as of a shell's script, with &

    with command(tmp_path / "c", "--workers", "2", before=in_background) as (process, address):
        found = httpx.get(f"{address}v1/search", params={"text": "a dog"}, timeout=WAIT_S, trust_env=False)
        assert found.status_code == 200, found.text

    assert process.returncode == 0  # the helper has sent SIGINT, and waited


@pytest.mark.slow
@pytest.mark.skipif(not PROC.is_dir(), reason="finds the processes in /proc, which is not there")
def test_processes_share_uploads_and_counts_and_one_that_is_killed_is_replaced(
    tmp_path: Path, model: Path
) -> None:
    photos = fill_photos(tmp_path / "p")
    assert (
        vlsearch("index", photos, "--model", model, "--collection", tmp_path / "c", "--quiet").exit_code == 0
    )
    data = next(photos.glob("*.png")).read_bytes()
    with command(tmp_path / "c", "--workers", "2") as (process, address):
        before = children_of(process.pid)

        def ask(method: str, path: str, **given: object) -> httpx.Response:
            """Each request on a connection of its own, which either process may take."""
            return httpx.request(method, f"{address}{path}", timeout=WAIT_S, trust_env=False, **given)  # type: ignore[arg-type]

        upload = ask("POST", "v1/uploads", content=data).json()["upload"]
        answers = [
            ask("GET", "v1/search", params={"upload": upload, "find": "image"}).json() for _ in range(12)
        ]
        os.kill(before[0], signal.SIGKILL)
        again = []
        for _ in range(6):
            with suppress(httpx.TransportError):  # the one that was killed may have had a connection
                again.append(ask("GET", "v1/search", params={"upload": upload, "find": "image"}).json())
        deadline = time.monotonic() + WAIT_S
        while len(after := children_of(process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        counts = ask("GET", "metrics").text
    done = process.returncode

    assert len(before) == len(after) == 2
    assert before != after
    assert all(one["hits"] == answers[0]["hits"] for one in answers + again)
    assert len(again) >= 4
    total = [line for line in counts.splitlines() if 'route="/v1/search",status="200"' in line]
    assert sum(float(line.rpartition(" ")[2]) for line in total) >= len(answers) + len(again)
    assert done == 0
    assert [number for number in before + after if (PROC / str(number)).exists()] == []


def test_one_process_alone_may_write(tmp_path: Path) -> None:
    done = vlsearch("serve", tmp_path, "--write", "--workers", "2")

    assert done.exit_code == 2
    assert "one process alone may change collections; leave out --workers, or --write" in done.stderr


def test_counts_tell_routes_and_no_query(served: Serving) -> None:
    served.client.get("/v1/search", params={"text": "a secret"})
    served.client.get("/v1/items/1")
    served.client.get("/nothing/secret")
    served.client.request("PROPFIND", "/v1/info")

    answer = served.client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'vlsearch_requests_total{method="GET",route="/v1/search",status="200"}' in answer.text
    assert 'vlsearch_requests_total{method="GET",route="/v1/items/{id}",status="200"}' in answer.text
    assert 'vlsearch_requests_total{method="GET",route="other",status="404"}' in answer.text
    assert 'method="other"' in answer.text
    assert 'vlsearch_request_seconds_bucket{le="0.05",route="/v1/search"}' in answer.text
    assert "vlsearch_requests_in_progress 1.0" in answer.text
    assert "secret" not in answer.text


def test_counts_are_behind_the_token(locked: Serving) -> None:
    assert locked.client.get("/metrics").status_code == 401


def test_a_link_works_once_whichever_process_it_is_followed_in(tmp_path: Path) -> None:
    one, other = Tokens("t" * 20, tmp_path), Tokens("t" * 20, tmp_path)
    code = one.new_code()

    assert not other.use_code("../../etc/passwd")
    assert other.use_code(code)
    assert not one.use_code(code)
    assert not other.use_code(code)


def test_uploads_in_a_folder_are_found_by_every_process_and_stay_within_their_bound(tmp_path: Path) -> None:
    one, other = Uploads(2500, tmp_path), Uploads(2500, tmp_path)

    names = [one.add(bytes([number]) * 1000) for number in range(3)]

    assert other.get(names[2]) == b"\2" * 1000
    assert other.get(names[0]) is None
    assert other.get("../../../etc/passwd") is None
    assert len(list(tmp_path.iterdir())) == 2
