"""docs/format.md is true: its code reads a collection, and its tables are the catalogue's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Table

from retrieval.collection import schema
from retrieval.collection.migrations import SCHEMA_VERSION
from tests.builders import collection_of, unit_rows

DOCUMENT = (Path(__file__).parents[1] / "docs" / "format.md").read_text(encoding="utf-8")


def test_the_lines_of_numpy_read_the_vectors_of_a_collection(tmp_path: Path) -> None:
    vectors = unit_rows(7)
    path = collection_of(tmp_path / "collection", ([f"{number}" for number in range(7)], vectors))
    code = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert code is not None

    found: dict[str, Any] = {}
    exec(code.group(1).replace("COLLECTION", str(path)), found)
    found["catalogue"].close()

    assert np.array_equal(found["vectors"], vectors)
    assert found["ids"].tolist() == list(range(1, 8))


def test_the_header_of_a_vector_file_is_as_the_table_says(tmp_path: Path) -> None:
    collection_of(tmp_path, ([f"{number}" for number in range(7)], unit_rows(7)))
    (file,) = (tmp_path / "segments").glob("*.faiss")
    data = file.read_bytes()

    assert data[:4] == b"IxFI"
    assert np.frombuffer(data, "<i4", 1, 4)[0] == 16
    assert np.frombuffer(data, "<i8", 1, 8)[0] == 7
    assert data[32] == 1
    assert np.frombuffer(data[33:37], "<i4")[0] == 0
    assert np.frombuffer(data[37:45], "<u8")[0] == 7 * 16
    assert len(data) == 45 + 4 * 7 * 16


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_is_described_with_every_column(table: Table) -> None:
    row = re.search(rf"^\| `{table.name}` \|.*$", DOCUMENT, re.MULTILINE)
    assert row is not None

    for column in table.c:
        if column.name not in ("id", "name", "value"):
            words = column.name.removeprefix("vectors_").removeprefix("ids_").removesuffix("_id")
            assert words in row.group(0)


def test_the_schema_that_it_describes_is_the_newest() -> None:
    assert f"This is schema version {SCHEMA_VERSION}." in DOCUMENT
