"""Readers stream: what they hold does not grow with the corpus."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROWS = 60_000  # read into a list, the smallest of these corpora takes 20 MB, the others 60
BOUND = 8 * 2**20  # bytes; a line (1 MiB) and a batch

# In a process of its own: pathlib interns the names that it splits, and the table of interned strings, which is
# counted when it happens to be enlarged, is 15 MB large in a process that has run thousands of tests.
PEAK = """
import sys, tracemalloc
from retrieval.corpora import CorpusOptions, open_corpus
corpus = open_corpus(sys.argv[1], CorpusOptions(format=sys.argv[2] or None))
tracemalloc.start()
found = sum(1 for _ in corpus.entries())
print(found, tracemalloc.get_traced_memory()[1])
"""


def csv_of(rows: int) -> str:
    return "image,caption\n" + "".join(
        f"images/{n:09d}.jpg,caption number {n} of many\n" for n in range(rows)
    )


def jsonl_of(rows: int) -> str:
    return "".join(
        f'{{"image": "images/{n:09d}.jpg", "captions": ["caption number {n}"]}}\n' for n in range(rows)
    )


def lines_of(rows: int) -> str:
    return "".join(f"this is caption number {n} of many\n" for n in range(rows))


def urls_of(rows: int) -> str:
    return "".join(f"https://example.org/{n}.jpg\tcaption number {n}\n" for n in range(rows))


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.csv", csv_of), ("t.jsonl", jsonl_of), ("t.txt", lines_of), ("urls.txt", urls_of)],
)
def test_a_text_table_of_any_length_is_read_in_bounded_memory(
    tmp_path: Path, name: str, content: Callable[[int], str]
) -> None:
    path = tmp_path / name
    path.write_text(content(ROWS))

    assert_streams(path, ROWS)


def test_a_parquet_table_of_any_length_is_read_in_bounded_memory(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    captions = [f"caption number {n} of many" for n in range(ROWS)]
    pq.write_table(pa.table({"caption": captions}), tmp_path / "t.parquet", row_group_size=10_000)
    del captions

    assert_streams(tmp_path / "t.parquet", ROWS)


def test_one_line_of_any_length_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(b"x" * (32 * 2**20) + b"\nA dog.\n")

    assert_streams(path, 2, bound=8 * 2**20)


def assert_streams(path: Path, count: int, bound: int = BOUND) -> None:
    """Read all, hold nothing, and look at what Python allocated at most meanwhile."""
    command = [sys.executable, "-c", PEAK, str(path), "lines" if count == 2 else ""]
    found, peak = map(int, subprocess.check_output(command, text=True).split())
    assert found == count
    assert peak < bound
