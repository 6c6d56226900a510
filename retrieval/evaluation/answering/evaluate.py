"""Measure answers to questions, in a file or as a model gives them now: ``vlsearch eval --task ask``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.errors import EvaluationError, ImageError, UsageError
from retrieval.evaluation.answering.question_sets import (
    AskedQuestion,
    QuestionSet,
    read_answers,
    read_question_set,
)
from retrieval.generators.registry import load_generator
from retrieval.suffixes import is_image_name
from retrieval.types import FileBytes, Limits, OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from retrieval.decoding.prepare import PreparedImage
    from retrieval.generators.base import Generator

DECODED_AHEAD = 8
_COCO_NUMBER = re.compile(r"(?:.*_)?0*([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class AnswerEvaluation:
    """Accuracies, in [0, 1].

    Attributes:
        data: ``VQA v2`` or ``COCO-QA``.
        answers: the file that they are from, or the model that gave them.
        questions: how many.
        accuracy: of all.
        by_kind: number and accuracy of the questions with each kind of answer.
    """

    data: str
    answers: str
    questions: int
    accuracy: float
    by_kind: Mapping[str, tuple[int, float]]


def evaluate_answers(
    questions: str | Path,
    annotations: str | Path | None = None,
    *,
    predictions: str | Path | None = None,
    model: Generator | str | Path | None = None,
    images: str | Path | None = None,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
) -> AnswerEvaluation:
    """Measure answers by the rule of their data set.

    Args:
        questions: VQA v2's file of questions, or a folder with COCO-QA's ``questions.txt``, ``answers.txt``,
            ``img_ids.txt`` and ``types.txt``.
        annotations: VQA v2's file of annotations of the same split.
        predictions: file of answers, in VQA's format of results; for COCO-QA a question's id is its line's number.
        model: a generator, or a name or folder to load one from, that answers in place of a file.
        images: folder with COCO's images, which a model needs; their names end in COCO's numbers.
        limits: what is accepted of an image.
        on_progress: called with the progress.

    Raises:
        UsageError: neither or both of a file and a model are given, or no folder of images for a model.
        EvaluationError: a question has no answer, or its image is missing or cannot be decoded.
        CorpusFormatError: a file is in another format.
        ModelError, MissingExtra: as :func:`retrieval.load_generator`.
    """
    if (predictions is None) == (model is None):
        raise UsageError(
            "--task ask measures answers in a file or those of one model; give --predictions or --model"
        )
    asked = read_question_set(Path(questions), None if annotations is None else Path(annotations))
    if predictions is not None:
        return _measured(asked, read_answers(Path(predictions)), str(predictions))
    assert model is not None
    if images is None:
        raise UsageError(
            "a model needs the pictures that are asked about; give their folder with --images FOLDER"
        )
    generator = load_generator(model) if isinstance(model, str | Path) else model
    answers = _ask(asked, generator, Path(images), limits or Limits(), on_progress or ignore_progress)
    return _measured(asked, answers, generator.identity.name)


def _measured(asked: QuestionSet, answers: Mapping[int, str], source: str) -> AnswerEvaluation:
    missing = [one.id for one in asked.questions if one.id not in answers]
    if missing:
        raise EvaluationError(
            f"{source}: {len(missing):,} of the {len(asked.questions):,} questions have no answer (the first is "
            f"{missing[0]}); figures over fewer questions would be other figures"
        )
    kinds: dict[str, list[float]] = defaultdict(list)
    for one in asked.questions:
        kinds[one.kind].append(asked.earned(answers[one.id], one.answers))
    by_kind = {kind: (len(shares), sum(shares) / len(shares)) for kind, shares in sorted(kinds.items())}
    total = sum(map(sum, kinds.values()))
    return AnswerEvaluation(asked.name, source, len(asked.questions), total / len(asked.questions), by_kind)


def _ask(
    asked: QuestionSet, generator: Generator, folder: Path, limits: Limits, tell: OnProgress
) -> dict[int, str]:
    by_image: dict[int, list[AskedQuestion]] = defaultdict(list)
    for one in asked.questions:
        by_image[one.image].append(one)
    files = _files(folder, by_image)
    answers: dict[int, str] = {}
    with DecodePool(limits) as pool:

        def read(image: int) -> PreparedImage:
            return pool.prepare(FileBytes(files[image]), generator.preparation)

        for image, outcome in map_in_order(read, sorted(by_image), pool.workers, DECODED_AHEAD, Event()):
            if isinstance(outcome, ImageError):
                raise EvaluationError(
                    f"{files[image]}: {outcome}; figures over fewer pictures would be other figures"
                )
            assert outcome.array is not None, "every image is wanted"
            for one in by_image[image]:
                answers[one.id] = generator.answer_prepared([outcome.array], one.question)[0].text
            tell(Progress("answering", len(answers), len(asked.questions)))
    return answers


def _files(folder: Path, wanted: Mapping[int, object]) -> dict[int, Path]:
    """Find the file of each image by COCO's number at the end of its name.

    Raises:
        EvaluationError: some are not there.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is not a folder; give the one with COCO's pictures")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        number = _COCO_NUMBER.fullmatch(path.stem)
        if number is not None and is_image_name(path.name):
            found.setdefault(int(number[1]), path)
    missing = sorted(image for image in wanted if image not in found)
    if missing:
        raise EvaluationError(
            f"{folder} lacks {len(missing):,} of the {len(wanted):,} pictures that are asked about (the first has "
            f"COCO's number {missing[0]}); give the folder of their split"
        )
    return found
