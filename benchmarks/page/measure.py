"""What the page weighs, how soon it shows something, and how long input waits, in a real browser.

    python -m benchmarks.page.measure COLLECTION [--copies 80] [--runs 5]

Starts ``vlsearch serve`` over a collection of files, opens the page in the system's chromium with an empty cache each
time, and reads the browser's own figures (watch.js): bytes as they were sent, first paint with content, the largest
one, tasks above 50 ms (their excess is the blocking time), the delay of input events until a handler runs and until
the next frame, and frames while hits are scrolled through. With ``--copies N`` a collection is made as well, in a
temporary folder, of N copies of each picture: files of other bytes with the same picture, and vectors with noise.
Rewrites measure.md.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import retrieval
from benchmarks.provenance import markdown_table, provenance, write_table
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from retrieval.contents import image_digest
from retrieval.types import Item
from retrieval.uris import split_file_uri

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "pictures", "kB at first load", "requests before a picture shows", "first content, ms", "largest content, ms",
    "first picture, ms", "blocking, ms", "input delay, ms", "input to next frame, ms", "frames above 50 ms of 300",
)  # fmt: skip
TOLD = (
    "Medians of some runs with an empty cache of the browser, on loopback. Input events are the keys of a typed "
    "query and of twelve steps through the results; their delay is the worst, the time to the next frame the 98th "
    "percentile. Weight is as sent, headers included."
)
NOISE = 0.02  # standard deviation of each component of a copy's vector
BLOCK = 5_000  # items a commit
PORT = 8699
START_S = 60.0
QUERY = "two dogs on a beach"
WATCH = Path(__file__).with_name("watch.js")


def grow(collection: Path, folder: Path, copies: int) -> Path:
    """Make a collection of so many copies of each picture of another one."""
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    with retrieval.open(collection) as engine, Writer(folder / "c") as writer:
        identity = engine.collection.identity
        assert identity is not None, "the collection is not empty"
        corpus = writer.ensure_corpus((folder / "pictures").as_uri(), "folder")
        items = [item for item in engine.items("image") if split_file_uri(item.uri) is not None]
        with engine.collection.reading() as view:
            vectors = view.item_vectors([item.id for item in items])
        change = Change()
        for copy in range(copies):
            for item in items:
                vector = vectors[item.id].vector
                if vector is None:
                    continue
                _add_copy(change, folder / "pictures", item, vector, copy, corpus, rng)
                if len(change.items) == BLOCK:
                    writer.commit(change, identity)
                    change = Change()
        writer.commit(change, identity)
    return folder / "c"


def _add_copy(
    change: Change,
    folder: Path,
    item: Item,
    vector: NDArray[np.float32],
    copy: int,
    corpus: int,
    rng: np.random.Generator,
) -> None:
    source = split_file_uri(item.uri)
    assert source is not None, "it is a file"
    data = source[0].read_bytes() + copy.to_bytes(4, "big")  # decoders leave out what follows the end
    file = folder / f"{copy}-{item.id}{source[0].suffix}"
    file.write_bytes(data)
    noisy = vector + rng.normal(0, NOISE, len(vector)).astype(np.float32)
    digest = image_digest(data)
    change.contents["image", digest] = NewContent("image", digest, noisy / np.linalg.norm(noisy))
    change.items[file.as_uri()] = NewItem(file.as_uri(), "image", digest, corpus, attributes=item.attributes)


@contextmanager
def serving(collections: Sequence[Path], *options: str) -> Iterator[str]:
    """Run ``vlsearch serve`` over collections, with further options."""
    command = [
        sys.executable,
        "-m",
        "retrieval.cli",
        "serve",
        *map(str, collections),
        *options,
        "--no-browser",
        "--port",
        str(PORT),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}"
    try:
        until = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"{url}/v1/search?text=warm&k=1").read()
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def look(browser: Any, url: str) -> list[float]:
    """Open the page once, type, walk and scroll; the figures of one run, in the order of the table."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.add_init_script(path=WATCH)
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    names: dict[str, str] = {}
    sent: list[float] = []
    network.on(
        "Network.responseReceived", lambda told: names.update({told["requestId"]: told["response"]["url"]})
    )

    def finished(told: Any) -> None:
        if "/v1/" not in names.get(told["requestId"], "/v1/"):
            sent.append(told["encodedDataLength"])

    network.on("Network.loadingFinished", finished)
    page.goto(url)
    page.wait_for_function("() => window.figures.picture")
    at_first = page.evaluate("() => atFirst()")
    weight = sum(sent) / 1000
    page.keyboard.press("/")
    page.keyboard.type(QUERY, delay=40)
    page.keyboard.press("Enter")
    page.wait_for_selector(".tile[aria-label^='1. ']")
    page.locator(".tile").first.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    slow_frames = page.evaluate("() => scrollThrough()")
    delays = page.evaluate("() => figures.delays") or [[0, 0]]
    context.close()
    return [
        weight, *at_first,
        max(delay for delay, _ in delays), float(np.percentile([whole for _, whole in delays], 98)), slow_frames,
    ]  # fmt: skip


def measure(collection: Path, runs: int) -> tuple[object, ...]:
    """Take the medians of some runs, after one that fills the cache of thumbnails."""
    from playwright.sync_api import sync_playwright

    with retrieval.open(collection) as engine:
        pictures = engine.info().images
    with serving([collection]) as url, sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        found = [look(browser, url) for _ in range(runs + 1)][1:]
        browser.close()
    medians = [statistics.median(column) for column in zip(*found, strict=True)]
    return (f"{pictures:,}", f"{medians[0]:.1f}", *(f"{value:.0f}" for value in medians[1:]))


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument(
        "--copies", type=int, nargs="*", default=[], help="measure collections of so many copies too"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--note", default="", help="what else a reader must know of the machine meanwhile")
    options = parser.parse_args()
    rows = [measure(options.collection, options.runs)]
    for copies in options.copies:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(grow(options.collection, Path(folder), copies), options.runs))
    title = "# The page in a browser"
    copies = f" --copies {' '.join(map(str, options.copies))}" if options.copies else ""
    command = f"python -m benchmarks.page.measure COLLECTION{copies} --runs {options.runs}"
    sources = provenance(command, packages=("playwright", "fastapi", "uvicorn"), note=options.note)
    write_table(TABLE, [title, "", TOLD, "", *sources, "", *markdown_table(HEAD, rows)])
    print(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
