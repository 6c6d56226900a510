"""``vlsearch index --regions``: several vectors an image, kept by the collection, made once, never half."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import indexer
import retrieval
from indexer import Progress
from retrieval.collection import Collection
from retrieval.collection.totals import RegionsInfo
from retrieval.errors import CollectionError, ModelError
from retrieval.types import Hit
from tests.builders import HashEncoder, Index, draw

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def paint(path: Path, top: tuple[int, int, int], rest: tuple[int, int, int]) -> Path:
    """A picture whose top left quarter has one colour, and the rest another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 48), rest)
    image.paste(top, (0, 0, 32, 24))
    image.save(path)
    return path


@pytest.fixture
def quarters(tmp_path: Path) -> Path:
    folder = tmp_path / "quarters"
    for name, colour in {"red": RED, "green": GREEN, "blue": BLUE}.items():
        paint(folder / f"{name}.png", colour, GREY)
    return folder


def find(collection: Path, colour: tuple[int, int, int], regions: bool = True) -> Hit:
    """The picture that is most like one of a single colour."""
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        return engine.search(Image.new("RGB", (8, 8), colour), 1, "image", regions=regions)[0]


def held(collection: Path) -> tuple[int, int] | None:
    """Images with regions, and vectors of those."""
    with Collection.open(collection) as opened:
        found: RegionsInfo | None = opened.info().regions
    return None if found is None else (found.images, found.vectors)


def test_what_fills_a_quarter_of_a_picture_is_found_and_the_hit_says_where(
    index: Index, quarters: Path, collection: Path
) -> None:
    report = index(quarters, regions=True)

    assert report.regions is not None
    assert (report.regions.images, report.regions.failed) == (3, 0)
    for name, colour in {"red": RED, "green": GREEN, "blue": BLUE}.items():
        hit = find(collection, colour)
        assert hit.uri.endswith(f"/{name}.png")
        assert hit.score > 0.999
        assert hit.region == (0.0, 0.0, 0.5, 0.5)
    assert held(collection) == (3, 27)
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_the_vectors_of_whole_pictures_are_the_same_with_regions_and_without(
    index: Index, quarters: Path, collection: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    index(quarters, regions=True)
    indexer.build(quarters, tmp_path / "plain", model=encoder)

    found = []
    for path in (collection, tmp_path / "plain"):
        with Collection.open(path) as opened, opened.reading() as view:
            rows = [row for page in view.pages("image") for row in page]
            found.append(view.vectors("image", [row.encoding for row in rows if row.encoding is not None]))
            assert len(rows) == 3
    assert np.array_equal(found[0], found[1])


def test_a_collection_that_gets_regions_later_encodes_those_alone(
    index: Index, quarters: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(quarters)
    assert held(collection) is None
    before = len(encoder.encoded)

    report = index(quarters, regions=True)

    assert report.encoded == 0
    assert held(collection) == (3, 27)
    assert len(encoder.encoded) - before == 27  # nine crops a picture
    again = index(quarters).regions
    assert again is not None
    assert (again.images, again.failed) == (0, 0)
    assert len(encoder.encoded) - before == 27


def test_new_pictures_get_regions_without_being_told_again(
    index: Index, quarters: Path, collection: Path
) -> None:
    index(quarters, regions=True)
    paint(quarters / "new.png", (1, 2, 3), GREY)

    index(quarters)

    assert held(collection) == (4, 36)
    assert find(collection, (1, 2, 3)).region == (0.0, 0.0, 0.5, 0.5)


def test_regions_are_dropped_when_that_is_asked_and_do_not_come_back(
    index: Index, quarters: Path, collection: Path
) -> None:
    index(quarters, regions=True)

    assert index(quarters, regions=False).regions is None
    assert index(quarters).regions is None

    assert held(collection) is None
    assert not list((collection / "segments").glob("*.regions"))
    assert find(collection, RED).region is None


def test_whole_pictures_are_compared_where_that_is_asked(
    index: Index, quarters: Path, collection: Path
) -> None:
    index(quarters, regions=True)

    assert find(collection, RED, regions=False).region is None


def test_equal_files_share_their_regions_and_both_are_hits(
    index: Index, quarters: Path, collection: Path
) -> None:
    (quarters / "copy.png").write_bytes((quarters / "red.png").read_bytes())

    index(quarters, regions=True)

    assert held(collection) == (3, 27)
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        hits = engine.search(Image.new("RGB", (8, 8), RED), 2, "image")
    assert {hit.uri.rpartition("/")[2] for hit in hits} == {"copy.png", "red.png"}
    assert {hit.region for hit in hits} == {(0.0, 0.0, 0.5, 0.5)}


def test_a_picture_that_has_gone_is_a_failure_that_the_next_run_tries_again(
    index: Index, quarters: Path, collection: Path
) -> None:
    index(quarters)
    red = (quarters / "red.png").read_bytes()
    (quarters / "red.png").unlink()

    failed = index(quarters, regions=True).regions
    (quarters / "red.png").write_bytes(red)
    mended = index(quarters).regions

    assert failed is not None
    assert mended is not None
    assert (failed.images, failed.failed, mended.images, mended.failed) == (2, 1, 1, 0)
    assert "red.png" in failed.reasons[0].example


def test_pictures_that_are_pruned_take_their_regions_with_them(
    index: Index, quarters: Path, collection: Path
) -> None:
    index(quarters, regions=True)
    (quarters / "red.png").unlink()

    index(quarters, prune=True)
    indexer.optimize(collection)

    assert held(collection) == (2, 18)
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_a_picture_that_comes_back_before_compaction_has_its_regions_still(
    index: Index, quarters: Path, collection: Path, encoder: HashEncoder
) -> None:
    for number in range(30):  # so that one deletion is not due
        draw(quarters / f"{number}.png", (number, 7, 7), (64, 48))
    index(quarters, regions=True)
    red = (quarters / "red.png").read_bytes()
    (quarters / "red.png").unlink()
    index(quarters, prune=True)
    assert find(collection, RED).score < 0.9
    before = len(encoder.encoded)

    (quarters / "again.png").write_bytes(red)
    index(quarters)

    assert len(encoder.encoded) == before
    assert find(collection, RED).region == (0.0, 0.0, 0.5, 0.5)


def test_another_model_gets_the_regions_anew(
    index: Index, quarters: Path, collection: Path, other_encoder: HashEncoder
) -> None:
    index(quarters, regions=True)

    indexer.reindex(collection, other_encoder)

    assert held(collection) == (3, 27)
    with retrieval.open(collection, encoder=other_encoder) as engine:
        hit = engine.search(Image.new("RGB", (8, 8), RED), 1, "image")[0]
    assert (hit.uri.rpartition("/")[2], hit.region) == ("red.png", (0.0, 0.0, 0.5, 0.5))
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_regions_by_two_rules_do_not_mix(
    index: Index, quarters: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(quarters, regions=True)
    monkeypatch.setattr("retrieval.encoders.regions.CROP_SHARE", 0.4)

    with pytest.raises(CollectionError, match=r"another rule .*--no-regions"):
        index(quarters)


def test_a_model_that_cannot_encode_regions_says_so_and_changes_nothing(
    index: Index, quarters: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.decoding.preparations import Shrink

    class Odd(HashEncoder):
        preparation = Shrink(8, 2.0)

    with pytest.raises(ModelError, match="cannot encode regions"):
        index(quarters, model=Odd(), regions=True)
    index(quarters)
    assert held(collection) is None


def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(
    index: Index, quarters: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.region_making.COMMIT_IMAGES", 1)

    def interrupt(progress: Progress) -> None:
        if progress.stage == "encoding regions" and progress.done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    report = index(quarters, regions=True, on_progress=interrupt)
    first = held(collection)
    index(quarters)

    assert report.interrupted
    assert first is not None
    assert first[0] < 3
    assert held(collection) == (3, 27)
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_many_small_files_of_regions_are_merged(
    index: Index, quarters: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.region_making.COMMIT_IMAGES", 1)
    for number in range(12):
        paint(quarters / f"{number}.png", (number, 9, 9), GREY)

    index(quarters, regions=True)

    assert len(list((collection / "segments").glob("*.regions"))) == 1
    assert held(collection) == (15, 135)
    assert find(collection, (5, 9, 9)).uri.endswith("/5.png")


def test_an_export_has_no_regions_and_its_import_gets_them_from_the_files(
    index: Index, quarters: Path, collection: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    index(quarters, regions=True)
    indexer.export_collection(collection, tmp_path / "out")

    indexer.import_collection(tmp_path / "out", tmp_path / "copy")
    assert held(tmp_path / "copy") is None
    indexer.build(quarters, tmp_path / "copy", model=encoder, regions=True)

    assert held(tmp_path / "copy") == (3, 27)
