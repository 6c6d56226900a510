"""Kills while a collection on a server is filled or tagged: of the client, of a worker that decodes, of the postmaster.

``python -m tests.postgres.killing N`` plays N kills on a server of its own, and says what they left. Killed processes
lose nothing that they have written to files, so that these may lie in memory: ``TMPDIR=/dev/shm`` saves waiting for a
disk.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import indexer
from retrieval.collection import Collection
from retrieval.errors import CollectionError
from retrieval.postgres_address import parse_address
from tests.builders import HashEncoder, draw
from tests.postgres_server import Server

Killed = Literal["client", "worker", "postmaster"]
KILLED: tuple[Killed, ...] = ("client", "worker", "postmaster")
ROWS = 800
SHORTEST_S, LONGEST_S = (
    0.2,
    2.0,
)  # after the first commit, until something is killed; a run takes about as long

_CLIENT = """
import sys, indexer
from indexer.pipeline.pace import CommitPace
from indexer.store.writer import Writer
from tests.builders import HashEncoder

commit = Writer.commit

def commit_and_tell(writer, change, identity):
    ids = commit(writer, change, identity)
    print(" ".join(change.items), flush=True)
    return ids

Writer.commit = commit_and_tell
pace = CommitPace(contents=20)
indexer.build(sys.argv[1], sys.argv[2], model=HashEncoder(), pace=pace, retry_failed=True, workers=1, timeout=30)
print("done", flush=True)
"""

_TAGGER = """
import json, sys, indexer
from indexer import tagging
from indexer.store.writer import Writer
from retrieval.analysis import name_probabilities
from tests.builders import HashEncoder

shares = name_probabilities.softmax_shares  # bundled names would be likelier for most of these pictures
name_probabilities.softmax_shares = lambda names, others, images: shares(names, others[:0], images)
commit_rows = Writer.commit_rows

def commit_and_tell(writer, change):
    commit_rows(writer, change)
    print(json.dumps(change.attributes), flush=True)

Writer.commit_rows, tagging.PAGE_ITEMS = commit_and_tell, 20
indexer.tag(sys.argv[1], vocabulary=sys.argv[2:], model=HashEncoder(), timeout=30)
print("done", flush=True)
"""


class Kills:
    """A server, pictures, and a collection of them that is filled again and again, with what was acknowledged.

    Args:
        server: that the collection lies on.
        folder: for the pictures.
        rows: number of pictures.
    """

    def __init__(self, server: Server, folder: Path, rows: int = ROWS) -> None:
        self.server, self.rows, self._number, self._tagged = server, rows, 0, 0
        self.pictures = folder / "pictures"
        self.pictures.mkdir(parents=True)
        for number in range(rows):
            draw(self.pictures / f"{number:04}.png", (number % 256, number // 256, 7))
        self._begin_again()

    def _begin_again(self) -> None:
        self._number += 1
        self.address = self.server.address(f"killed{self._number}_{int(time.time())}")
        self.acknowledged: set[str] = set()

    def kill_once(self, killed: Killed, after_s: float) -> bool:
        """Go on filling the collection, kill something after its first commit, and check; whether it was filled.

        Raises:
            AssertionError: an acknowledged picture is not there, or the doctor finds a fault.
        """
        told, said = self._told([_CLIENT, str(self.pictures), self.address], killed, after_s)
        is_filled = "done" in told
        for line in told:
            self.acknowledged |= {uri for uri in line.split() if uri.startswith("file:")}
        self._check(is_filled, said)
        if is_filled:
            self._begin_again()
        return is_filled

    def kill_tagging(self, killed: Killed, after_s: float) -> bool:
        """Tag the pictures that are there, kill something after the first commit, and check; whether all were tagged.

        Raises:
            AssertionError: a tag that was acknowledged is not there, or the doctor finds a fault.
        """
        self._tagged += 1
        names = [f"name {self._tagged} {number}" for number in range(3)]
        told, said = self._told([_TAGGER, self.address, *names], killed, after_s)
        there = self._answered()
        acknowledged = [json.loads(line) for line in told if line != "done"]
        assert acknowledged, said[-500:]
        for commit in acknowledged:
            for uri, attributes in commit.items():
                assert there[uri] == attributes, f"lost tags of {uri} ({said[-500:]})"
        assert indexer.doctor(parse_address(self.address)).faults == ()
        return "done" in told

    def _told(self, arguments: list[str], killed: Killed, after_s: float) -> tuple[list[str], str]:
        """Run code, kill something so long after its first line; give all whole lines, and what it said of errors."""
        with tempfile.TemporaryFile("w+") as errors:
            client = subprocess.Popen(
                [sys.executable, "-c", *arguments], stdout=subprocess.PIPE, stderr=errors, text=True
            )
            assert client.stdout is not None
            with client.stdout as stdout:  # one reader: what it has read ahead, communicate() would not give
                first = stdout.readline()
                time.sleep(after_s)
                self._kill(killed, client)
                rest = stdout.read()
            client.wait(timeout=600)
            errors.seek(0)
            said = errors.read()
        if killed == "postmaster":
            self.server.restart()
        told = [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]
        return [line.strip() for line in told], said

    def _kill(self, killed: Killed, client: subprocess.Popen[str]) -> None:
        if killed == "client":
            client.kill()
        elif killed == "postmaster":
            self.server.kill()
        else:
            psutil: Any = importlib.import_module("psutil")
            with contextlib.suppress(psutil.Error, IndexError):
                psutil.Process(client.pid).children(recursive=True)[-1].kill()

    def _check(self, is_filled: bool, said: str) -> None:
        there = self._answered()
        assert self.acknowledged <= there.keys(), (
            f"lost: {sorted(self.acknowledged - there.keys())[:3]} ({said[-500:]})"
        )
        if not self.acknowledged:  # it may not have been made yet
            return
        assert indexer.doctor(parse_address(self.address)).faults == ()
        if is_filled:  # a picture whose worker was killed is a failure, which another run takes
            indexer.build(self.pictures, self.address, model=HashEncoder(), retry_failed=True, workers=1)
            assert len(self._answered()) == self.rows

    def _answered(self) -> dict[str, Any]:
        """Ask for the pictures that are there, with their attributes; a server that was killed takes a while."""
        for attempt in range(100):
            try:
                with Collection.open(parse_address(self.address)) as opened, opened.reading() as view:
                    return {
                        row.uri: json.loads(row.attributes) for page in view.pages("image") for row in page
                    }
            except CollectionError as error:
                if "there is no collection" in str(error):
                    return {}
                if attempt == 99:
                    raise
                time.sleep(0.1)
        raise AssertionError("unreachable")


def play(kills: int, seed: int, folder: Path, rows: int = ROWS) -> int:
    """Play kills in turns; give how many runs came to their end all the same."""
    chance, through = random.Random(seed), 0
    (folder / "server").mkdir(parents=True)
    harness = Kills(Server(folder / "server"), folder, rows)
    for number in range(kills):
        is_filled = harness.kill_once(KILLED[number % 3], chance.uniform(SHORTEST_S, LONGEST_S))
        if not is_filled and harness.acknowledged:
            harness.kill_tagging(("client", "postmaster")[number % 2], chance.uniform(0, SHORTEST_S))
        through += is_filled
        if number % 10 == 9:
            print(f"{number + 1} kills, {through} runs came through, nothing lost", flush=True)
    harness.server.end()
    return through


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent:
        ended = play(int(sys.argv[1]), int(time.time()), Path(parent) / "k")
    print(
        f"{sys.argv[1]} kills, {ended} runs came through; no acknowledged picture or tag lost, doctor clean"
    )
