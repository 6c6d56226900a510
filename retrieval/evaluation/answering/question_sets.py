"""Questions about COCO's images with their answers, from the files of VQA v2 and COCO-QA as they are published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.evaluation.answering.accuracy import exact_match, vqa_accuracy
from retrieval.evaluation.protocols.reading import read_json, read_lines

VQA, COCO_QA = "VQA v2", "COCO-QA"
_COCO_QA_KINDS = ("object", "number", "colour", "location")
_LARGEST = 2**62
_HINT = "Give the files as they were published"


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question about an image.

    Attributes:
        id: of the question; in COCO-QA the line's number, from 1.
        image: COCO's number of the image.
        question: in English.
        answers: of annotators; in COCO-QA the one that is right.
        kind: of the answer: ``yes/no``, ``number``, ``other``; ``object``, ``colour``, ...
    """

    id: int
    image: int
    question: str
    answers: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions of one data set, and its rule for what an answer earns."""

    name: str
    questions: tuple[AskedQuestion, ...]
    earned: Callable[[str, Sequence[str]], float]


def read_question_set(path: Path, annotations: Path | None = None) -> QuestionSet:
    """Read VQA v2's file of questions with its file of annotations, or a folder of COCO-QA.

    Raises:
        EvaluationError: ``annotations`` is missing, or given for COCO-QA; a question has no answers.
        CorpusFormatError: a file is something else.
    """
    if path.is_dir():
        if annotations is not None:
            raise EvaluationError("COCO-QA has its answers in answers.txt; leave --annotations out")
        return QuestionSet(COCO_QA, tuple(_coco_qa(path)), exact_match)
    if annotations is None:
        raise EvaluationError(f"{path} has questions alone; give their answers with --annotations FILE")
    return QuestionSet(VQA, tuple(_vqa(path, annotations)), vqa_accuracy)


def read_answers(path: Path) -> dict[int, str]:
    """Read answers by question in VQA's format of results: ``[{"question_id": 1, "answer": "yes"}, ...]``.

    Raises:
        CorpusFormatError: it is something else, or a question has two.
    """
    found: dict[int, str] = {}
    for place, record in _records(path, read_json(path)):
        number, answer = _whole(record, "question_id", place), _words(record, "answer", place)
        if number in found:
            raise CorpusFormatError(place, f"question {number} has an answer already", "Give one for each")
        found[number] = answer
    return found


def _vqa(path: Path, annotations: Path) -> Iterator[AskedQuestion]:
    answers: dict[int, tuple[tuple[str, ...], str]] = {}
    for place, record in _records(annotations, _part(annotations, "annotations")):
        given = record.get("answers")
        if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
            raise CorpusFormatError(place, "answers is not a list of objects", _HINT)
        texts = tuple(_words(one, "answer", place) for one in given)
        answers[_whole(record, "question_id", place)] = texts, str(record.get("answer_type", "other"))
    seen: set[int] = set()
    for place, record in _records(path, _part(path, "questions")):
        number = _whole(record, "question_id", place)
        if number in seen:
            raise CorpusFormatError(place, f"question {number} comes twice", _HINT)
        if number not in answers:
            raise EvaluationError(
                f"{place}: question {number} has no answers in {annotations}; give the file of its split"
            )
        seen.add(number)
        image, question = _whole(record, "image_id", place), _words(record, "question", place)
        yield AskedQuestion(number, image, question, *answers[number])
    if not seen:
        raise EvaluationError(f"{path} has no questions; give VQA's file of questions")


def _coco_qa(folder: Path) -> Iterator[AskedQuestion]:
    names = ("questions.txt", "answers.txt", "img_ids.txt", "types.txt")
    columns = [[text for _, text in read_lines(folder / name)] for name in names]
    counts = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(counts.values())) > 1 or not columns[0]:
        written = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise EvaluationError(
            f"{folder}: its files have unequal numbers of lines, or none ({written}); {_HINT.lower()}"
        )
    for number, (question, answer, image, kind) in enumerate(zip(*columns, strict=True), start=1):
        for name, value, most in (
            ("img_ids.txt", image, _LARGEST),
            ("types.txt", kind, len(_COCO_QA_KINDS) - 1),
        ):
            if not (value.isascii() and value.isdigit() and len(value) < 19 and int(value) <= most):
                fault = f"{value!r:.60} is not a number of that file"
                raise CorpusFormatError(f"{folder / name}:{number}", fault, _HINT)
        yield AskedQuestion(number, int(image), question, (answer,), _COCO_QA_KINDS[int(kind)])


def _part(path: Path, name: str) -> Any:
    whole = read_json(path)
    return whole.get(name) if isinstance(whole, dict) else None


def _records(path: Path, records: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(records, list):
        raise CorpusFormatError(str(path), "this is not VQA's layout", _HINT)
    for number, record in enumerate(records, start=1):
        place = f"{path}, record {number}"
        if not isinstance(record, dict):
            raise CorpusFormatError(place, "this is not an object", _HINT)
        yield place, record


def _whole(record: Mapping[str, Any], name: str, place: str) -> int:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise CorpusFormatError(place, f"{name} is {value!r:.60}, not a whole number", _HINT)
    return value


def _words(record: Mapping[str, Any], name: str, place: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise CorpusFormatError(place, f"{name} is {value!r:.60}, not a text", _HINT)
    return value
