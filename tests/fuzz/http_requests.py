"""Requests that the API's own description allows, and others: ``python -m tests.fuzz.http_requests COUNT SEED``.

Schemathesis (``pip install schemathesis``) makes them, valid and invalid, of every route: of a server that only reads,
and a fifth as many of one that writes. No answer may be 500, and the server still answers at the end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

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
    with tempfile.TemporaryDirectory() as folder:
        path = album_collection(Path(folder))
        read = _fuzz(path, ServerSettings(port=0), count, seed)
        settings = ServerSettings(port=0, writes=True, add_to=Path(folder) / "added")
        written = _fuzz(path, settings, count // 5, seed)
    faults = sum(number for (_, status), number in (read + written).items() if status == "500")
    for (route, status), number in sorted((read + written).items()):
        print(f"{number:>7,}  {status}  {route}")
    print(
        f"{read.total():,} requests to read and {written.total():,} to write, {faults} answers of 500 (seed {seed})"
    )
    return 1 if faults else 0


def _fuzz(path: Path, settings: ServerSettings, count: int, seed: int) -> Counter[tuple[str, str]]:
    """Send requests in rounds, each with a seed of its own; give how many each route answered, by status."""
    with tempfile.TemporaryDirectory() as cache, serving([path], Path(cache), settings) as served:
        counts: Counter[tuple[str, str]] = Counter()
        while counts.total() < count:
            _round(served, min(A_ROUTE, max(1, count // 60)), seed)
            counts, before, seed = counted(served), counts, seed + 1000
            if counts.total() - before.total() < 20:
                raise SystemExit("no requests came: is schemathesis installed?")
        assert served.client.get("/v1/health").json() == {"status": "ok"}
        return counts


def _round(served: Serving, each: int, seed: int) -> None:
    command = [
        sys.executable, "-c", "import schemathesis.cli; schemathesis.cli.schemathesis()", "run",
        f"{served.url}/v1/openapi.json", "--seed", str(seed), "--max-examples", str(each), "--continue-on-failure",
        "--checks", "not_a_server_error", "--no-shrink", "--phases", "examples,coverage,fuzzing",
        "--request-timeout", "120", "--suppress-health-check", "all",
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
