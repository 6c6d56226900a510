"""``vlsearch serve`` as it is typed: where it says that it answers, how it ends, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.command_line import Run, fill_photos

WAIT_S = 60


@pytest.fixture(scope="module")
def collection(run: Run, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    assert (
        run(
            "index", fill_photos(folder / "album"), "--collection", folder / "photos", "--model", model
        ).exit_code
        == 0
    )
    return folder / "photos"


@contextmanager
def started(
    arguments: Sequence[str | Path], env: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its first line: it answers now."""
    command = [
        sys.executable,
        "-m",
        "retrieval.cli",
        "serve",
        *map(str, arguments),
        "--no-browser",
        "--port",
        "0",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "VLSEARCH_TOKEN": ""}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_it_says_where_it_answers_and_an_interrupt_ends_it_without_an_error(
    collection: Path, env: dict[str, str]
) -> None:
    with started([collection], env) as (process, line):
        found = re.fullmatch(r"1 collection \(photos\) at (http://127\.0\.0\.1:\d+/)\n", line)
        assert found is not None
        assert httpx.get(f"{found[1]}v1/info", trust_env=False).json()["images"] == 3
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)

    assert process.returncode == 0
    assert "Stopped." in said.splitlines()
    assert re.search(r"^\d\d:\d\d:\d\d GET /v1/info 200 \d+ ms$", said, re.MULTILINE)


def test_an_address_that_others_can_reach_gets_a_token_and_a_link_that_works_once(
    collection: Path, env: dict[str, str]
) -> None:
    with started([collection, "--host", "0.0.0.0"], env) as (process, line):
        assert process.stdout is not None
        link = re.search(r":(\d+)(/open/\S+)$", line.strip())
        token = process.stdout.readline().strip().rpartition(" ")[2]
        assert link is not None
        base = f"http://127.0.0.1:{link[1]}"

        without = httpx.get(f"{base}/v1/info", trust_env=False)
        with_token = httpx.get(
            f"{base}/v1/info", trust_env=False, headers={"Authorization": f"Bearer {token}"}
        )
        followed = [httpx.get(base + link[2], trust_env=False).status_code for _ in range(2)]

    assert (without.status_code, with_token.status_code) == (401, 200)
    assert followed == [200, 403]


def test_a_port_that_is_taken_is_refused_with_a_sentence(run: Run, collection: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        done = run("serve", collection, "--no-browser", "--port", str(port))

    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: cannot listen on 127.0.0.1 port {port} (")
    assert done.stderr.endswith("; choose another --port\n")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nothing-here"], 1, "there is no collection at nothing-here"),
        ([""], 2, "it is empty; name a folder"),
        (["--host", "256.1.1.1.invalid"], 2, "choose another --host"),
        (["--token-file", "absent"], 2, "cannot read the token in absent"),
    ],
)
def test_a_mistake_is_one_sentence(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    done = run("serve", *arguments, "--no-browser", "--port", "0")

    assert done.exit_code == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_short_token_is_refused(run: Run, collection: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")

    done = run("serve", collection, "--token-file", tmp_path / "token", "--no-browser", "--port", "0")

    assert done.exit_code == 2
    assert "too easy to guess" in done.stderr
