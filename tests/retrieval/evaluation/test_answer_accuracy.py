"""Accuracy of answers: VQA's rule against the steps of its script written down again, files, and the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import retrieval
from retrieval.errors import CorpusFormatError, EvaluationError, UsageError
from retrieval.evaluation.answering.accuracy import normalise_answer, vqa_accuracy
from tests.command_line import Run
from tests.retrieval.generators.tiny_generators import blip_vqa

# As the script lists them: what is written without one apostrophe, and what it becomes.
MENDED = {
    "aint": "ain't", "cant": "can't", "couldve": "could've", "couldn'tve": "couldn't've", "couldnt've": "couldn't've",
    "didnt": "didn't", "dont": "don't", "hadn'tve": "hadn't've", "hed": "he'd", "hed've": "he'd've",
    "he'dve": "he'd've",
    "isnt": "isn't", "itll": "it'll", "maam": "ma'am", "mightnt've": "mightn't've", "notve": "not've",
    "oclock": "o'clock", "ow's'at": "'ow's'at", "'ows'at": "'ow's'at", "'ow'sat": "'ow's'at", "she'dve": "she'd've",
    "somebody'd": "somebodyd", "somebodyd've": "somebody'd've", "somebodyll": "somebody'll", "thats": "that's",
    "therere": "there're", "twas": "'twas", "weve": "we've", "whyre": "why're", "wont": "won't", "yall": "y'all",
    "yall'll": "y'all'll", "y'allll": "y'all'll", "yall'd've": "y'all'd've", "y'alld've": "y'all'd've",
    "y'all'dve": "y'all'd've", "youve": "you've", "youd've": "you'd've",
}  # fmt: skip
NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "ten": "10"}
PUNCT = [
    ";",
    "/",
    "[",
    "]",
    '"',
    "{",
    "}",
    "(",
    ")",
    "=",
    "+",
    "\\",
    "_",
    "-",
    ">",
    "<",
    "@",
    "`",
    ",",
    "?",
    "!",
]


def process(text: str) -> str:
    """``processPunctuation`` and ``processDigitArticle``, step by step."""
    out = text
    for p in PUNCT:
        if (p + " " in text or " " + p in text) or (re.search("(\\d)(\\,)(\\d)", text) is not None):
            out = out.replace(p, "")
        else:
            out = out.replace(p, " ")
    out = re.sub("(?!<=\\d)(\\.)(?!\\d)", "", out, count=int(re.UNICODE))
    words = []
    for word in out.lower().split():
        word = NUMBERS.get(word, word)
        if word not in ["a", "an", "the"]:
            words.append(word)
    for place, word in enumerate(words):
        if word in MENDED:
            words[place] = MENDED[word]
    return " ".join(words)


def evaluate(answer: str, given: list[str]) -> float:
    """The accuracy of one question, as the script averages it over annotators."""
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    given = [one.replace("\n", " ").replace("\t", " ").strip() for one in given]
    if len(set(given)) > 1:
        given = [process(one) for one in given]
        answer = process(answer)
    accuracies = []
    for number in range(len(given)):
        others = [one for place, one in enumerate(given) if place != number]
        accuracies.append(min(1, len([one for one in others if one == answer]) / 3))
    return sum(accuracies) / len(accuracies)


WORDS = st.sampled_from(
    [
        *MENDED,
        *NUMBERS,
        "a",
        "The",
        "dog",
        "red",
        "3",
        "1,000",
        "2.5",
        "yes.",
        "no!",
        "e.g.",
        "t-shirt",
        "-",
        "(left)",
    ]
)
ANSWERS = st.lists(WORDS, max_size=4).map(" ".join) | st.text(st.sampled_from('ab1 .,;-/"?!\n\t'), max_size=8)


@given(
    answer=ANSWERS,
    others=st.lists(ANSWERS, min_size=1, max_size=4),
    picks=st.lists(st.integers(0, 9), min_size=10, max_size=10),
)
def test_the_accuracy_equals_the_scripts_for_any_answers(
    answer: str, others: list[str], picks: list[int]
) -> None:
    pool = [answer, *others]
    annotators = [pool[pick % len(pool)] for pick in picks]

    assert normalise_answer(answer) == process(answer)
    assert vqa_accuracy(answer, annotators) == pytest.approx(evaluate(answer, annotators), abs=1e-12)


# What the organisers' vqaEval.py gives (GT-Vision-Lab/VQA, commit a013f00; its functions copied to Python 3).
PUBLISHED = {
    "The two dogs.": "2 dogs", "none": "0", "an": "", "a/b": "b", "dont!": "don't", "U.S.A.": "usa",
    "1,000 - 2,000": "1000 2000", "10,5 km/h": "105 kmh", "3.5 ft.": "3.5 ft", "1. 2 .5": "1 2 .5",
    "t-shirt, (blue)": "t shirt blue", "left-hand side -": "lefthand side", "tic-tac-toe": "tic tac toe",
    "yes, it's a cat": "yes it's cat", "theyre o'clock": "they're o'clock", "somebody'd": "somebodyd",
    "I'dve": "i'dve", "'twas": "'twas", "y'alld've": "y'all'd've",
}  # fmt: skip


@pytest.mark.parametrize("answer", PUBLISHED)
def test_a_tricky_answer_is_normalised_as_the_published_script_does_it(answer: str) -> None:
    assert normalise_answer(answer) == PUBLISHED[answer]


@pytest.mark.parametrize(("matches", "share"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_an_answer_earns_a_third_of_a_match_by_nine_of_ten_annotators(matches: int, share: float) -> None:
    assert vqa_accuracy(
        "a Dog.", ["dog"] * matches + [f"x{n}" for n in range(10 - matches)]
    ) == pytest.approx(
        share if matches < 10 else 0  # where all agree, nothing is normalised
    )


def vqa_files(folder: Path, answers: list[list[str]]) -> tuple[Path, Path]:
    questions = [{"image_id": 40 + n, "question": "what?", "question_id": n} for n in range(len(answers))]
    given = [
        {
            "question_id": n,
            "answer_type": "other",
            "answers": [{"answer": text, "answer_id": i} for i, text in enumerate(texts)],
        }
        for n, texts in enumerate(answers)
    ]
    paths = folder / "questions.json", folder / "annotations.json"
    paths[0].write_text(json.dumps({"questions": questions}), encoding="utf-8")
    paths[1].write_text(json.dumps({"annotations": given}), encoding="utf-8")
    return paths


def results(folder: Path, answers: list[str], first: int = 0) -> Path:
    path = folder / "results.json"
    records = [{"question_id": n, "answer": text} for n, text in enumerate(answers, first)]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def coco_qa(folder: Path) -> Path:
    folder.mkdir()
    for name, lines in (
        ("questions", ["what is red", "how many dogs"]),
        ("answers", ["ball", "two"]),
        ("img_ids", ["40", "41"]),
        ("types", ["0", "1"]),
    ):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_the_command_prints_the_accuracy_of_a_file(run: Run, tmp_path: Path) -> None:
    questions, annotations = vqa_files(tmp_path, [["yes"] * 9 + ["no"], ["red"] * 2 + ["blue"] * 8])
    found = results(tmp_path, ["Yes.", "the red"])

    shown = run("eval", questions, "--task", "ask", "--annotations", annotations, "--predictions", found)
    record = json.loads(
        run(
            "eval", questions, "--task", "ask", "--annotations", annotations, "--predictions", found, "--json"
        ).stdout
    )

    assert shown.exit_code == 0, shown.output
    assert "80.00" in shown.stdout
    assert record["accuracy"] == pytest.approx((1 + 0.6) / 2)
    assert record["by_kind"]["other"]["questions"] == 2


def test_coco_qa_is_measured_by_exact_match(tmp_path: Path) -> None:
    measured = retrieval.evaluate_answers(
        coco_qa(tmp_path / "qa"), predictions=results(tmp_path, ["Ball ", "the two"], first=1)
    )

    assert (measured.data, measured.accuracy) == ("COCO-QA", 0.5)
    assert measured.by_kind == {"number": (1, 0.0), "object": (1, 1.0)}


def test_a_model_answers_about_the_pictures_that_have_cocos_numbers(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    blip_vqa(tmp_path / "model")
    images = tmp_path / "images"
    images.mkdir()
    for number in (40, 41):
        Image.new("RGB", (32, 32), (number * 5, 9, 9)).save(images / f"COCO_val2014_{number:012}.png")
    generator = retrieval.load_generator(tmp_path / "model")
    folder = coco_qa(tmp_path / "qa")
    right = generator.answer([Image.open(images / "COCO_val2014_000000000040.png")], "what is red")[0].text
    (folder / "answers.txt").write_text(f"{right}\nnothing like it\n", encoding="utf-8")

    measured = retrieval.evaluate_answers(folder, model=generator, images=images)

    assert measured.accuracy == 0.5
    (images / "COCO_val2014_000000000041.png").unlink()
    with pytest.raises(EvaluationError, match="lacks 1 of the 2 pictures"):
        retrieval.evaluate_answers(folder, model=generator, images=images)


@pytest.mark.parametrize(
    ("questions", "annotations", "sentence"),
    [
        ([], {"annotations": []}, "not VQA's layout"),
        ({"questions": []}, {"annotations": []}, "has no questions"),
        ({"questions": [1]}, {"annotations": []}, "record 1: this is not an object"),
        ({"questions": [{"question_id": 10**30}]}, {"annotations": []}, "not a whole number"),
        ({"questions": [{"question_id": True}]}, {"annotations": []}, "not a whole number"),
        (
            {"questions": [{"question_id": 1, "image_id": 1, "question": "?"}]},
            {"annotations": []},
            "has no answers in",
        ),
        (
            {"questions": []},
            {"annotations": [{"question_id": 1, "answers": []}]},
            "answers is not a list of objects",
        ),
        ({"questions": []}, {"annotations": [{"question_id": 1, "answers": [{"answer": 5}]}]}, "not a text"),
    ],
)
def test_files_in_another_layout_end_in_a_sentence_with_their_place(
    tmp_path: Path, questions: Any, annotations: Any, sentence: str
) -> None:
    paths = tmp_path / "questions.json", tmp_path / "annotations.json"
    for path, content in zip(paths, (questions, annotations), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises((CorpusFormatError, EvaluationError), match=sentence):
        retrieval.evaluate_answers(*paths, predictions=results(tmp_path, []))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("answers.txt", "ball\n", "unequal numbers of lines"),
        ("img_ids.txt", "40\nx\n", "'x' is not a number of that file"),
        ("types.txt", "0\n9\n", "'9' is not a number of that file"),
        ("questions.txt", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_damaged_files_of_coco_qa_end_in_a_sentence(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    folder = coco_qa(tmp_path / "qa")
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises((CorpusFormatError, EvaluationError), match=sentence):
        retrieval.evaluate_answers(folder, predictions=results(tmp_path, ["a", "b"], first=1))


def test_what_is_missing_is_a_sentence(tmp_path: Path, run: Run) -> None:
    questions, annotations = vqa_files(tmp_path, [["yes"] * 10, ["no"] * 10])

    with pytest.raises(EvaluationError, match="1 of the 2 questions have no answer"):
        retrieval.evaluate_answers(questions, annotations, predictions=results(tmp_path, ["yes"]))
    with pytest.raises(EvaluationError, match="with --annotations FILE"):
        retrieval.evaluate_answers(questions, predictions=results(tmp_path, ["yes"]))
    with pytest.raises(UsageError, match="give --predictions or --model"):
        retrieval.evaluate_answers(questions, annotations)
    with pytest.raises(UsageError, match="--images FOLDER"):
        retrieval.evaluate_answers(questions, annotations, model="blip-vqa")
    done = run("eval", questions, "--annotations", annotations)
    assert (done.exit_code, "go with --task caption or ask" in done.stderr) == (2, True)
