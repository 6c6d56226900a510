"""Real data sets, beside the repository on the machines of those who work on it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from retrieval.corpora import CaptionColumn
from retrieval.types import FileBytes, MemberBytes
from tests.retrieval.corpora.corpus_reading import Read, read

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data is not at {DATA}"),
]


def test_flickr8k_val_has_a_thousand_pictures_and_five_thousand_captions() -> None:
    path = DATA / "flickr8k" / "val-000.tar"

    found = read(path)

    assert found.failures == []
    assert len({picture.uri for picture in found.pictures}) == len(found.pictures) == 1000
    assert len({text.uri for text in found.texts}) == len(found.texts) == 5000
    with tarfile.open(path) as archive:
        pictures = [
            MemberBytes(path, one.name, one.offset_data, one.size)
            for one in archive
            if one.name.endswith(".jpg")
        ]
    assert [picture.location for picture in found.pictures] == pictures


def test_flickr8k_in_two_languages_has_ten_captions_a_picture() -> None:
    columns = CaptionColumn("captions", "en"), CaptionColumn("captions_zh", "zh")

    found = read(f"{DATA}/flickr8k/train-{{000..005}}.tar", caption_columns=columns)

    assert (len(found.pictures), found.failures) == (6000, [])
    assert [text.lang for text in found.texts].count("zh") == 30_000
    assert all(len(entry.texts) == 10 for entry in found.entries)


@pytest.mark.parametrize("source", ["", "captions.jsonl", "annotations/captions_mini.json"])
def test_coco_mini_has_eighty_pictures_and_four_hundred_captions_however_it_is_named(source: str) -> None:
    found = read(DATA / "coco_mini" / source)

    assert found.failures == []
    assert len({picture.uri for picture in found.pictures}) == len(found.pictures) == 80
    assert len({text.uri for text in found.texts}) == len(found.texts) == 400
    for picture in found.pictures:
        assert isinstance(picture.location, FileBytes)
        assert picture.location.path.is_file()


def test_coco_mini_says_the_same_in_both_of_its_files() -> None:
    jsonl, coco = (
        read(DATA / "coco_mini" / name) for name in ("captions.jsonl", "annotations/captions_mini.json")
    )

    assert pairs(jsonl) == pairs(coco)


def pairs(found: Read) -> set[tuple[str, str]]:
    """Pictures with their captions, blanks at either end aside: the JSONL file has none."""
    return {(one.image.uri, text.text.strip()) for one in found.entries if one.image for text in one.texts}


def test_the_captions_of_flickr8k_as_a_table_are_literal_texts() -> None:
    found = read(DATA / "flickr8k" / "captions_en.tsv", lang="en")

    assert (len(found.texts), found.failures) == (35_000, [])
    assert found.texts[0].attributes == {"image_id": "2513260012_03d33305cf", "n": "0"}


def test_a_text_file_of_captions_has_one_text_a_line() -> None:
    assert len(read(DATA / "coco_captions.txt").texts) == 20_009
