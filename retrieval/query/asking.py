"""Answers to questions about pictures: by a generator, or within narrow limits by a dual encoder.

A dual encoder knows how near a name is to an image. The model's calibration (:mod:`retrieval.calibration`) knows what a
right hit of such a name scores, and what it scores at foreign images; a logistic function (Platt 1999) of the three
says how likely the thing is there. Of some things, the one with the nearest name is the answer. A name stands for the
mean of several wordings (Radford et al., ICML 2021). docs/captions.md has what both are worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.calibration import Calibration
from retrieval.decoding.pool import DecodePool
from retrieval.encoders.calibrations import calibration_of
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.encoders.registry import load_encoder
from retrieval.errors import ModelError
from retrieval.extras import is_installed
from retrieval.generators.base import Answer, checked_choices, checked_question
from retrieval.generators.recommended import BEST_FIRST, FIRST_DOWNLOAD
from retrieval.generators.registry import ALIASES, is_cached, load_generator, resolve
from retrieval.locations.named import locate_named
from retrieval.query.questions import Choice, Existence, understand
from retrieval.shell import shell_command
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.generators.base import Generator
    from retrieval.identity import Identity

LIMITED = "mini"
"""The model that answers where there is none that was trained to."""

SCORE, EXPECTED, BACKGROUND, INTERCEPT = 17.65, -2.96, 3.05, -2.41
"""Figures of the logistic function: fitted to questions in both languages about one half of the photographs of COCO
that mini was not trained on, half of the missing things being such as often come with what is there
(``benchmarks/evaluation/questions.py --fit``)."""

SHARPNESS = 20.0  # of the softmax over the scores of choices, fitted likewise

WORDINGS = {
    "en": ("{}", "a photo of {}", "there is {} in the picture"),
    "zh": ("{}", "一张{}的照片", "照片里的{}", "图里有{}"),
}
"""What stands for a thing: the mean of these, of which each errs in its own way. The last is a sentence, which helps to
tell things apart, but not to tell whether one is there."""

_YES_NO = {"en": ("yes", "no"), "zh": ("有", "没有")}
EXAMPLES = '"is there a dog?", "is it a cat or a dog?", "有狗吗？"'


def ask(
    image: str | Path,
    question: str,
    choices: Sequence[str] | None = None,
    *,
    model: Generator | str | Path | None = None,
    limits: Limits | None = None,
) -> Answer:
    """Answer a question about the picture in a file.

    Args:
        image: path of a file; a text may also name a picture in a file, as ``list`` and ``query`` print it
            (``scan.pdf#page=2``, ``photos.tar#a.jpg``), or be a uri.
        question: in a language that the model knows.
        choices: 2 to 100 answers to choose from.
        model: a generator, or a name or folder to load one from; ``mini`` answers only whether something is there, and
            which of some things it is. By default the best generator on this machine, else ``mini``.
        limits: what is accepted of the picture.

    Raises:
        UsageError: the question or the choices cannot be used.
        ModelError: ``mini`` cannot answer such a question, or the model cannot be loaded.
        ImageError: the picture is not there or cannot be decoded.
        MissingExtra: the extra ``models`` is not installed, and the model needs it.
    """
    location = locate_named(image)
    generator = find_answerer(model)
    if generator is None:
        understood = understood_by_mini(question, choices)
        encoder = load_encoder(LIMITED)
        with DecodePool(limits or Limits(), 1) as pool:
            prepared = prepare_for_encoder(pool, location, encoder).array
        assert prepared is not None, "nothing was said of not wanting it"
        return answer_by_encoder(encoder, encoder.encode_prepared([prepared])[0], understood)
    generator.answer_prepared([], question, choices)  # refuses what it cannot do before anything is decoded
    with DecodePool(limits or Limits(), 1) as pool:
        array = pool.prepare(location, generator.preparation).array
    assert array is not None, "nothing was said of not wanting it"
    return generator.answer_prepared([array], question, choices)[0]


class TextEncoder(Protocol):
    """What of an encoder is needed to answer by vectors: its identity, and texts to unit rows."""

    @property
    def identity(self) -> Identity:
        """See :class:`retrieval.encoders.base.Encoder`."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Encoder`."""
        ...


def answer_by_encoder(
    encoder: TextEncoder, image: NDArray[np.float32], question: Existence | Choice
) -> Answer:
    """Answer by the vector, (d,) float32, of an image and those of names.

    Raises:
        ModelError: the encoder has no calibration.
    """
    calibration = calibration_of(encoder.identity)
    if calibration is None:
        raise ModelError(
            f"the model {encoder.identity.name} has no calibration to answer questions by; use {LIMITED}"
        )
    if isinstance(question, Existence):
        [name] = averaged_names(encoder, [question.thing], question.language, sentences=False)
        there = probability_of_existence(calibration, image, name)
        return Answer(_YES_NO[question.language][there < 0.5], (there, 1 - there))
    names = averaged_names(encoder, question.things, question.language)
    scores = SHARPNESS * (names @ image).astype(np.float64)
    shares = np.exp(scores - scores.max())
    return Answer(question.things[int(np.argmax(shares))], tuple((shares / shares.sum()).tolist()))


def averaged_names(
    encoder: TextEncoder, things: Sequence[str], language: str, *, sentences: bool = True
) -> NDArray[np.float32]:
    """Encode each thing in several wordings, sentences among them or not, and give unit means, (things, d) float32."""
    phrases = [phrase(thing, language) for thing in things]
    wordings = WORDINGS[language] if sentences else WORDINGS[language][:-1]
    rows = encoder.encode_texts([wording.format(one) for one in phrases for wording in wordings])
    means = rows.reshape(len(phrases), len(wordings), -1).mean(1)
    unit: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def probability_of_existence(
    calibration: Calibration, image: NDArray[np.float32], name: NDArray[np.float32]
) -> float:
    """Estimate how likely an image shows a thing, by the vector of its name; both (d,) float32 unit rows."""
    log_odds = INTERCEPT + float(np.dot((SCORE, EXPECTED, BACKGROUND), evidence(calibration, image, name)))
    return 1 / (1 + math.exp(-min(max(log_odds, -700.0), 700.0)))


def evidence(
    calibration: Calibration, image: NDArray[np.float32], name: NDArray[np.float32]
) -> tuple[float, float, float]:
    """Give what a name scores at an image, what a right hit of it usually scores, and its score at foreign ones."""
    expected = float(name @ calibration.expected) + calibration.expected_bias
    return float(image @ name), expected, float(name @ calibration.background)


def phrase(thing: str, language: str) -> str:
    """Give the text that stands for a thing: an English name that is not a plural gets an article."""
    if language != "en" or (thing.endswith("s") and not thing.endswith("ss")) or thing == "people":
        return thing
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def find_answerer(model: Generator | str | Path | None) -> Generator | None:
    """Load the generator to ask; None where ``mini`` is to answer."""
    if model is None:
        usable = BEST_FIRST["ask"] if is_installed("models") else ()
        found = next((alias for alias in usable if is_cached(resolve(alias))), None)
        return None if found is None else load_generator(found)
    if isinstance(model, str | Path):
        return None if model == LIMITED else load_generator(model)
    return model


def understood_by_mini(question: str, choices: Sequence[str] | None) -> Existence | Choice:
    """Read a question for ``mini``.

    Raises:
        UsageError: there is none, or the choices are not 2 to 100 different ones.
        ModelError: it is not one that ``mini`` can answer.
    """
    checked_question(question)
    understood = understand(question, None if choices is None else checked_choices(choices))
    if understood is None:
        row = ALIASES[FIRST_DOWNLOAD["ask"]]
        get = shell_command("models", "get", row.alias)
        raise ModelError(
            f"{LIMITED} answers only whether something is there and which of some things it is ({EXAMPLES}); get a "
            f"model that answers other questions ({row.megabytes:,} MB, {row.licence}, English) with: {get}"
        )
    return understood
