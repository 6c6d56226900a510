from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError
from retrieval.types import CorpusImage, CorpusText, Entry, FileBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write, write_json


def image(id: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "file_name": f"{id}.jpg", **more}


def caption(id: int, image_id: int, text: str) -> dict[str, Any]:
    return {"id": id, "image_id": image_id, "caption": text}


def write_coco(path: Path, images: list[Any], annotations: list[Any], found_in: Path | None = None) -> Path:
    """A COCO file, and the first picture in a folder (the file's own by default), so that it is found."""
    write((found_in or path.parent) / "1.jpg", b"")
    return write_json(path, {"info": {}, "images": images, "annotations": annotations})


def test_captions_are_gathered_by_picture_and_named_by_annotation(tmp_path: Path) -> None:
    annotations = [caption(7, 2, "two"), caption(5, 1, "one"), caption(6, 2, "zwei")]
    path = write_coco(tmp_path / "c.json", [image(1, width=640, license=3), image(2), image(3)], annotations)

    found = read(path, lang="en")

    assert found.failures == []
    assert found.entries[0] == Entry(
        CorpusImage(
            file_uri(tmp_path / "1.jpg"),
            FileBytes(tmp_path / "1.jpg"),
            None,
            {"image_id": 1, "file_name": "1.jpg", "width": 640, "license": 3},
        ),
        (CorpusText(file_uri(path, "annotation=5"), "one", lang="en"),),
    )
    assert [[text.text for text in entry.texts] for entry in found.entries] == [["one"], ["two", "zwei"], []]


def test_the_corpus_can_be_read_twice_and_knows_its_total(tmp_path: Path) -> None:
    corpus = open_corpus(
        str(write_coco(tmp_path / "c.json", [image(1)], [caption(1, 1, "x")])), CorpusOptions()
    )

    assert corpus.total == 1
    assert list(corpus.entries()) == list(corpus.entries())


@pytest.mark.parametrize(
    ("file", "pictures"),
    [
        ("c.json", "."),
        ("c.json", "images"),
        ("captions_val2017.json", "val2017"),
        ("annotations/captions_mini.json", "images"),
        ("annotations/captions_val2017.json", "val2017"),
        ("annotations/captions_val2017.json", "images/val2017"),
    ],
)
def test_pictures_are_found_where_the_data_set_usually_keeps_them(
    tmp_path: Path, file: str, pictures: str
) -> None:
    path = write_coco(tmp_path / file, [image(1)], [caption(1, 1, "x")], found_in=tmp_path / pictures)

    assert [picture.location for picture in read(path).pictures] == [FileBytes(tmp_path / pictures / "1.jpg")]


def test_pictures_that_are_nowhere_are_an_error_that_names_the_option(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "c.json", [image(2)], [caption(1, 2, "x")])

    with pytest.raises(CorpusFormatError, match=r"\('2\.jpg', \.\.\.\) are in none of .* --images DIR"):
        read(path)
    assert [picture.location for picture in read(path, images=tmp_path).pictures] == [
        FileBytes(tmp_path / "2.jpg")
    ]


def test_what_hangs_in_the_air_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    images: list[Any] = [
        image(1),
        image(1),
        {"id": 2},
        {"file_name": "3.jpg"},
        "x",
        {"id": 4, "file_name": "../4.jpg"},
    ]
    annotations: list[Any] = [
        caption(1, 1, "fine"),
        caption(1, 1, "same id"),
        caption(2, 99, "of no picture"),
        {"id": 3, "image_id": 1},
        {"id": 4, "image_id": 1, "caption": ["x"]},
        {"id": 5, "caption": "whose?"},
        "x",
        {"image_id": 1, "caption": "without an id"},
        {"id": 8, "image_id": 1, "caption": "half \ud800"},
        {"id": [1], "image_id": [1], "caption": "x"},
    ]
    path = write_coco(tmp_path / "c.json", images, annotations)

    found = read(path)

    assert [(text.uri, text.text) for text in found.texts] == [
        (file_uri(path, "annotation=1"), "fine"),
        (file_uri(path, "annotations/7"), "without an id"),
    ]
    assert {
        failure.uri.partition("#")[2].replace("%3D", "="): failure.reason for failure in found.failures
    } == {
        "annotations/1": "annotation id 1 occurs twice",
        "annotation=2": "the caption is of picture 99, which is not in the file",
        "annotation=3": "the annotation has no caption",
        "annotation=4": "the annotation has no caption",
        "annotation=5": "the annotation names no picture",
        "annotations/6": "the annotation is not an object",
        "annotation=8": "a caption holds half of a surrogate pair, which is not a character",
        "annotations/9": "the annotation names no picture",
        "images/1": "picture id 1 occurs twice",
        "images/2": "the picture's name is empty, where a path or a URL is expected",
        "images/3": "a picture has no id",
        "images/4": "a picture has no id",
        "images/5": f"picture '../4.jpg' is not inside {tmp_path}; if it is meant, pass --images DIR",
    }


def test_annotations_that_are_no_captions_are_an_error(tmp_path: Path) -> None:
    path = write_coco(
        tmp_path / "instances.json", [image(1)], [{"id": 1, "image_id": 1, "bbox": [0, 0, 1, 1]}]
    )

    with pytest.raises(
        CorpusFormatError, match=r"none of its 1 annotations has a caption.*captions_\*\.json"
    ):
        read(path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is not JSON"),
        (b'{"images": [', "is not JSON"),
        (b"[]", "a list instead of an object"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"images": 1}', "neither COCO captions nor Karpathy splits"),
        (b"{}", "neither COCO captions nor Karpathy splits"),
        (b'{"images": []}', "neither COCO captions nor Karpathy splits"),
        ('{"images": []}'.encode("utf-16"), "is UTF-16"),
        (b'{"image": "a.jpg"}\n{"image": "b.jpg"}', "--format jsonl"),
    ],
)
def test_a_json_that_is_nothing_known_is_an_error(tmp_path: Path, content: bytes, fault: str) -> None:
    with pytest.raises(CorpusFormatError, match=fault):
        read(write(tmp_path / "c.json", content))


@pytest.mark.parametrize("document", [{"images": {}, "annotations": []}, {"images": []}])
def test_a_list_that_is_missing_is_an_error(tmp_path: Path, document: object) -> None:
    with pytest.raises(CorpusFormatError, match="where a list is expected"):
        read(write_json(tmp_path / "c.json", document), format="coco")


@pytest.mark.parametrize(("id", "image_id"), [(1, "1"), ("1", 1), (1.0, 1), ("a", "a")])
def test_an_id_is_found_whether_it_is_spelt_as_a_number_or_as_a_text(
    tmp_path: Path, id: object, image_id: object
) -> None:
    images = [{"id": id, "file_name": "1.jpg"}]
    path = write_coco(tmp_path / "c.json", images, [{"id": 5, "image_id": image_id, "caption": "one"}])

    assert [[text.text for text in entry.texts] for entry in read(path).entries] == [["one"]]


def test_halves_of_surrogate_pairs_anywhere_in_a_record_are_failures_or_replaced(tmp_path: Path) -> None:
    half = "\ud800"
    images = [
        {"id": half, "file_name": "1.jpg"},
        {"id": 2, "file_name": half},
        {"id": 3, "file_name": "1.jpg", half: half, "list": [half]},
    ]
    annotations = [
        {"id": half, "image_id": 3, "caption": "three"},
        {"id": 6, "image_id": half, "caption": "of none"},
    ]
    path = write_coco(tmp_path / "c.json", images, annotations)

    found = read(path)

    for text in [*found.reasons, *(one.uri for one in found.failures), *found.words]:
        text.encode()
    assert found.words == ["three"]
    assert found.pictures[0].attributes == {
        "image_id": 3, "file_name": "1.jpg", "?": "?", "list": ["?"],
    }  # fmt: skip
