from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError, ImageError
from retrieval.locations.fetch import read_bytes
from retrieval.types import Attribute, CorpusImage, CorpusText, Entry, FileBytes, Limits
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write


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

    attributes: dict[str, Attribute] = {
        "width": 640,
        "box": '{"x": 1.5}',
        "taken": "2023-11-14 22:13:20.000000001",
        "day": "2020-02-29",
    }
    row = file_uri(path, "row=1")
    assert entry == Entry(
        CorpusImage(file_uri(tmp_path / "a.jpg"), FileBytes(tmp_path / "a.jpg"), None, attributes),
        (CorpusText(f"{row}/captions/0", "one"), CorpusText(f"{row}/captions/1", "two")),
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


@pytest.mark.parametrize(
    ("value", "attributes"),
    [(b"\xff\xd8", {}), ({"bytes": b"\xff\xd8", "path": "a.jpg"}, {"path": "a.jpg"})],
)
def test_pictures_inside_the_table_are_read_from_their_row(
    tmp_path: Path, value: object, attributes: dict[str, object]
) -> None:
    columns = {"image": [value, None, value], "caption": ["a", "b", "c"], "n": [1, 2, 3]}
    path = write_parquet(tmp_path / "t.parquet", columns)

    found = read(path)

    assert found.words == ["a", "b", "c"]
    assert [picture.uri for picture in found.pictures] == [file_uri(path, f"row={n}") for n in (1, 2, 3)]
    assert found.pictures[2].attributes == {**attributes, "n": 3}
    first, second, third = (picture.location for picture in found.pictures)
    assert read_bytes(third, Limits()) == read_bytes(first, Limits()) == b"\xff\xd8"
    with pytest.raises(ImageError, match="no picture is stored in this row"):
        read_bytes(second, Limits())
    with pytest.raises(ImageError, match="over the limit of 1 "):
        read_bytes(first, Limits(file_bytes=1))


def test_a_table_that_stores_paths_in_place_of_pictures_names_files(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    values = pa.array([{"bytes": None, "path": "a.jpg"}] * 2, kind)
    path = write_parquet(tmp_path / "t.parquet", {"image": values})

    assert [picture.location for picture in read(path).pictures] == [FileBytes(tmp_path / "a.jpg")] * 2


def test_pictures_are_read_in_any_order_across_row_groups(tmp_path: Path) -> None:
    values = [b"%d" % n for n in range(50)]
    path = write_parquet(tmp_path / "t.parquet", {"image": values}, row_group_size=7)
    pictures = read(path).pictures

    for n in (49, 0, 48, 13, 14, 12, 1):
        assert read_bytes(pictures[n].location, Limits()) == values[n]


def repeated(value: str, rows: int) -> pa.Array:
    """One value in every row: a dictionary of one entry, and next to nothing for each row."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


@pytest.mark.slow
def test_a_dictionary_that_unpacks_to_terabytes_is_read_in_bounded_memory_and_time(tmp_path: Path) -> None:
    columns = {"caption": pa.array(["a"] * 300_000), "x": repeated("y" * 3_000_000, 300_000)}
    path = write_parquet(tmp_path / "t.parquet", columns, compression="zstd")
    assert path.stat().st_size < 20_000

    found = read(path)

    assert found.entries == []
    assert "unpack to more than 100 times its size" in found.reasons[-1]


def test_more_rows_than_any_table_of_its_size_has_are_an_error(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"caption": repeated("a", 2_000_000)})

    with pytest.raises(CorpusFormatError, match=r"claims 2,000,000 rows in [0-9,]+ bytes"):
        read(path)


@pytest.mark.slow
def test_a_row_of_more_memory_than_there_is_ends_its_group_and_the_next_goes_on(tmp_path: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 0, 2**26, 2**26]), pa.nulls(2**26, pa.bool_()))
    path = write_parquet(tmp_path / "t.parquet", {"caption": ["a", "b", "c"], "x": lists}, row_group_size=2)

    found = read(path)

    assert found.words == ["a", "c"]
    (reason,) = found.reasons
    assert "takes more memory than a row may" in reason


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
        CorpusText(f"{file_uri(path, f'row={row}')}/caption/0", text) for row, text in enumerate(captions, 1)
    ]


def test_a_table_is_read_whatever_bytes_its_name_has(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"caption": ["x"]}).rename(tmp_path / "t\udcff.parquet")

    assert read(path).words == ["x"]


def test_a_relative_path_is_read_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "t.parquet", {"caption": ["a"]})
    monkeypatch.chdir(tmp_path)

    assert read("t.parquet").words == ["a"]
