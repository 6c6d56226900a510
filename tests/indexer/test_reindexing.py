"""``vlsearch reindex``: another model's vectors beside the old ones, one commit that switches, no item lost."""

from __future__ import annotations

import os
import shutil
import signal
import tarfile
from pathlib import Path

import pytest

import indexer
from indexer import Progress
from retrieval.collection import Collection
from retrieval.errors import CollectionError, CollectionNotFound, IdentityMismatch
from retrieval.types import Kind
from tests.builders import DIMENSION, HashEncoder, Index, draw


class Wide(HashEncoder):
    """Another model, with vectors of another length."""

    def __init__(self) -> None:
        super().__init__("2" * 64, "wide", dimension=2 * DIMENSION)


def found(collection: Path, encoder: HashEncoder, kind: Kind = "image") -> list[tuple[str, float]]:
    with Collection.open(collection) as opened:
        query = encoder.encode_texts(["a red square"])
        return [(hit.uri, hit.score) for hit in opened.search(query, kind, 100)[0]]


def test_a_reindexed_collection_answers_as_one_indexed_with_the_new_model(
    index: Index, photos: Path, collection: Path, tmp_path: Path, other_encoder: HashEncoder
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(draw(tmp_path / "member.png", (9, 8, 7)), "member.png")
    fresh = tmp_path / "fresh"
    for source in (photos, tmp_path / "a.tar"):
        index(source)
        indexer.build(source, fresh, model=other_encoder)

    done = indexer.reindex(collection, other_encoder)

    assert done == indexer.Reindexed(6, 0)
    for kind in ("image", "text"):
        assert found(collection, other_encoder, kind) == found(fresh, other_encoder, kind)
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())
    with Collection.open(collection) as opened:
        assert opened.identity == other_encoder.identity
        assert (opened.info().rows, opened.info().unencoded) == (6, 0)


def test_the_new_model_may_have_vectors_of_another_length(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)

    indexer.reindex(collection, Wide())

    assert len(found(collection, Wide())) == 3


def test_reindexing_twice_encodes_nothing_the_second_time(
    index: Index, photos: Path, collection: Path, other_encoder: HashEncoder
) -> None:
    index(photos)
    indexer.reindex(collection, other_encoder)

    assert indexer.reindex(collection, other_encoder) == indexer.Reindexed(0, 0)


def test_afterwards_index_goes_on_with_the_new_model_and_refuses_the_old(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder, other_encoder: HashEncoder
) -> None:
    index(photos)
    indexer.reindex(collection, other_encoder)

    assert index(photos, model=other_encoder).encoded == 0
    with pytest.raises(IdentityMismatch):
        index(photos, model=encoder)


def test_a_picture_that_is_gone_or_has_changed_stops_the_switch_and_says_how_to_go_on(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder, other_encoder: HashEncoder
) -> None:
    index(photos)
    before = found(collection, encoder)
    (photos / "red.png").unlink()
    draw(photos / "green.png", (1, 1, 1))

    with pytest.raises(
        CollectionError, match=r"2 pictures .*green\.png.* switch without them with: --skip-unr"
    ):
        indexer.reindex(collection, other_encoder)
    assert found(collection, encoder) == before

    done = indexer.reindex(collection, other_encoder, skip_unreadable=True)
    assert done == indexer.Reindexed(0, 2)  # the rest was encoded the first time
    assert len(found(collection, other_encoder)) == 1
    with Collection.open(collection) as opened:
        assert (opened.count("image"), opened.info().unencoded) == (3, 2)


def test_what_was_skipped_is_encoded_when_its_corpus_is_indexed_again(
    index: Index, photos: Path, collection: Path, tmp_path: Path, other_encoder: HashEncoder
) -> None:
    index(photos)
    shutil.move(photos / "red.png", tmp_path / "red.png")
    indexer.reindex(collection, other_encoder, skip_unreadable=True)
    shutil.move(tmp_path / "red.png", photos / "red.png")

    assert index(photos, model=other_encoder).encoded == 1
    assert len(found(collection, other_encoder)) == 3


def test_a_copy_elsewhere_will_do_for_a_picture_that_is_gone(
    index: Index, photos: Path, collection: Path, other_encoder: HashEncoder
) -> None:
    shutil.copy(photos / "red.png", photos / "zz.png")
    index(photos)
    (photos / "red.png").unlink()

    assert indexer.reindex(collection, other_encoder).unreadable == 0


def test_with_its_own_model_a_repaired_collection_gets_its_vectors_back(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    before = found(collection, encoder)
    for path in (collection / "segments").glob("*.faiss"):
        path.unlink()
    indexer.doctor(collection, repair=True)

    assert indexer.reindex(collection, encoder).encoded == 5
    assert found(collection, encoder) == before


def test_ctrl_c_keeps_the_old_vectors_and_the_work_done(
    index: Index, tmp_path: Path, collection: Path, encoder: HashEncoder, other_encoder: HashEncoder
) -> None:
    for number in range(150):
        draw(tmp_path / "many" / f"{number:03}.png", (number, 0, 0))
    index(tmp_path / "many")
    before = found(collection, encoder)

    def interrupt(progress: Progress) -> None:
        if progress.done == 100:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        indexer.reindex(collection, other_encoder, on_progress=interrupt)
    assert found(collection, encoder) == before
    assert 0 < indexer.reindex(collection, other_encoder).encoded <= 50


def test_a_mistyped_collection_is_not_made(tmp_path: Path, other_encoder: HashEncoder) -> None:
    with pytest.raises(CollectionNotFound):
        indexer.reindex(tmp_path / "typo", other_encoder)
    assert list(tmp_path.iterdir()) == []
