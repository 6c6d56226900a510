from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retrieval.errors import CorpusFormatError
from retrieval.types import Attribute, CorpusImage, CorpusText, Entry, FileBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write, write_json


def image(number: int, split: str, *sentences: str, **more: Any) -> dict[str, Any]:
    return {
        "filename": f"{number}.jpg",
        "imgid": number,
        "split": split,
        "sentids": [number * 10 + n for n in range(len(sentences))],
        "sentences": [{"raw": raw, "sentid": number * 10 + n} for n, raw in enumerate(sentences)],
        **more,
    }


def write_karpathy(path: Path, *images: Any) -> Path:
    write(path.parent / "1.jpg", b"")
    return write_json(path, {"dataset": "flickr8k", "images": images})


def test_a_picture_comes_with_its_sentences_and_ids(tmp_path: Path) -> None:
    path = write_karpathy(tmp_path / "dataset_x.json", image(1, "train", "one", "two", cocoid=77))

    (entry,) = read(path, lang="en").entries

    attributes: dict[str, Attribute] = {"filename": "1.jpg", "imgid": 1, "split": "train", "cocoid": 77}
    assert entry == Entry(
        CorpusImage(file_uri(tmp_path / "1.jpg"), FileBytes(tmp_path / "1.jpg"), None, attributes),
        (
            CorpusText(file_uri(path, "sentid=10"), "one", lang="en"),
            CorpusText(file_uri(path, "sentid=11"), "two", lang="en"),
        ),
    )


def test_a_picture_below_a_filepath_is_found_there(tmp_path: Path) -> None:
    write(tmp_path / "images" / "val2014" / "5.jpg", b"")
    path = write_karpathy(tmp_path / "dataset_coco.json", image(5, "val", "x", filepath="val2014"))

    assert [one.location for one in read(path).pictures] == [
        FileBytes(tmp_path / "images" / "val2014" / "5.jpg")
    ]


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (None, ["a", "b", "c"]),
        ("train", ["a"]),
        ("restval", ["b"]),
        ("train,restval", ["a", "b"]),
        ("test", ["c"]),
    ],
)
def test_only_the_splits_that_were_asked_for_are_read(
    tmp_path: Path, split: str | None, words: list[str]
) -> None:
    images = image(1, "train", "a"), image(2, "restval", "b"), image(3, "test", "c")
    path = write_karpathy(tmp_path / "dataset_x.json", *images)

    assert read(path, split=split, images=tmp_path).words == words


def test_a_split_that_is_not_there_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    path = write_karpathy(tmp_path / "dataset_x.json", image(1, "train", "a"), image(2, "test", "b"))

    with pytest.raises(
        CorpusFormatError, match=r"no picture is in split 'dev'. It has train \(1\), test \(1\)"
    ):
        read(path, split="dev")


def test_a_sentence_without_its_raw_text_is_made_of_its_tokens(tmp_path: Path) -> None:
    sentences = [{"tokens": ["a", "dog"], "sentid": 4}, {"tokens": ["a", "cat"]}]
    path = write_karpathy(tmp_path / "dataset_x.json", image(1, "val") | {"sentences": sentences})

    assert read(path).texts == [
        CorpusText(file_uri(path, "sentid=4"), "a dog"),
        CorpusText(file_uri(path, "images/0/sentences/1"), "a cat"),
    ]


def test_what_is_faulty_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    faulty: list[Any] = [
        {"raw": " ", "sentid": 30},
        "x",
        {"raw": "half \ud800"},
        {"raw": "same", "sentid": 10},
    ]
    path = write_karpathy(
        tmp_path / "dataset_x.json",
        image(1, "val", "fine"),
        "x",
        image(3, "val") | {"sentences": faulty},
        {"filename": "4.jpg"},
        image(5, "val", "lost") | {"filename": "../5.jpg"},
    )

    found = read(path)

    assert found.words == ["fine"]
    assert len(found.pictures) == 3
    assert [failure.uri.partition("#")[2].replace("%3D", "=") for failure in found.failures] == [
        "images/1", "sentid=30", "images/2/sentences/1", "images/2/sentences/2", "images/2/sentences/3",
        "images/3/sentences", "images/4",
    ]  # fmt: skip
