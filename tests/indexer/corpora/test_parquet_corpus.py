from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_reading import read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.corpora import CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError
from retrieval.types import Entry, FileBytes, Picture, Text
from retrieval.uris import file_uri


def write_parquet(path: Path, columns: dict[str, object], **options: object) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_a_row_is_a_picture_with_its_captions_and_attributes(tmp_path: Path) -> None:
    columns = {
        "image": ["a.jpg"],
        "captions": [["one", "two"]],
        "width": [640],
        "box": [{"x": 1.5}],
        "taken": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns")),
        "day": [datetime.date(2020, 2, 29)],
        "raw": [b"\xff"],
        "nothing": [None],
    }
    path = write_parquet(tmp_path / "t.parquet", columns)

    (entry,) = read(path).entries

    attributes = {
        "width": 640,
        "box": '{"x": 1.5}',
        "taken": "2023-11-14 22:13:20.000000001",
        "day": "2020-02-29",
    }
    row = file_uri(path, "row=1")
    assert entry == Entry(
        Picture(file_uri(tmp_path / "a.jpg"), FileBytes(tmp_path / "a.jpg"), None, attributes),
        (Text(f"{row}/captions/0", "one"), Text(f"{row}/captions/1", "two")),
    )


def test_the_total_is_the_number_of_rows(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"caption": ["x"] * 2500})

    assert open_corpus(str(path), CorpusOptions()).total == 2500


def test_a_text_that_is_no_utf8_is_a_failure_of_its_row(tmp_path: Path) -> None:
    bad = pa.array([b"one", b"\xff", b"three"]).cast(pa.large_binary()).view(pa.large_string())
    path = write_parquet(tmp_path / "t.parquet", {"caption": bad})

    found = read(path)

    assert [text.uri for text in found.texts] == [
        f"{file_uri(path, place)}/caption/0" for place in ("row=1", "row=3")
    ]
    assert [failure.uri for failure in found.failures] == [file_uri(path, "row=2")]
    assert "column 'caption' holds a value that cannot be read" in found.reasons[0]


def test_a_damaged_row_group_is_a_failure_and_the_next_one_goes_on(tmp_path: Path) -> None:
    captions = [f"caption {number}" for number in range(300)]
    options = {"row_group_size": 100, "compression": "zstd", "use_dictionary": False}
    path = write_parquet(tmp_path / "t.parquet", {"caption": captions}, **options)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    start = column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)

    found = read(path)

    assert found.words == captions[:100] + captions[200:]
    assert [failure.uri for failure in found.failures] == [file_uri(path, "row=101")]
    assert "row group 2 is damaged from row 101 on" in found.reasons[0]
    assert found.texts[100].uri == f"{file_uri(path, 'row=201')}/caption/0"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 nonsense PAR1", b"not at all"])
def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorpusFormatError):
        read(write(tmp_path / "t.parquet", content))


@pytest.mark.parametrize("value", [b"\xff\xd8", {"bytes": b"\xff\xd8", "path": "a.jpg"}])
def test_pictures_inside_the_table_are_an_error_that_says_what_to_do(tmp_path: Path, value: object) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"image": [value]})

    with pytest.raises(CorpusFormatError, match=r"holds the pictures themselves .* WebDataset tar"):
        read(path)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: bool(text.strip())
)


@settings(max_examples=30)
@given(captions=st.lists(_TEXTS, min_size=1), size=st.integers(1, 5))
def test_any_captions_written_as_parquet_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, captions: list[str], size: int
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "t.parquet"

    found = read(write_parquet(path, {"caption": captions}, row_group_size=size))

    assert found.failures == []
    assert found.texts == [
        Text(f"{file_uri(path, f'row={row}')}/caption/0", text) for row, text in enumerate(captions, 1)
    ]


def test_a_table_whose_name_is_not_valid_unicode_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"caption": ["x"]}).rename(tmp_path / "t\udcff.parquet")

    with pytest.raises(CorpusFormatError, match=r"has a name that is not valid Unicode\. Rename it"):
        open_corpus(str(path), CorpusOptions())
