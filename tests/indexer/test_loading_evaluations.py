"""A corpus as an evaluation: what it holds, and the sentence for each wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from retrieval.corpora import CaptionColumn, CorpusOptions
from retrieval.errors import CorpusFormatError, EvaluationError, UsageError, VlsearchError
from retrieval.evaluation.evaluate import load_encoders, load_evaluation


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / f"{name}.png")
    return tmp_path


def table(folder: Path, *rows: str, header: str = "image,caption") -> Path:
    path = folder / "captions.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_every_text_asks_for_its_pictures_and_every_picture_for_its_texts(pictures: Path) -> None:
    corpus = table(pictures, "a.png,one", "b.png,two", "a.png,three", "c.png,four")

    found = load_evaluation(corpus)

    assert found.name == "captions"
    assert found.denominator("text to image") == 4
    assert found.denominator("image to text") == 3
    assert found.directions["image to text"].relevance.answers(0).tolist() == [0, 2]
    assert "every text (text to image)" in found.denominators


@pytest.mark.parametrize(
    ("captions", "language"),
    [(["a dog", "ein Hund"], "en"), (["一只狗", "两只猫 cat"], "zh"), (["犬が走る"], "ja")],
)
def test_a_language_that_nobody_names_is_taken_from_the_writing_and_said(
    pictures: Path, captions: list[str], language: str
) -> None:
    found = load_evaluation(table(pictures, *(f"a.png,{caption}" for caption in captions)))

    assert found.language == language
    assert f"look like {language}; name it with --lang" in found.notes[0]


def test_a_language_that_is_named_is_recorded_without_a_note(pictures: Path) -> None:
    corpus = table(pictures, "a.png,dog,狗", header="image,en,zh")

    def found(*columns: CaptionColumn, lang: str | None = None) -> tuple[str, int, tuple[str, ...]]:
        loaded = load_evaluation(corpus, options=CorpusOptions(caption_columns=columns, lang=lang))
        return loaded.language, len(loaded.texts), loaded.notes

    assert found(CaptionColumn("zh", "zh")) == ("zh", 1, ())
    assert found(CaptionColumn("en"), lang="de") == ("de", 1, ())
    assert found(CaptionColumn("en", "en"), CaptionColumn("zh", "zh")) == ("mul", 2, ())
    assert found(CaptionColumn("en", "en"), CaptionColumn("zh", "zh"), lang="zh") == ("zh", 1, ())


def coco(folder: Path, annotations: list[dict[str, object]], images: tuple[str, ...] = ("a", "b")) -> Path:
    path = folder / "captions.json"
    listed = [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate(images, 1)]
    path.write_text(json.dumps({"images": listed, "annotations": annotations}))
    return path


def test_a_caption_of_a_picture_that_is_not_there_is_refused(pictures: Path) -> None:
    corpus = coco(
        pictures, [{"id": 1, "image_id": 1, "caption": "a"}, {"id": 2, "image_id": 99, "caption": "b"}]
    )

    with pytest.raises(VlsearchError, match=r"99.*mend the corpus first"):
        load_evaluation(corpus, options=CorpusOptions(images=pictures))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["a.png,b.png", "b.png,a.png"], r"2 of the 2 captions of captions are picture names .*wrong column"),
        (["a.png,1", "b.png,2"], "are numbers .*choose it with --caption-column"),
    ],
)
def test_captions_that_are_no_captions_are_refused(pictures: Path, rows: list[str], sentence: str) -> None:
    with pytest.raises(EvaluationError, match=sentence):
        load_evaluation(table(pictures, *rows))


def test_pictures_that_nothing_describes_are_misses_and_the_output_says_how_many(pictures: Path) -> None:
    found = load_evaluation(table(pictures, "a.png,one", "b.png,", "c.png,three"))

    assert found.denominator("image to text") == 3
    assert "1 of the 3 pictures has no text, and is a miss" in found.notes


def test_pictures_without_captions_are_refused(pictures: Path) -> None:
    with pytest.raises(EvaluationError, match="has 3 pictures, 0 texts and 0 links between them"):
        load_evaluation(pictures)


def test_a_corpus_that_is_not_there_or_of_no_known_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\0" * 100)

    for path in (tmp_path / "absent", tmp_path / "x.bin"):
        with pytest.raises(CorpusFormatError):
            load_evaluation(path)


def test_an_unknown_protocol_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no protocol 'coco'; there are flickr8k, flickr30k, coco-5k"):
        load_evaluation(tmp_path, protocol="coco")


def test_a_protocol_reads_its_files_its_own_way_and_refuses_to_be_told_otherwise(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fixes how its files are read; leave --format"):
        load_evaluation(tmp_path, protocol="coco-5k", options=CorpusOptions(image_column="x"))


def test_a_model_given_twice_is_refused_since_nothing_would_be_compared() -> None:
    with pytest.raises(UsageError, match="model mini is given twice"):
        load_encoders(["mini", "mini"])


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(VlsearchError, match="nonsense"):
        load_encoders(["nonsense"])
