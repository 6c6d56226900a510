"""CPU time of all processes that a run begins, kills among them, and a digest of what a collection holds.

CPU seconds are read from /proc every half second: of a process that ended, what it had used when it was last seen.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.collection import Collection

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """CPU seconds of this process's descendants, of which some are killed once they have worked long enough.

    Attributes:
        victims: parts of command lines; the first process with each is killed.
        kill_after: CPU seconds of a process after which it is.
        used: CPU seconds by process.
        killed: the parts whose process was killed.
    """

    victims: tuple[str, ...] = ()
    kill_after: float = 0.0
    used: dict[int, float] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(0.5):
            for process, name, seconds in descendants():
                self.used[process] = max(seconds, self.used.get(process, 0.0))
                for victim in self.victims:
                    if victim in name and victim not in self.killed and seconds > self.kill_after:
                        os.kill(process, signal.SIGKILL)
                        self.killed.add(victim)


def descendants() -> Iterator[tuple[int, str, float]]:
    """Give id, command line and CPU seconds of every process that this one, or one of its children, began."""
    parents: dict[int, int] = {}
    facts: dict[int, tuple[str, float]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "stat").read_text().rpartition(")")[2].split()
            name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        parents[int(entry.name)] = int(words[1])
        facts[int(entry.name)] = (name, (int(words[11]) + int(words[12])) / _TICKS)
    for process, (name, seconds) in facts.items():
        above = process
        while above in parents:
            above = parents[above]
            if above == os.getpid():
                yield process, name, seconds
                break


def digest(collection: Path) -> str:
    """Hash items in the order of their ids with their vectors, links and failures."""
    found = hashlib.sha256()
    with closing(sqlite3.connect(f"file:{collection}/catalogue.sqlite?mode=ro", uri=True)) as catalogue:
        for statement in (
            "SELECT items.id, uri, hex(sha256), attributes, stamp, extent FROM items"
            " JOIN contents ON contents.id = content_id ORDER BY items.id",
            "SELECT image_item, text_item, rank FROM links ORDER BY 1, 2",
            "SELECT uri, reason, stamp FROM failures ORDER BY id",
        ):
            for row in catalogue.execute(statement):
                found.update(repr(row).encode())
    with Collection.open(collection) as opened, opened.reading() as view:
        for kind in ("image", "text"):
            for page in view.pages(kind):
                vectors = view.vectors(kind, [item.encoding for item in page])  # type: ignore[misc]
                found.update(vectors.tobytes())
    return found.hexdigest()
