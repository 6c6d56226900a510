"""Searches through HTTP by vlsearch and by clip-retrieval's back end, of the same vectors, one after the other.

    python -m benchmarks.serving.beside_clip_retrieval COLLECTION --python PYTHON [--seconds 15] [--rounds 2]

COLLECTION is what ``benchmarks.serving.load --folder`` leaves in its folder; PYTHON is of an environment with
clip-retrieval. vlsearch is asked with words, no two alike, and encodes them; clip-retrieval is given vectors and
encodes nothing. Both give 50 hits; its index is flat, so that both are exact. CPU is that of the server's processes.
Rewrites beside_clip_retrieval.md.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import retrieval
from benchmarks.provenance import markdown_table, provenance, write_table
from benchmarks.serving.load import ask, searches
from benchmarks.serving.processes import cpu_s, server

TABLE = Path(__file__).with_suffix(".md")
BACKEND = Path(__file__).with_name("clip_retrieval_backend.py")
PORT = 8977
QUERIES = 64
HEAD = ("server", "clients", "a second", "CPU ms a search", "ms, median", "ms, 95th percentile")


def build(collection: Path, folder: Path) -> int:
    """Write clip-retrieval's index of the vectors of a collection; give their number."""
    import faiss
    import pyarrow as pa
    import pyarrow.parquet as pq

    with retrieval.open(collection) as engine, engine.collection.reading() as view:
        vectors = view.vectors_of_kind("image").vectors
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "image.index"))
    (folder / "metadata").mkdir()
    rows = {
        "image_path": [f"{number:06}.jpg" for number in range(len(vectors))],
        "caption": [""] * len(vectors),
    }
    pq.write_table(pa.table(rows), folder / "metadata" / "metadata_0.parquet")
    (folder / "indices.json").write_text(json.dumps({"all": str(folder)}))
    return len(vectors)


def requests() -> list[str]:
    """Give bodies of searches by the vectors of the words that vlsearch is asked with."""
    encoder = retrieval.load_encoder("mini")
    words = [unquote(path.partition("text=")[2]) for path in itertools.islice(searches(), QUERIES)]
    rows = [encoder.encode_texts([one])[0] for one in words]
    return [json.dumps({**_ASKED, "embedding_input": row.tolist()}) for row in rows]


_ASKED = {
    "modality": "image", "num_images": 50, "num_result_ids": 50, "indice_name": "all", "deduplicate": False,
    "use_safety_model": False, "use_violence_detector": False,
}  # fmt: skip


def post(bodies: Iterator[str], seconds: float, clients: int) -> list[float]:
    """Ask clip-retrieval with so many clients; give the seconds that each answer took. It closes every connection."""
    took: list[float] = []
    wrong: list[str] = []
    lock = threading.Lock()
    end = time.monotonic() + seconds

    def client() -> None:
        while time.monotonic() < end and not wrong:
            with lock:
                body = next(bodies)
            began = time.perf_counter()
            link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
            link.request("POST", "/knn-service", body, {"Content-Type": "application/json"})
            answer = link.getresponse()
            hits = json.loads(answer.read())
            link.close()
            if answer.status != 200 or len(hits) != 50:
                wrong.append(f"clip-retrieval answers {answer.status} with {len(hits)} hits")
            with lock:
                took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise SystemExit(wrong[0])
    return took


@contextmanager
def backend(python: Path, folder: Path) -> Iterator[int]:
    """Start clip-retrieval's back end, wait until it answers, and end it with the block; gives its process."""
    with subprocess.Popen([python, BACKEND, folder, str(PORT)], stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                try:
                    http.client.HTTPConnection("127.0.0.1", PORT, timeout=5).request("GET", "/indices-list")
                    break
                except OSError:
                    time.sleep(0.5)
            else:
                raise SystemExit("clip-retrieval's back end has ended, as it says above")
            yield process.pid
        finally:
            process.terminate()


def measure(
    name: str, clients: int, pids: Sequence[int], call: Callable[[], list[float]]
) -> Sequence[object]:
    """Give a row of the table."""
    before, began = cpu_s(pids), time.perf_counter()
    took = call()
    seconds, used = time.perf_counter() - began, cpu_s(pids) - before
    cuts = statistics.quantiles(took, n=100)
    times = f"{1000 * statistics.median(took):.0f}", f"{1000 * cuts[94]:.0f}"
    row = (name, clients, f"{len(took) / seconds:.1f}", f"{1000 * used / len(took):.1f}", *times)
    print(*row, sep="  ", flush=True)
    return row


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        index.mkdir()
        rows, bodies = build(given.collection, index), itertools.cycle(requests())
        environment = {"VLSEARCH_QUERY_CACHE": "off", "XDG_CACHE_HOME": f"{scratch}/cache"}
        with (
            server(given.collection, environment=environment) as ours,
            backend(given.python, index) as theirs,
        ):
            ask(ours.port, itertools.islice(searches(), 20), 60, 1)
            post(bodies, 2, 1)
            table = []
            for clients in (1, given.clients) * given.rounds:
                for name, pids, call in (
                    ("vlsearch", ours.tree(), lambda n: ask(ours.port, searches(), given.seconds, n)),
                    ("clip-retrieval", [theirs], lambda n: post(bodies, given.seconds, n)),
                ):
                    table.append(measure(name, clients, pids, lambda call=call, n=clients: call(n)))  # type: ignore[misc]
    version = subprocess.run(
        [given.python, "-c", "from importlib.metadata import version; print(version('clip-retrieval'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    command = (
        f"python -m benchmarks.serving.beside_clip_retrieval COLLECTION --python PYTHON --clients {given.clients} "
        f"--seconds {given.seconds:g} --rounds {given.rounds}"
    )
    note = (
        f"{rows:,} vectors, clip-retrieval {version} without a model, clients on the same machine, "
        "each server measured beside the other at rest"
    )
    write_table(
        TABLE,
        [
            "# Searches through HTTP, beside clip-retrieval's back end", "",
            *provenance(command, packages=("numpy", "uvicorn", "fastapi", "faiss-cpu"), note=note), "",
            *markdown_table(HEAD, table), "",
            "Compare CPU times, which other programs on the machine change less than the others. vlsearch encodes",
            "words, clip-retrieval is given vectors. Both give the 50 best of all.",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
