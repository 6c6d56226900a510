"""Requests that the API's own description allows, and others: ``python -m tests.fuzz.http_requests COUNT SEED``.

Schemathesis (``pip install schemathesis``) makes them, valid and invalid, of every route: of a server that only reads,
and a fifth as many of one that writes. Most of them name what earlier answers named (http_hooks.py), so that they get
past the checks; the share that was answered with 2xx is told. No answer may be 500, and the server still answers at
the end. The desktop of this machine is not touched: another ``xdg-open``, which does nothing, comes first.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import pytest

from retrieval.server.settings import ServerSettings
from tests.serving import Serving, album_collection, serving

_COUNT = re.compile(
    r'^vlsearch_requests_total\{method="(\w+)",route="([^"]*)",status="(\w+)"\} ([0-9.]+)$', re.M
)
ROOT = Path(__file__).resolve().parents[2]
ROUND_S = 1200.0
A_ROUTE = 25  # requests of one kind that a round makes of each route, at most


def main(count: int, seed: int) -> int:
    """Send at least so many requests to a server that reads; give the exit code."""
    with tempfile.TemporaryDirectory() as folder, idle_desktop(Path(folder)):
        path = album_collection(Path(folder))
        read = _fuzz(path, ServerSettings(port=0), count, seed)
        settings = ServerSettings(port=0, writes=True, add_to=Path(folder) / "added")
        written = _fuzz(path, settings, count // 5, seed)
    faults = sum(number for (_, status), number in (read + written).items() if status == "500")
    for (route, status), number in sorted((read + written).items()):
        print(f"{number:>7,}  {status}  {route}")
    for name, counts in (("to a server that reads", read), ("to one that writes", written)):
        print(f"{counts.total():,} requests {name}, {answered(counts):.0%} of them answered with 2xx")
    print(f"{faults} answers of 500 (seed {seed})")
    return 1 if faults else 0


@contextmanager
def idle_desktop(folder: Path) -> Iterator[None]:
    """Have folders opened by a program that does nothing."""
    program = folder / "bin" / "xdg-open"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("DISPLAY", ":99")
        yield


def answered(counts: Counter[tuple[str, str]]) -> float:
    """Share of requests that were answered with 2xx."""
    return sum(number for (_, status), number in counts.items() if status[0] == "2") / counts.total()


def _fuzz(path: Path, settings: ServerSettings, count: int, seed: int) -> Counter[tuple[str, str]]:
    """Send requests in rounds, each with a seed of its own; give how many each route answered, by status."""
    with tempfile.TemporaryDirectory() as cache, serving([path], Path(cache), settings) as served:
        counts: Counter[tuple[str, str]] = Counter()
        modes = cycle(("all", "positive"))
        while counts.total() < count:
            _round(served, min(A_ROUTE, max(1, count // 60)), seed, next(modes))
            counts, before, seed = counted(served), counts, seed + 1000
            if counts.total() - before.total() < 20:
                raise SystemExit("no requests came: is schemathesis installed?")
        assert served.client.get("/v1/health").json() == {"status": "ok"}
        return counts


def _round(served: Serving, each: int, seed: int, mode: str) -> None:
    """Send requests of every route: valid ones (``positive``), or ones with single faults as well (``all``)."""
    command = [
        sys.executable, "-c", "import schemathesis.cli; schemathesis.cli.schemathesis()", "run",
        f"{served.url}/v1/openapi.json", "--seed", str(seed), "--mode", mode, "--max-examples", str(each),
        "--continue-on-failure", "--checks", "not_a_server_error", "--no-shrink",
        "--phases", "examples,coverage,fuzzing", "--request-timeout", "120", "--suppress-health-check", "all",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:  # where it keeps what it found
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.fuzz.http_hooks"}
        subprocess.run(
            command, cwd=folder, env=environment, timeout=ROUND_S, stdout=subprocess.DEVNULL, check=False
        )


def counted(served: Serving) -> Counter[tuple[str, str]]:
    """Read from the server itself how many requests each route answered, by status."""
    found: Counter[tuple[str, str]] = Counter()
    for method, route, status, number in _COUNT.findall(served.client.get("/metrics").text):
        found[f"{method} {route}", status] += int(float(number))
    return found


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2])))
