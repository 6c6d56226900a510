"""Pictures stored in a Parquet table: indexed, indexed again, encoded by another model, asked with."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import indexer
from retrieval.locations.fetch import read_bytes
from retrieval.locations.named import locate
from retrieval.types import Limits
from retrieval.uris import file_uri
from tests.builders import HashEncoder, Index


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three pictures of Hugging Face's layout, two with captions, in row groups of two."""
    rows = [{"bytes": _png(colour), "path": f"{colour}.png"} for colour in ("red", "lime", "blue")]
    columns = {"image": rows, "text": ["red", "green", None]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=2)
    return tmp_path / "t.parquet"


def test_a_second_run_reads_no_picture_again(index: Index, table: Path) -> None:
    first, second = index(table), index(table)

    assert (first.images, first.captions, first.links, first.encoded) == (3, 2, 2, 5)
    assert (second.images, second.links, second.encoded, second.unchanged) == (3, 2, 0, 5)


def test_another_model_encodes_the_stored_pictures_again(
    index: Index, table: Path, collection: Path, other_encoder: HashEncoder
) -> None:
    index(table)

    done = indexer.reindex(collection, other_encoder)

    assert (done.encoded, done.unreadable) == (5, 0)
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_the_uri_of_a_row_leads_to_its_picture(table: Path) -> None:
    location = locate(file_uri(table, "row=3"))

    with Image.open(io.BytesIO(read_bytes(location, Limits()))) as picture:
        assert np.asarray(picture)[0, 0].tolist() == [0, 0, 255]


def _png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), colour).save(buffer, "PNG")
    return buffer.getvalue()
