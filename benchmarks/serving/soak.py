"""A mixed load of a server in several processes, while a writer changes its collection and processes are killed.

    python -m benchmarks.serving.soak [--minutes 2] [--seed 0] [--clients 4]

Clients search, go on from items, list, and ask for thumbnails; each answer to a search is compared with that of an
engine of this process in the same generation. A writer adds and removes files, indexes, deletes, hides, unhides and
optimises through the command line. After a third and two thirds of the time a process that answers is killed. At the
end: how many answers were compared and were wrong, and how memory and descriptors of the processes went. Exits with 1
where an answer was wrong, too few were compared, or a process grew. 30 minutes are the run to judge a release by.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

import retrieval
from benchmarks.serving.processes import ServerProcess, Usage, server, usage

PICTURES = 300
CLIENTS = 4
WORKERS = 2
SAMPLE_S = 2.0
MOST_GROWTH = (
    48 * 2**20
)  # bytes, of the proportional memory of a process, between its second quarter and its last
MOST_DESCRIPTORS = 24
TEXTS = (
    "a red square",
    "something blue",
    "green and yellow",
    "a circle without red",
    "two shapes",
    "dark",
    "夜",
    "a line",
)


def picture(path: Path, seed: int) -> None:
    """Draw a picture of a few shapes."""
    rng = random.Random(seed)
    image = Image.new("RGB", (320, 240), tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = rng.randrange(260), rng.randrange(180)
        shape = rng.choice((draw.ellipse, draw.rectangle))
        shape((x, y, x + 60, y + 60), fill=tuple(rng.randrange(256) for _ in range(3)))
    image.save(path, quality=85)


class Load:
    """Clients, what they found, and the engine that answers are compared with."""

    def __init__(self, address: str, collection: Path, seed: int) -> None:
        self.address, self.seed = address, seed
        self.engine = retrieval.open(collection)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.over = threading.Event()
        self._lock = threading.Lock()

    def client(self, number: int) -> None:
        """Ask until it is over."""
        rng = random.Random(self.seed * 1000 + number)
        with httpx.Client(base_url=self.address, timeout=60, trust_env=False) as http:
            while not self.over.is_set():
                try:
                    rng.choice((self._search, self._search, self._similar, self._list, self._thumbnail))(
                        http, rng
                    )
                except httpx.TransportError:
                    self._count("connections lost")  # the process at the other end was killed
                except Exception as error:
                    self._count("faults")
                    self.wrong.append(f"{type(error).__name__}: {error}")

    def _search(self, http: httpx.Client, rng: random.Random) -> None:
        text, k = rng.choice(TEXTS), rng.choice((1, 5, 50))
        answer = http.get("/v1/search", params={"text": text, "k": k, "find": "image"})
        if self._is_answered(answer):
            self._compare(
                answer.json(), lambda: self.engine.search(text, k=k, find="image"), f"{text!r} k={k}"
            )

    def _similar(self, http: httpx.Client, rng: random.Random) -> None:
        item = rng.randrange(1, PICTURES)
        answer = http.get(f"/v1/items/{item}/similar", params={"k": 10})
        if answer.status_code != 400 and self._is_answered(answer):  # it may be hidden or gone
            self._compare(answer.json(), lambda: self.engine.similar(item, k=10), f"like {item}")

    def _list(self, http: httpx.Client, rng: random.Random) -> None:
        if rng.random() < 0.5:
            self._is_answered(http.get("/v1/items", params={"k": 100}))
        elif self._is_answered(answer := http.get("/v1/items/stream")):
            assert answer.text.endswith("}\n"), "it comes to its end"

    def _thumbnail(self, http: httpx.Client, rng: random.Random) -> None:
        answer = http.get(f"/v1/items/{rng.randrange(1, PICTURES)}/thumbnail")
        if answer.status_code != 404:  # hidden, or its file has gone
            self._is_answered(answer)

    def _is_answered(self, answer: httpx.Response) -> bool:
        self._count(f"status {answer.status_code}")
        if answer.status_code >= 500 and answer.status_code != 503:
            self.wrong.append(f"{answer.url.path}: {answer.status_code} {answer.text[:200]}")
        return answer.status_code == 200

    def _compare(self, answer: dict[str, Any], call: Any, what: str) -> None:
        """Compare an answer with the engine's, where both are of one generation."""
        before = self.engine.collection.generation
        try:
            expected = [(hit.id, hit.score) for hit in call()]
        except retrieval.QueryError:
            expected = None
        if not before == answer["generation"] == self.engine.collection.generation:
            self._count("of another generation")
            return
        self._count("compared")
        if expected != [(hit["id"], hit["score"]) for hit in answer["hits"]]:
            self.wrong.append(f"{what} in generation {before}")

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def write(photos: Path, collection: Path, load: Load, counts: Counter[str]) -> None:
    """Change the collection through the command line until it is over; a fault of its own makes the run worthless."""
    try:
        change(photos, collection, load.over, counts, load.seed)
    except Exception as error:
        load.wrong.append(f"the writer: {type(error).__name__}: {error}")


def change(photos: Path, collection: Path, over: threading.Event, counts: Counter[str], seed: int) -> None:
    """Add, remove, delete, hide and optimise until it is over."""
    rng = random.Random(seed)
    spare = photos.parent / "spare"
    spare.mkdir(exist_ok=True)
    named = ["--collection", str(collection)]
    new = PICTURES
    while not over.is_set():
        what = rng.choice(("add", "remove", "delete", "hide", "unhide", "optimize"))
        files = sorted(photos.glob("*.jpg"))
        some = [str(path) for path in rng.sample(files, 5)]
        if what == "add":
            for _ in range(5):
                picture(photos / f"{new}.jpg", new)
                new += 1
            command = ["index", str(photos), *named, "--quiet"]
        elif what == "remove" and len(files) > PICTURES // 2:
            for path in some:
                shutil.move(path, spare / Path(path).name)
            command = ["index", str(photos), *named, "--prune", "--quiet"]
        elif what in ("delete", "hide", "unhide"):
            command = [what, *some, *named]
        else:
            command = ["optimize", *named]
        done = subprocess.run(
            [sys.executable, "-m", "retrieval.cli", *command], capture_output=True, text=True, check=False
        )
        counts[f"{command[0]}: exit code {done.returncode}"] += 1
        over.wait(1.0)


def watch(running: ServerProcess, over: threading.Event, seen: dict[int, list[Usage]]) -> None:
    """Note what each process takes until it is over."""
    while not over.wait(SAMPLE_S):
        for pid in running.workers():
            if (found := usage(pid)) is not None:
                seen[pid].append(found)


def growth(samples: list[Usage]) -> tuple[int, int]:
    """Give how much a process has grown between its second quarter and its last: bytes, and descriptors."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[3 * quarter :]
    memory, files = (
        statistics.median(one[place] for one in late) - statistics.median(one[place] for one in early)
        for place in (2, 3)
    )
    return int(memory), int(files)


def main() -> int:
    """Run, and tell what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    given = parser.parse_args()
    seconds = 60 * given.minutes
    with tempfile.TemporaryDirectory() as scratch:
        photos, collection = Path(scratch) / "photos", Path(scratch) / "collection"
        photos.mkdir()
        for number in range(PICTURES):
            picture(photos / f"{number}.jpg", number)
        command = [
            sys.executable,
            "-m",
            "retrieval.cli",
            "index",
            str(photos),
            "--collection",
            str(collection),
            "--quiet",
        ]
        subprocess.run([*command, "--model", "mini"], check=True)
        environment = {"XDG_CACHE_HOME": f"{scratch}/cache"}
        with server(collection, "--workers", str(WORKERS), environment=environment) as running:
            load = Load(running.address, collection, given.seed)
            seen: dict[int, list[Usage]] = defaultdict(list)
            commands: Counter[str] = Counter()
            threads = [
                threading.Thread(target=load.client, args=(number,)) for number in range(given.clients)
            ]
            threads.append(threading.Thread(target=write, args=(photos, collection, load, commands)))
            threads.append(threading.Thread(target=watch, args=(running, load.over, seen)))
            for thread in threads:
                thread.start()
            killed: list[int] = []
            try:
                for _ in range(2):
                    time.sleep(seconds / 3)
                    killed.append(running.workers()[0])
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(killed[-1], signal.SIGKILL)
                time.sleep(seconds / 3)
                left = running.workers()
            finally:
                load.over.set()
                for thread in threads:
                    thread.join()
            load.engine.close()
    return report(load, commands, seen, killed, left)


def report(
    load: Load, commands: Counter[str], seen: dict[int, list[Usage]], killed: list[int], left: list[int]
) -> int:
    """Print what was found; give the exit code."""
    for what, number in sorted((load.counts + commands).items()):
        print(f"{number:>8,}  {what}")
    grown = False
    for pid, samples in seen.items():
        if len(samples) < 8:
            continue
        memory, files = growth(samples)
        grown |= memory > MOST_GROWTH or files > MOST_DESCRIPTORS
        print(
            f"process {pid}{' (killed)' if pid in killed else ''}: {samples[0].proportional / 2**20:.0f} MiB and "
            f"{samples[0].descriptors} descriptors at first, {samples[-1].proportional / 2**20:.0f} MiB and "
            f"{samples[-1].descriptors} descriptors at last; since its second quarter {memory / 2**20:+.1f} MiB, "
            f"{files:+} descriptors"
        )
    print(f"killed {len(killed)}, {len(left)} answer at the end; {len(load.wrong)} wrong answers")
    for one in load.wrong[:20]:
        print(f"  {one}")
    enough = load.counts["compared"] >= 50
    return 0 if not load.wrong and not grown and enough and len(left) == WORKERS else 1


if __name__ == "__main__":
    raise SystemExit(main())
