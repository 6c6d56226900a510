"""An item that several sources list is there as long as one of them lists it, whichever is pruned when."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer
from indexer.store.writer import Writer
from retrieval.collection import Collection, schema
from retrieval.collection.migrations import SCHEMA_VERSION
from retrieval.corpora import CorpusOptions
from tests.builders import HashEncoder, Index, draw, take_back_schema

PICTURES = ["red.png", "green.png", "sub/blue.png", "sub/deep/white.png"]


def table(path: Path, photos: Path, rows: Mapping[str, str | None]) -> Path:
    """A corpus that lists pictures, those with a caption that have one."""
    lines = [
        {"image": str(photos / name)} | ({"caption": caption} if caption else {})
        for name, caption in rows.items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def pictures(collection: Path, photos: Path) -> set[str]:
    prefix = photos.absolute().as_uri() + "/"
    with Collection.open(collection) as opened:
        hits = opened.items(range(1, 500))
        return {hit.uri.removeprefix(prefix) for hit in hits if hit.kind == "image"}


def generation(collection: Path) -> int:
    with Collection.open(collection) as opened:
        return opened.generation


def test_prune_keeps_an_uncaptioned_picture_that_another_table_lists(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    index(table(one, photos, {"red.png": None, "green.png": None}))
    index(table(two, photos, {"green.png": None}))

    report = index(table(one, photos, {"red.png": None}), prune=True)

    assert report.removed == 0
    assert pictures(collection, photos) == {"red.png", "green.png"}


def test_a_picture_goes_with_the_last_source_that_lists_it(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    for path in (one, two):
        index(table(path, photos, {"red.png": None, "green.png": None}))

    assert index(table(one, photos, {"red.png": None}), prune=True).removed == 0
    assert index(table(two, photos, {"red.png": None}), prune=True).removed == 1
    assert pictures(collection, photos) == {"red.png"}


def test_prune_of_a_folder_keeps_what_it_excludes_now_and_a_run_below_lists(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    index(photos / "sub")

    assert index(photos, prune=True, options=CorpusOptions(exclude=("sub",))).removed == 0
    assert index(photos / "sub", prune=True).removed == 0
    assert pictures(collection, photos) == {"red.png", "green.png", "sub/blue.png"}


def test_no_folder_lists_a_file_that_is_gone(index: Index, photos: Path, collection: Path) -> None:
    index(photos)
    index(photos / "sub")
    draw(photos / "sub/black.png", (0, 0, 0))
    (photos / "sub/blue.png").unlink()
    (photos / "sub/blue.txt").unlink()

    assert index(photos / "sub", prune=True).removed == 2
    assert pictures(collection, photos) == {"red.png", "green.png", "sub/black.png"}


def test_a_table_lists_a_file_that_is_gone_until_it_is_indexed_again(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    listed = table(tmp_path / "one.jsonl", photos, {"red.png": None, "green.png": None})
    index(photos)
    index(listed)
    (photos / "green.png").unlink()

    assert index(photos, prune=True).removed == 0
    assert "green.png" in pictures(collection, photos)
    assert index(listed, prune=True).removed == 1
    assert "green.png" not in pictures(collection, photos)


def test_items_added_under_keys_outlast_the_folder_that_listed_their_files(
    index: Index, photos: Path, encoder: HashEncoder, collection: Path
) -> None:
    index(photos)
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("green", photos / "green.png")
    (photos / "green.png").rename(photos.parent / "elsewhere.png")

    assert index(photos, prune=True).removed == 0
    assert "green.png" in pictures(collection, photos)


def test_a_second_source_is_noted_in_one_commit_and_then_no_more(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    before = generation(collection)
    index(photos / "sub")

    assert generation(collection) == before + 1
    index(photos / "sub")
    index(photos)
    assert generation(collection) == before + 1


@pytest.mark.slow
@settings(max_examples=10)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["one", "two", "folder"]),
            st.dictionaries(st.sampled_from(PICTURES), st.sampled_from([None, "a square"]), min_size=1),
            st.booleans(),
        ),
        min_size=2,
        max_size=7,
    )
)
def test_a_collection_holds_the_union_of_what_its_sources_list(
    runs: list[tuple[str, dict[str, str | None], bool]],
) -> None:
    """The naive model: a run adds to what its source lists, and one with prune replaces it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, collection, encoder = Path(temporary), Path(temporary, "collection"), HashEncoder()
        photos = folder / "photos"
        for number, name in enumerate(PICTURES):
            draw(photos / name, (number, 0, 0))
        lists: dict[str, set[str]] = {}
        for name, rows, prune in runs:
            if name == "folder":
                source, options = photos, CorpusOptions(exclude=tuple({*PICTURES} - rows.keys()))
            else:
                source, options = table(folder / f"{name}.jsonl", photos, rows), CorpusOptions()
            lists[name] = set(rows) if prune else lists.get(name, set()) | rows.keys()
            held = set().union(*lists.values())

            indexer.build(source, collection, model=encoder, options=options, prune=prune, workers=1)

            assert pictures(collection, photos) == held
        assert indexer.doctor(collection).faults == ()


def test_a_collection_of_schema_1_is_read_as_it_is_and_gets_its_listings_from_the_next_writer(
    tmp_path: Path, index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    listed = table(tmp_path / "one.jsonl", photos, {"green.png": None})
    take_back_schema(collection, 1)

    assert len(pictures(collection, photos)) == 3
    assert indexer.doctor(collection).faults == ()
    assert index(listed).encoded == 0
    (photos / "green.png").rename(photos / "green.gone")
    assert index(photos, prune=True).removed == 0
    with Writer(collection) as writer, writer.look_up() as connection:
        assert schema.schema_version(connection) == SCHEMA_VERSION
