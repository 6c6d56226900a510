"""Large JSON objects read in pieces: the same values as json gives, in bounded memory, whatever the file holds."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.corpora import json_lists
from retrieval.corpora.json_lists import NotJson, RawList, read_lists
from tests.retrieval.corpora.corpus_reading import write

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=8,
)


@given(
    images=st.lists(_VALUES, max_size=6),
    others=st.dictionaries(st.text(max_size=8), _VALUES, max_size=4),
    piece=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_lists_are_those_that_json_reads_wherever_pieces_are_cut(
    tmp_path_factory: pytest.TempPathFactory,
    images: list[Any],
    others: dict[str, Any],
    piece: int,
    indent: int | None,
    ascii_only: bool,
) -> None:
    document = {**others, "images": images}
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lists, "_PIECE", piece)

        found = read_lists(path, ("images",))

    assert list(found) == list(document)
    assert isinstance(found["images"], RawList)
    assert list(found["images"]) == images == found["images"][:]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"[1]", "a list instead of an object"),
        (b"x", "begins with"),
        (b'{"images": [1, 2', "ends too early"),
        (b'{"images": [{"a": "b', "ends within a value"),
        (b'{"images": [1 2]}', "should"),
        (b'{"images": [,]}', "should"),
        (b'{"images": [tru]}', "is not JSON"),
        (b'{"images": []} x', "something follows"),
        (b'{"images": [], "images": []}', "twice"),
        (b'{"images": ["\xff"]}', "not UTF-8"),
        (b'{"x": ' + b"[" * 1000, "nested too deeply"),
        (b'{"images": [' + b'{"a":' * 1000, "nested too deeply"),
        (b'{"images": [' + b"1" * 5000 + b"]}", "is not JSON"),
        (b'{"images": [' + b"1" * 3_000_000 + b"]}", "more than 1,048,576 bytes"),
        (b'{"images": ["' + b"x" * 3_000_000 + b'"]}', "more than 1,048,576 bytes"),
        (b'{"x": "' + b"x" * 3_000_000 + b'"}', "more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_json_is_refused_with_its_reason(tmp_path: Path, content: bytes, fault: str) -> None:
    with pytest.raises(NotJson, match=fault):
        read_lists(write(tmp_path / "x.json", content), ("images",))


def test_lists_beyond_the_memory_limit_are_refused_before_they_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "MEMORY_LIMIT", 2**22)
    path = write(tmp_path / "x.json", b'{"images": [' + b"[]," * 1_000_000 + b"[]]}")
    tracemalloc.start()

    with pytest.raises(NotJson, match="convert it to JSONL"):
        read_lists(path, ("images",))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22 + 3 * 2**20
