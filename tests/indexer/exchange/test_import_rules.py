"""Folders of strangers: a row that breaks a rule is a failure, a file that does is a sentence, the rest comes in."""

from __future__ import annotations

import json
import math
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer
from indexer.exchange.layout import COLUMNS, NUMBERS
from retrieval.collection import Collection
from retrieval.errors import CorpusFormatError
from tests.builders import DIMENSION, HashEncoder, unit_rows

SOUND: dict[str, Any] = {
    "image_uri": "file:///a.jpg",
    "caption": "a dog",
    "caption_uri": "file:///a.txt#L1",
    "image_attributes": "{}",
    "caption_attributes": "{}",
    "image_width": 4,
    "image_height": 3,
}


def folder_of(folder: Path, rows: list[dict[str, Any]], columns: pyarrow.Schema | None = None) -> Path:
    """What export would write of these rows, a picture's and a text's vector for each."""
    for kind, seed in (("img_emb", 0), ("text_emb", 1)):
        (folder / kind).mkdir(parents=True)
        np.save(folder / kind / f"{kind}_0.npy", unit_rows(len(rows), seed=seed))
    (folder / "metadata").mkdir()
    table = pyarrow.Table.from_pylist(rows, columns)
    pyarrow.parquet.write_table(table, folder / "metadata/metadata_0.parquet")
    return folder


def take(folder: Path, collection: Path) -> indexer.Imported:
    return indexer.import_collection(folder, collection, model=HashEncoder())


def reasons(collection: Path) -> list[str]:
    with Collection.open(collection) as opened:
        return [failure.reason for failure in opened.failures()]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"image_attributes": '{"a": NaN}'}, "the attribute 'a' is nan"),
    ({"caption_attributes": '{"a": -Infinity}'}, "the attribute 'a' is -inf"),
    ({"image_attributes": '{"a": "\\ud800"}'}, "half of a surrogate pair"),
    ({"image_attributes": '{"\\ud800": 1}'}, "the name of an attribute"),
    ({"image_attributes": "[" * 100_000}, "image_attributes is not JSON"),
    ({"image_attributes": '{"a":' * 500 + "1" + "}" * 500}, "the attribute 'a' is not a plain value"),
    ({"image_attributes": "[]"}, "image_attributes is not a JSON object"),
    ({"caption_attributes": "{no json"}, "caption_attributes is not JSON"),
    ({"image_attributes": '{"a": ' + "9" * 5000 + "}"}, "image_attributes is not JSON"),
    ({"caption_uri": "file:///a.jpg"}, "is an item of kind image already, and here of kind text"),
    ({"image_extent": "garbage"}, "the extent is neither offset+size in bytes nor a row of a column"),
    ({"image_extent": "-1+5"}, "the extent is neither offset+size in bytes nor a row of a column"),
    ({"image_extent": f"0+{2**63}"}, "the extent is neither offset+size in bytes nor a row of a column"),
    ({"image_width": -4}, "width and height are not whole numbers from 1"),
    ({"image_width": None}, "width and height are not whole numbers from 1"),
    ({"image_sha256": "00"}, "image_sha256 is not 64 hexadecimal digits"),
    ({"caption": "x" * (2**20 + 1)}, "longer than 1,048,576 characters"),
    ({"caption": "x" * (2**23)}, "longer than 1,048,576 characters"),
]


@pytest.mark.parametrize(("change", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
def test_a_row_that_breaks_a_rule_is_a_failure_with_its_reason_and_the_others_come_in(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    other = SOUND | {"image_uri": "file:///b.jpg", "caption_uri": "file:///b.txt#L1"}
    columns = pyarrow.schema(
        [(name, pyarrow.int64() if name in NUMBERS else pyarrow.string()) for name in COLUMNS]
    )
    folder = folder_of(tmp_path / "in", [SOUND | change, other], columns)

    done = take(folder, tmp_path / "c")

    assert (done.failed, done.captions) == (1, 1)
    assert reason in reasons(tmp_path / "c")[0]
    assert indexer.doctor(tmp_path / "c") == indexer.Diagnosis((), ())


def test_a_width_beyond_what_a_catalogue_holds_is_a_failure(tmp_path: Path) -> None:
    columns = pyarrow.schema([("image_width", pyarrow.uint64()), ("image_height", pyarrow.uint64())])
    folder = folder_of(tmp_path / "in", [{"image_width": 2**64 - 1, "image_height": 2**63}], columns)

    assert take(folder, tmp_path / "c").failed == 1


def test_a_text_that_is_not_utf8_is_a_failure_of_its_row(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", [SOUND, SOUND | {"image_uri": "file:///b.jpg", "caption_uri": "x:b"}])
    path = folder / "metadata/metadata_0.parquet"
    table = pyarrow.parquet.read_table(path)
    buffers = pyarrow.array([b"\xed\xa0\x80", b"a cat"], pyarrow.binary()).buffers()
    broken = pyarrow.StringArray.from_buffers(2, buffers[1], buffers[2])
    at = table.schema.get_field_index("caption")
    pyarrow.parquet.write_table(table.set_column(at, "caption", broken), path)

    assert take(folder, tmp_path / "c").failed == 1
    assert "column 'caption' holds a value that cannot be read" in reasons(tmp_path / "c")[0]


def test_a_key_or_a_uri_of_another_item_is_a_failure_in_one_chunk_and_against_the_collection(
    tmp_path: Path,
) -> None:
    def row(name: str, key: str) -> dict[str, Any]:
        return {"image_uri": f"file:///{name}", "image_key": key}

    first = folder_of(tmp_path / "first", [row("a", "one"), row("b", "one")])
    second = folder_of(tmp_path / "second", [row("c", "one"), row("d", "four")])
    third = folder_of(tmp_path / "third", [{"caption": "x", "caption_uri": "file:///a"}])

    done = [take(folder, tmp_path / "c") for folder in (first, second, third)]

    assert [each.failed for each in done] == [1, 1, 1]
    assert "the key 'one' is that of file:///a" in reasons(tmp_path / "c")[0]
    assert indexer.doctor(tmp_path / "c") == indexer.Diagnosis((), ())


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_of_foreign_columns_that_json_cannot_hold_are_no_attributes(
    value: float, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "in", [{"url": "https://example.org/a.jpg", "similarity": value, "n": 1}])

    take(folder, tmp_path / "c")

    with Collection.open(tmp_path / "c") as opened:
        assert opened.items([1])[0].attributes == {"n": 1}
    assert indexer.doctor(tmp_path / "c") == indexer.Diagnosis((), ())


def test_a_folder_as_clip_retrieval_writes_it_of_an_img2dataset_download_comes_in(tmp_path: Path) -> None:
    rows = [
        {
            "image_path": f"{number:09}",
            "caption": "a dog" if number else "",
            "key": f"{number:09}",
            "status": "success",
            "error_message": None,
            "width": 256,
            "height": 256,
            "original_width": 640,
            "original_height": 480,
            "exif": '{"Image Make": "Canon"}',
            "sha256": "ab" * 32,
            "url": f"https://example.org/{number}.jpg",
            "__index_level_0__": number,
        }
        for number in range(3)
    ]
    folder = folder_of(tmp_path / "in", rows)
    for kind in ("img_emb", "text_emb"):
        path = folder / kind / f"{kind}_0.npy"
        np.save(path, np.load(path).astype(np.float16))

    assert take(folder, tmp_path / "c") == indexer.Imported(3, 2, 2, 0)

    with Collection.open(tmp_path / "c") as opened:
        hit = opened.search(unit_rows(1), "image", 1)[0][0]
    assert hit.uri == "https://example.org/0.jpg"
    assert hit.attributes["exif"] == '{"Image Make": "Canon"}'
    assert (hit.attributes["status"], hit.attributes["width"]) == ("success", 256)
    assert "__index_level_0__" not in hit.attributes
    assert indexer.doctor(tmp_path / "c") == indexer.Diagnosis((), ())


# --- npy headers


def npy(header: bytes, data: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def stated(descr: str = "'<f4'", fortran: str = "False", shape: str = f"(1, {DIMENSION})") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}\n".encode()


ROW = unit_rows(1).tobytes()
HEADERS: dict[str, bytes] = {
    "objects": npy(stated("'|O'"), ROW),
    "records": npy(stated("[('a', '<f4')]"), ROW),
    "whole numbers": npy(stated("'<i4'"), ROW),
    "a type made of code": npy(stated("__import__('os').system('true')"), ROW),
    "code": npy(b"__import__('os').system('true')\n", ROW),
    "columns first": npy(stated(fortran="True"), ROW),
    "a negative side": npy(stated(shape="(-1, -16)"), ROW),
    "a huge shape": npy(stated(shape=f"({10**12}, 16)"), ROW),
    "a shape that overflows": npy(stated(shape=f"({2**60}, 16)"), ROW),
    "a side with a point": npy(stated(shape="(1.0, 16)"), ROW),
    "three sides": npy(stated(shape="(1, 4, 4)"), ROW),
    "another dimension": npy(stated(shape="(2, 8)"), ROW),
    "cut short": npy(stated(), ROW[:-1]),
    "something behind it": npy(stated(), ROW + b"PK"),
    "cut in its header": npy(stated())[:40],
    "a header that is too long": npy(b" " * 20_000, version=2),
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "nested brackets": npy(b"(" * 9_000),
    "a chain of signs": npy(b"-" * 9_000 + b"1"),
    "an unknown version": b"\x93NUMPY\x09\x00" + bytes(100),
    "nothing": b"",
    "a pickle": b"\x80\x04N.",
}


@pytest.mark.parametrize("header", HEADERS)
def test_an_array_whose_header_lies_is_refused_in_a_sentence_and_nothing_is_made(
    header: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "in", [SOUND])
    (folder / "img_emb/img_emb_0.npy").write_bytes(HEADERS[header])

    with pytest.raises(CorpusFormatError, match=r"img_emb_0\.npy") as raised:
        take(folder, tmp_path / "c")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_every_version_and_float_that_numpy_writes_is_read(version: int, dtype: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", [SOUND])
    data = unit_rows(1).astype(dtype).tobytes()
    (folder / "img_emb/img_emb_0.npy").write_bytes(npy(stated(f"'{dtype}'"), data, version))

    assert take(folder, tmp_path / "c") == indexer.Imported(1, 1, 1, 0)


def test_rows_too_large_for_float32_are_brought_to_unit_length(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", [SOUND])
    np.save(folder / "img_emb/img_emb_0.npy", unit_rows(1).astype(np.float64) * 1e100)

    assert take(folder, tmp_path / "c").images == 1
    assert indexer.doctor(tmp_path / "c") == indexer.Diagnosis((), ())


# --- manifests and files of other kinds

IDENTITY = json.loads(HashEncoder().identity.to_json())
MANIFESTS: dict[str, bytes] = {
    "a dimension with a point": json.dumps(
        {"version": 1, "identity": IDENTITY | {"dimension": 16.0}}
    ).encode(),
    "a dimension of true": json.dumps({"version": 1, "identity": IDENTITY | {"dimension": True}}).encode(),
    "half a surrogate pair": json.dumps({"version": 1, "identity": IDENTITY | {"name": "\ud800"}}).encode(),
    "a list for weights": json.dumps({"version": 1, "identity": IDENTITY | {"weights": [1]}}).encode(),
    "another field": json.dumps({"version": 1, "identity": IDENTITY | {"x": 1}}).encode(),
    "no identity": b'{"version": 1}',
    "a version in words": b'{"version": "1"}',
    "nested": b'{"version": ' * 100_000,
    "brackets": b"[" * 500_000,
    "a list": b"[]",
    "not UTF-8": b"\xff\xfe",
    "megabytes": b" " * (2**20 + 1),
}


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_manifest_that_export_cannot_have_written_is_refused(manifest: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", [SOUND])
    (folder / "vlsearch.json").write_bytes(MANIFESTS[manifest])

    with pytest.raises(CorpusFormatError, match=r"vlsearch\.json") as raised:
        indexer.import_collection(folder, tmp_path / "c")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["vlsearch.json", "img_emb/img_emb_0.npy", "metadata/metadata_0.parquet"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", [SOUND])
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)

    with pytest.raises(CorpusFormatError, match="regular file"):
        indexer.import_collection(folder, tmp_path / "c", model=None if "json" in name else HashEncoder())


def test_a_long_text_that_a_million_rows_share_is_held_once(tmp_path: Path) -> None:
    """One megabyte in a dictionary, named by every row, takes a terabyte when it is written out."""
    import tracemalloc

    rows = 20_000
    folder = folder_of(tmp_path / "in", [{"caption": "x", "url": None}])
    shared = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(rows, np.int32)), ["y" * 10**6])
    table = pyarrow.table({"note": shared, "url": [f"https://example.org/{n}" for n in range(rows)]})
    pyarrow.parquet.write_table(table, folder / "metadata/metadata_0.parquet")
    for kind in ("img_emb", "text_emb"):
        np.save(folder / kind / f"{kind}_0.npy", np.zeros((rows, DIMENSION), np.float16))
    before = pyarrow.default_memory_pool().max_memory()

    tracemalloc.start()
    try:
        done = take(folder, tmp_path / "c")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert done.failed == rows
    assert peak < 512 * 2**20
    assert pyarrow.default_memory_pool().max_memory() < max(before, 256 * 2**20)


def test_metadata_that_unpack_to_gigabytes_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.exchange.metadata_rows._FILE_BYTES", 10**6)
    folder = folder_of(tmp_path / "in", [{"caption": "x" * 10**5 + str(number)} for number in range(20)])

    with pytest.raises(CorpusFormatError, match="bytes once it is unpacked"):
        take(folder, tmp_path / "c")


# --- whatever is accepted is sound

anything = st.one_of(
    st.none(),
    st.sampled_from(
        ["", "file:///a", "file:///b", "k", "{}", '{"a": NaN}', '{"a": [1]}', '{"a": ["x"]}', "3+4"]
    ),
    st.text(max_size=6),
)
numbers = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 3))
any_row = st.fixed_dictionaries(
    {}, optional={name: numbers if name in NUMBERS else anything for name in COLUMNS}
)
ALL_COLUMNS = pyarrow.schema(
    [(name, pyarrow.int64() if name in NUMBERS else pyarrow.string()) for name in COLUMNS]
)
zeroed = st.sets(st.integers(0, 5))


@settings(max_examples=30)
@given(st.lists(st.lists(any_row, min_size=1, max_size=6), min_size=1, max_size=2), zeroed, zeroed)
def test_whatever_import_accepts_doctor_calls_sound(
    folders: list[list[dict[str, Any]]], no_image: set[int], no_text: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        collection = Path(place) / "c"
        for number, rows in enumerate(folders):
            folder = folder_of(Path(place) / f"{number}", rows, ALL_COLUMNS)
            for kind, zeros in (("img_emb", no_image), ("text_emb", no_text)):
                path = folder / kind / f"{kind}_0.npy"
                array = np.load(path)
                array[[row for row in zeros if row < len(rows)]] = 0
                np.save(path, array)

            take(folder, collection)

        assert indexer.doctor(collection) == indexer.Diagnosis((), ())


# --- a round trip

words = st.text(min_size=1, max_size=5).filter(lambda text: bool(text.strip()))
attributes = st.dictionaries(
    st.text(max_size=3),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), words
    ),
    max_size=2,
)
languages = st.one_of(st.none(), st.sampled_from(["en", "zh"]))
Caption = tuple[str, set[int], str | None, dict[str, Any]]


@settings(max_examples=20)
@given(
    st.lists(st.tuples(attributes, st.sampled_from(["", "https://example.org/", "file:///p/"])), max_size=4),
    st.lists(st.tuples(words, st.sets(st.integers(0, 3)), languages, attributes), max_size=5),
)
def test_what_is_exported_and_imported_is_what_there_was(
    pictures: list[tuple[dict[str, Any], str]], captions: list[Caption]
) -> None:
    vectors = unit_rows(20)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with indexer.open_writer(place / "c", model=HashEncoder()) as writer:
            for number, (facts, scheme) in enumerate(pictures):
                uri = f"{scheme}{number}" if scheme else None
                writer.add(f"p{number}", None, vector=vectors[number], uri=uri, attributes=facts)
            for number, (text, describes, lang, facts) in enumerate(captions):
                keys = [f"p{at}" for at in sorted(describes) if at < len(pictures)]
                writer.add(f"t{number}", text, lang=lang, attributes=facts, describes=keys)
        if not pictures and not captions:
            return

        indexer.export_collection(place / "c", place / "out")
        done = indexer.import_collection(place / "out", place / "back")

        assert (done.images, done.captions, done.failed) == (len(pictures), len(captions), 0)
        assert contents_of(place / "back") == contents_of(place / "c")
        assert indexer.doctor(place / "back") == indexer.Diagnosis((), ())


def contents_of(collection: Path) -> tuple[object, ...]:
    """Items by uri with their captions in order, and the vectors that rank them, to the last bit."""
    queries = unit_rows(8, seed=9)
    with Collection.open(collection) as opened:
        items = sorted(
            (hit.uri, hit.kind, hit.key, hit.text, hit.lang, json.dumps(dict(hit.attributes)),
             tuple(caption.uri for caption in hit.captions))
            for hit in opened.items(range(1, 50))
        )  # fmt: skip
        scores = {
            kind: [
                sorted((hit.uri, hit.score) for hit in found) for found in opened.search(queries, kind, 50)
            ]
            for kind in ("image", "text")
            if opened.has(kind)
        }
    return items, scores


# --- clip-retrieval's own readers


def as_clip_retrieval_serves(row: dict[str, Any]) -> dict[str, Any]:
    """What ``clip_back.py`` does with a row: ``convert_metadata_to_base64``, ``meta_to_dict``, JSON."""
    if "image_path" in row and os.path.exists(row["image_path"]):  # noqa: PTH110  as it stands there
        row["image"] = "..."
    return dict(json.loads(json.dumps(row, allow_nan=False)))


def test_every_exported_row_is_one_that_clip_retrieval_can_serve(tmp_path: Path) -> None:
    with indexer.open_writer(tmp_path / "c", model=HashEncoder()) as writer:
        writer.add("url", None, vector=unit_rows(1)[0], uri="https://example.org/a.jpg")
        writer.add("bare", None, vector=unit_rows(2)[1])
        writer.add("text", "on one", describes=["url"])
        writer.add("alone", "a text without a picture", lang="en")
    indexer.export_collection(tmp_path / "c", tmp_path / "out")

    table = pyarrow.parquet.read_table(tmp_path / "out/metadata/metadata_0000.parquet")
    rows = table.to_pylist()

    assert [column.null_count for column in table.columns] == [0] * len(COLUMNS)
    assert len(rows) == 3
    assert all(as_clip_retrieval_serves(row) for row in rows)
    assert [row["url"] for row in rows] == ["https://example.org/a.jpg", "", ""]
    assert [row["caption"] for row in rows] == ["on one", "", "a text without a picture"]


def test_a_text_whose_picture_has_no_vector_goes_out_alone(tmp_path: Path) -> None:
    with indexer.open_writer(tmp_path / "c", model=HashEncoder()) as writer:
        writer.add("p", None, vector=unit_rows(1)[0])
        writer.add("t", "its caption", describes=["p"])
    for path in (tmp_path / "c/segments").glob("*.faiss"):
        import faiss

        if (faiss.read_index(str(path)).reconstruct(0) == unit_rows(1)[0]).all():
            path.unlink()
    indexer.doctor(tmp_path / "c", repair=True)

    done = indexer.export_collection(tmp_path / "c", tmp_path / "out")

    assert (done.images, done.texts, done.rows, done.left_out) == (0, 1, 1, 1)
