"""What every generator is: images in, captions and answers out, and an identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from retrieval.errors import UsageError
from retrieval.texts import normalise_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from retrieval.decoding.preparations import Preparation

Task = Literal["caption", "ask", "rerank"]
"""What a model of the hub is used for; those that re-rank are loaded by :mod:`retrieval.rerankers`."""
TASKS: tuple[Task, ...] = ("caption", "ask", "rerank")

MOST_CANDIDATES = 10
MOST_CHOICES = 100
MOST_QUESTION = 500  # characters


@dataclass(frozen=True, slots=True)
class GeneratorIdentity:
    """What must be equal for two generators to write the same.

    Attributes:
        name: alias, hub id or absolute folder that ``load_generator`` takes.
        family: ``blip``, ``git``, ...
        weights: sha256 of the weights, hex.
        revision: commit of a hub checkpoint, or an empty string.
        settings: prompt, decoding, tokenizer and preprocessing, as canonical JSON.
    """

    name: str
    family: str
    weights: str
    revision: str
    settings: str

    @property
    def digest(self) -> str:
        """The sha256 (hex) over everything but the name."""
        rest = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()

    def maker(self, lang: str) -> str:
        """Name what writes captions in a language, as it stands with them in a collection: ``git-base 1a2b3c4d en``."""
        return f"{self.name} {self.digest[:12]} {lang}"


@dataclass(frozen=True, slots=True)
class WrittenCaption:
    """A caption; ``score`` orders the candidates of one image: mean log-probability of a token, penalties included."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a question about an image.

    Attributes:
        text: the answer; of choices, the likeliest.
        probabilities: of the choices, in their order, summing to 1; where a dual encoder says whether something is
            there, that it is and that it is not; else None.
    """

    text: str
    probabilities: tuple[float, ...] | None = None


class Generator(Protocol):
    """Images to words. What it writes is a function of its image, and of the other arguments, alone.

    Probabilities are so to rounding: some processors round a product by how many rows stand beside it.
    """

    @property
    def identity(self) -> GeneratorIdentity:
        """What must be equal for two generators to write the same."""
        ...

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it was trained for."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """BCP 47 tags of what it writes, the first one by default."""
        ...

    @property
    def preparation(self) -> Preparation:
        """The rule by which a worker process prepares an image."""
        ...

    def describe(
        self, images: Sequence[Image], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        """Write captions of images of any mode: of each its ``candidates`` best ones, the best first.

        Raises:
            UsageError: it writes no captions, or not in that language, or so many candidates.
        """
        ...

    def describe_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        """Write captions of images that the rule :attr:`preparation` has prepared; else as :meth:`describe`."""
        ...

    def answer(
        self, images: Sequence[Image], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        """Answer a question about each of some images, in words of its own or with the likeliest of ``choices``.

        Raises:
            UsageError: it answers no questions, the question is empty, or there are fewer than two choices.
        """
        ...

    def answer_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        """Answer a question about each of some prepared images; else as :meth:`answer`."""
        ...


def canonical(facts: dict[str, Any]) -> str:
    """Write the settings of an identity."""
    return json.dumps(facts, sort_keys=True)


def checked_question(question: str) -> str:
    """Give a question as one line of normalised text.

    Raises:
        UsageError: it is empty, or too long.
    """
    text = normalise_text(" ".join(question.split()))
    if not text:
        raise UsageError('the question is empty; ask one, as in "what is he holding?"')
    if len(text) > MOST_QUESTION:
        raise UsageError(f"the question has {len(text):,} characters; ask in at most {MOST_QUESTION}")
    return text


def checked_choices(choices: Sequence[str]) -> list[str]:
    """Give answers to choose from, as normalised texts.

    Raises:
        UsageError: there are fewer than two or too many of them, two are the same, or one is empty.
    """
    texts = [normalise_text(" ".join(choice.split())) for choice in choices]
    if not 2 <= len(texts) <= MOST_CHOICES or len(set(texts)) < len(texts) or "" in texts:
        raise UsageError(f"choices are 2 to {MOST_CHOICES} different answers, as in red,green,blue")
    return texts


def check_candidates(candidates: int) -> None:
    """Refuse a number of captions of one image that no generator writes.

    Raises:
        UsageError: it is not one of 1 to :data:`MOST_CANDIDATES`.
    """
    if not 1 <= candidates <= MOST_CANDIDATES:
        raise UsageError(f"{candidates} candidates were asked for; ask for 1 to {MOST_CANDIDATES}")
