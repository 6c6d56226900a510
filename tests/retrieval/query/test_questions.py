"""Questions: which forms are understood, what mini answers, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import retrieval
from retrieval.encoders.calibrations import calibration_of
from retrieval.encoders.registry import load_encoder
from retrieval.errors import ModelError, UsageError
from retrieval.query.asking import answer_by_encoder, probability_of_existence
from retrieval.query.questions import Choice, Existence, understand
from tests.command_line import Run

DEMO = Path(retrieval.__file__).parent / "cli" / "demo_photographs"


@pytest.fixture(autouse=True)
def _empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model in the hub's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize(
    ("question", "thing"),
    [
        ("is there a dog?", "dog"),
        ("Are there any people in the picture?", "people"),
        ("Does this photo show a baseball glove", "baseball glove"),
        ("can you see a fire hydrant here?", "fire hydrant"),
        ("Is an orange visible in the image?", "orange"),
        ("any umbrellas?", "umbrellas"),
        ("有狗吗？", "狗"),
        ("这张照片里有没有三明治", "三明治"),
        ("图中有一只大象吗?", "大象"),
        ("是否有红绿灯？", "红绿灯"),
    ],
)
def test_a_question_whether_something_is_there_is_understood(question: str, thing: str) -> None:
    found = understand(question)

    assert isinstance(found, Existence)
    assert found.thing == thing


@pytest.mark.parametrize(
    ("question", "things"),
    [
        ("is it a cat or a dog?", ("cat", "dog")),
        ("Is this a bus, a train or a truck?", ("bus", "train", "truck")),
        ("是猫还是狗？", ("猫", "狗")),
        ("这是公交车、火车还是卡车？", ("公交车", "火车", "卡车")),
    ],
)
def test_a_question_which_of_some_things_it_is_is_understood(question: str, things: tuple[str, ...]) -> None:
    assert understand(question) == Choice(things, "zh" if "是" in question else "en")


def test_choices_go_with_a_question_what_it_is_and_with_no_other() -> None:
    assert understand("what is in the picture?", ["cat", "panda bear"]) == Choice(("cat", "panda bear"), "en")
    assert understand("图里有什么？", ["猫", "狗"]) == Choice(("猫", "狗"), "zh")
    assert understand("what colour is it?", ["red", "blue"]) is None


@pytest.mark.parametrize(
    "question",
    [
        "how many dogs are there?",
        "are there two dogs?",
        "is there a dog and a cat?",
        "is there no dog?",
        "is there a man with a hat?",
        "is there a red car?",
        "is the car red?",
        "is there a",
        "what is he holding?",
        "what is it?",
        "is it a cat or a cat?",
        "有两只狗吗？",
        "有几个人？",
        "有红色的车吗？",
        "他在做什么？",
        "有吗",
        "dog",
    ],
)
def test_other_questions_are_not_understood(question: str) -> None:
    assert understand(question) is None


@pytest.mark.parametrize(
    ("picture", "question", "answer"),
    [
        ("chelsea.jpg", "is there a cat?", "yes"),
        ("chelsea.jpg", "is there a train?", "no"),
        ("chelsea.jpg", "有猫吗？", "有"),
        ("coffee.jpg", "有火车吗？", "没有"),
        ("coffee.jpg", "is it a dog, a cup or a train?", "cup"),
        ("rocket.jpg", "是猫还是火箭？", "火箭"),
    ],
)
def test_mini_answers_about_photographs(picture: str, question: str, answer: str) -> None:
    found = retrieval.ask(DEMO / picture, question)

    assert found.text == answer
    assert found.probabilities is not None
    assert max(found.probabilities) > 0.5
    assert sum(found.probabilities) == pytest.approx(1)


def test_a_thing_is_likelier_there_the_higher_its_name_scores() -> None:
    calibration = calibration_of(load_encoder("mini").identity)
    assert calibration is not None
    name = np.zeros(512, np.float32)
    name[0] = 1
    said = []
    for score in np.linspace(-1, 1, 21):
        image = np.zeros(512, np.float32)
        image[:2] = score, np.sqrt(1 - score**2)
        said.append(probability_of_existence(calibration, image, name))

    assert said == sorted(set(said))
    assert 0 < said[0] < 0.001
    assert 0.999 < said[-1] < 1


@pytest.mark.parametrize(
    ("question", "choices", "expected"),
    [
        ("is there a dog?", None, ["a dog", "a photo of a dog"]),
        ("有狗吗？", None, ["狗", "一张狗的照片", "照片里的狗"]),
        (
            "what is it?",
            ["dogs", "cat"],
            [
                *("dogs", "a photo of dogs", "there is dogs in the picture"),
                *("a cat", "a photo of a cat", "there is a cat in the picture"),
            ],
        ),
    ],
)
def test_a_name_stands_for_several_wordings_but_sentences_only_choose(
    question: str, choices: list[str] | None, expected: list[str]
) -> None:
    mini = load_encoder("mini")
    asked: list[str] = []

    class Recorder:
        identity = mini.identity

        def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            asked.extend(texts)
            return mini.encode_texts(texts)

    understood = understand(question, choices)
    assert understood is not None
    answer_by_encoder(Recorder(), mini.encode_texts(["a dog"])[0], understood)

    assert asked == expected


def test_the_command_prints_the_answer_with_its_probability_and_json(run: Run) -> None:
    shown = run("ask", DEMO / "chelsea.jpg", "what is it?", "--choices", "cat,train")
    record = json.loads(
        run("ask", DEMO / "chelsea.jpg", "what is it?", "--choices", "cat,train", "--json").stdout
    )

    assert shown.exit_code == 0, shown.output
    assert shown.stdout == f"cat ({min(record['probabilities'][0], 0.99):.0%})\n"
    assert record["answer"] == "cat"


def test_a_question_that_mini_cannot_answer_is_a_sentence_that_names_a_model_that_can(run: Run) -> None:
    done = run("ask", DEMO / "chelsea.jpg", "what is the cat looking at?")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "mini answers only whether something is there and which of some things it is" in done.stderr
    assert "vlsearch models get blip-vqa" in done.stderr


def test_a_picture_that_cannot_be_read_a_question_without_words_and_one_choice_are_sentences(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"x")

    bad = run("ask", tmp_path / "bad.jpg", "is there a dog?")

    assert bad.exit_code == 1
    assert f"{tmp_path / 'bad.jpg'}: " in bad.stderr
    assert run("ask", DEMO / "chelsea.jpg", " ").exit_code == 2
    assert run("ask", DEMO / "chelsea.jpg", "what is it?", "--choices", "cat").exit_code == 2
    with pytest.raises(UsageError, match="500"):
        retrieval.ask(DEMO / "chelsea.jpg", "x" * 501)
    with pytest.raises(ModelError, match="not in the local cache"):
        retrieval.ask(DEMO / "chelsea.jpg", "is there a dog?", model="blip-vqa")
