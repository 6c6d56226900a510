"""Questions about a collection: how they are read, who answers, and what happens to pictures that are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import indexer
import retrieval
from retrieval.errors import ModelError, UsageError
from retrieval.places import CollectionPlace
from retrieval.query.engine import SearchEngine
from retrieval.query.questions import WhichPictures, which_pictures
from tests.command_line import Run
from tests.retrieval.generators.tiny_generators import blip_vqa

DEMO = Path(retrieval.__file__).parent / "cli" / "demo_photographs"
NAMES = ("chelsea", "rocket", "coffee", "astronaut")  # chelsea is a cat


@pytest.fixture(autouse=True)
def _empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model in the hub's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def vqa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip-vqa")
    blip_vqa(folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.jpg").write_bytes((DEMO / f"{name}.jpg").read_bytes())
    return folder


@pytest.fixture
def engine(photos: Path, tmp_path: Path) -> Iterator[SearchEngine]:
    indexer.build(photos, tmp_path / "c", model="mini")
    with retrieval.open(tmp_path / "c") as opened:
        yield opened


@pytest.mark.parametrize(
    ("question", "thing", "asked"),
    [
        ("Which of my pictures show a receipt?", "a receipt", "is there a receipt in the picture?"),
        ("which photos have dogs", "dogs", "are there dogs in the picture?"),
        ("What photographs contain the bus?", "the bus", "is there the bus in the picture?"),
        ("which pictures are of glasses?", "glasses", "are there glasses in the picture?"),
        ("哪些照片里有狗？", "狗", "图片里有狗吗？"),
        ("我的照片里哪些有猫", "猫", "图片里有猫吗？"),
        ("哪张照片拍了大象？", "大象", "图片里有大象吗？"),
    ],
)
def test_a_question_which_pictures_show_something_is_understood(
    question: str, thing: str, asked: str
) -> None:
    yes_no = ("yes", "no") if thing.isascii() else ("有", "没有")

    assert which_pictures(question) == WhichPictures(thing, asked, yes_no)


@pytest.mark.parametrize(
    "question", ["is there a dog?", "which is it?", "which pictures?", "有狗吗？", "show dogs"]
)
def test_other_questions_name_no_pictures(question: str) -> None:
    assert which_pictures(question) is None


@pytest.mark.parametrize("question", ["which of my pictures show a cat?", "哪些照片里有猫？"])
def test_mini_answers_by_the_stored_vectors_as_it_answers_about_the_file(
    engine: SearchEngine, photos: Path, question: str
) -> None:
    (photos / "rocket.jpg").unlink()  # no file is read

    asked, answers = engine.ask_collection(question, model="mini")

    by_name = {Path(one.item.uri).stem: one for one in answers}
    assert set(by_name) == set(NAMES)
    assert [name for name, one in by_name.items() if one.answer and one.answer.text == asked.wanted] == [
        "chelsea"
    ]
    alone = retrieval.ask(photos / "chelsea.jpg", asked.question, model="mini")
    stored = by_name["chelsea"].answer
    assert stored is not None
    assert stored.text == alone.text
    assert stored.probabilities == pytest.approx(
        alone.probabilities, abs=1e-2
    )  # vectors are stored in 16 bits


def test_mini_reads_the_pictures_of_a_collection_of_another_model(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    indexer.build(photos, tmp_path / "other", model=model)
    with retrieval.open(tmp_path / "other") as engine:
        items = list(engine.items())
        (photos / "rocket.jpg").unlink()
        answers = engine.ask_about(items, "is it a cat or a cup?", model="mini")

    found = {Path(one.item.uri).stem: one for one in answers}
    assert found["chelsea"].answer == retrieval.ask(
        photos / "chelsea.jpg", "is it a cat or a cup?", model="mini"
    )
    assert found["rocket"].answer is None
    assert found["rocket"].failure


def test_a_generator_answers_about_each_hit_as_it_does_about_the_file(
    engine: SearchEngine, photos: Path, vqa: Path
) -> None:
    hits = engine.search("a photo", k=4, find="image")
    (photos / "rocket.jpg").write_bytes(b"something else")
    generator = retrieval.load_generator(vqa)

    answers = engine.ask_about(hits, "what is it?", ["dog", "cats"], generator)

    assert [one.item.id for one in answers] == [hit.id for hit in hits]
    for one in answers:
        path = Path(one.item.uri.removeprefix("file://"))
        if path.stem == "rocket":
            assert (one.answer, "has changed" in str(one.failure)) == (None, True)
        else:
            alone = retrieval.ask(path, "what is it?", ["dog", "cats"], model=generator)
            assert one.answer is not None
            assert one.answer.text == alone.text
            assert one.answer.probabilities == pytest.approx(alone.probabilities, rel=1e-4)


def test_a_text_is_not_asked_about(photos: Path, tmp_path: Path, vqa: Path) -> None:
    (photos / "chelsea.txt").write_text("a cat", encoding="utf-8")
    indexer.build(photos, tmp_path / "c", model="mini")
    with retrieval.open(tmp_path / "c") as engine:
        texts = list(engine.items("text"))
        found = [engine.ask_about(texts, "is there a cat?", model=model)[0] for model in ("mini", vqa)]

    assert [one.failure for one in found] == ["it is not a picture of the collection"] * 2


@pytest.mark.parametrize(
    ("question", "query", "choices", "sentence"),
    [
        ("is there a dog?", None, None, "name what to look for, with --query"),
        ("which pictures show a dog?", None, ["a", "b"], "answered by yes or no"),
        ("", "dogs", None, "the question is empty"),
    ],
)
def test_a_question_that_cannot_be_asked_of_a_collection_is_a_sentence(
    engine: SearchEngine, question: str, query: str | None, choices: list[str] | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        engine.ask_collection(question, query, choices=choices, model="mini")


def test_what_mini_cannot_answer_is_said_before_anything_is_searched(engine: SearchEngine) -> None:
    with pytest.raises(ModelError, match="vlsearch models get blip-vqa"):
        engine.ask_collection("which of my pictures show a man who holds a red umbrella?", model="mini")


def test_the_command_prints_the_pictures_that_show_it_or_all_answers(
    engine: SearchEngine, run: Run, photos: Path, vqa: Path
) -> None:
    options: list[str | CollectionPlace] = ["--collection", engine.collection.path]

    which = run("ask", "which of my pictures show a cat?", *options)
    some = run("ask", "--query", "a photo", "is it a cat or a rocket?", "-k", "3", *options)
    (photos / "chelsea.jpg").unlink()
    by_model = run("ask", "--query", "a photo", "what is it?", "--model", vqa, "--json", *options)

    assert which.exit_code == 0, which.output
    assert [line.rpartition("  ")[2] for line in which.stdout.splitlines()] == [str(photos / "chelsea.jpg")]
    assert which.stdout.startswith("yes (")
    assert "1 of 4 pictures found for a cat" in which.stderr
    assert len(some.stdout.splitlines()) == 3
    records = [json.loads(line) for line in by_model.stdout.splitlines()]
    assert sorted(Path(record["path"]).stem for record in records if record["answer"] is not None) == sorted(
        NAMES[1:]
    )
    assert [record["answer"] for record in records if record["error"]] == [None]


def test_a_picture_and_a_query_are_not_asked_about_together(run: Run) -> None:
    done = run("ask", "photo.jpg", "what is it?", "--query", "dogs")

    assert done.exit_code == 2
    assert "leave out one of them" in done.stderr


def test_without_a_question_the_sentence_says_what_to_do(run: Run, engine: SearchEngine) -> None:
    done = run("ask", "photo.jpg", "--collection", engine.collection.path)

    assert done.exit_code == 2
    assert "name a picture before the question" in done.stderr
