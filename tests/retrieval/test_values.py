"""Values that both sides share: they cannot be changed, travel between processes, and refuse what makes no sense."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer
from retrieval.decoding.budget import Division
from retrieval.errors import UsageError
from retrieval.types import (
    CellBytes,
    CorpusImage,
    CorpusText,
    Entry,
    Failure,
    FileBytes,
    HiddenItem,
    Hit,
    InlineBytes,
    Item,
    Limits,
    LinkedText,
    MemberBytes,
    Progress,
    Request,
    UrlBytes,
)
from retrieval.uris import file_uri

CAPTION = LinkedText(2, "file:///a.txt#L1", "a dog", "en")
ITEM = Item(1, "image", "file:///a.jpg", "k", None, None, (CAPTION,), {"n": 1})
VALUES: list[Any] = [
    Progress("indexing", 1, 2),
    FileBytes(Path("/a.jpg")),
    MemberBytes(Path("/a.tar"), "b.jpg", 512, 7),
    CellBytes(Path("/a.parquet"), "image", 3),
    UrlBytes("http://a.org/b.jpg"),
    InlineBytes(b"x"),
    CorpusImage("file:///a.jpg", FileBytes(Path("/a.jpg")), "k", {"n": 1}),
    CorpusText("file:///a.txt#L1", "a dog", lang="en"),
    Entry(None, (CorpusText("x", "y"),)),
    Failure("file:///a.jpg", "is damaged"),
    HiddenItem("file:///a.jpg", None, "image"),
    Limits(pixels=5),
    CAPTION,
    ITEM,
    Hit(1, 0.5, ITEM),
    Request(k=3, find="text", offset=2),
    Division(1, 2, 3, 4),
    indexer.CommitPace(contents=5),
    indexer.Deleted(1, 2, False),
    indexer.Diagnosis(("a fault",), ()),
    indexer.Exported(1, 2, 3, 4),
    indexer.Imported(1, 2, 3, 4),
    indexer.Reindexed(1, 2),
    indexer.CorpusOptions(lang="en"),
    indexer.Recipe(),
    indexer.Augmentation(),
    indexer.Lora(),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_cannot_be_changed_and_has_no_room_for_more(value: Any) -> None:
    first = dataclasses.fields(value)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, first, None)
    with pytest.raises((AttributeError, TypeError)):
        value.another = 1


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_travels_between_processes(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_equals_its_copy(value: Any) -> None:
    assert dataclasses.replace(value) == value


def test_the_fields_of_its_item_are_read_from_a_hit(tmp_path: Path) -> None:
    hit = Hit(3, 0.25, ITEM)

    for field in dataclasses.fields(Item):
        assert getattr(hit, field.name) == getattr(ITEM, field.name)
    assert hit.missing
    (tmp_path / "a.jpg").touch()
    there = dataclasses.replace(ITEM, uri=file_uri(tmp_path / "a.jpg"))
    assert not Hit(1, 0.5, there).missing


def test_the_last_releases_name_of_an_entrys_image_warns() -> None:
    image = CorpusImage("x", InlineBytes(b"x"))

    with pytest.warns(DeprecationWarning, match=r"Entry\.image"):
        assert Entry(image).picture is image


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_a_request_begins_at_0_and_asks_for_at_least_one_hit(k: int, offset: int) -> None:
    if k < 1 or offset < 0:
        with pytest.raises(UsageError, match=r"k is|offset is"):
            Request(k=k, offset=offset)
    else:
        assert Request(k=k, offset=offset).find is None


@given(st.sampled_from(["contents", "rows", "characters", "merge_after"]), st.integers(-3, 3))
def test_a_pace_counts_from_one(name: str, value: int) -> None:
    arguments: dict[str, Any] = {name: value}
    if value < 1:
        with pytest.raises(UsageError, match=f"{name} {value}; give at least 1"):
            indexer.CommitPace(**arguments)
    else:
        assert getattr(indexer.CommitPace(**arguments), name) == value


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_pace_takes_time(seconds: float) -> None:
    with pytest.raises(UsageError, match="give more than 0"):
        indexer.CommitPace(seconds=seconds)
