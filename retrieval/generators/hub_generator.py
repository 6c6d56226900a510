"""Load a checkpoint of the hub as a generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.decoding.image_rule import ImageRule
from retrieval.decoding.preparations import Fit
from retrieval.errors import UsageError
from retrieval.generators.base import (
    Answer,
    GeneratorIdentity,
    Task,
    WrittenCaption,
    canonical,
    check_candidates,
    checked_choices,
    checked_question,
)
from retrieval.generators.families.family import Asked, Family, Generated
from retrieval.generators.families.looking import Looking
from retrieval.generators.families.table import family_of
from retrieval.hub.checkpoint import Checkpoint, read_checkpoint, weight_files
from retrieval.hub.inference import inference
from retrieval.hub.library_model import load_model
from retrieval.hub.pixels import pixels_of
from retrieval.hub.processor_config import read_image_rule
from retrieval.hub.weights_digest import weights_digest
from retrieval.hub.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

BATCH = 8  # images of a pass


def load_hub_generator(
    folder: Path,
    name: str | None = None,
    revision: str = "",
    device: str | None = None,
    tasks: Sequence[Task] | None = None,
) -> HubGenerator:
    """Load the generator of a local folder.

    Args:
        folder: holds config.json, preprocessor_config.json, the tokenizer and safetensors.
        name: what the identity calls it; the absolute folder by default.
        revision: commit that the folder is a snapshot of, if it is one.
        device: as torch names it; the CPU by default.
        tasks: what the checkpoint was trained for, where that is known; else all that its family does.

    Raises:
        ModelError: a file is missing, damaged or refused, or the device cannot be had.
    """
    folder = folder.absolute()
    checkpoint = read_checkpoint(folder)
    family = family_of(checkpoint)
    rule = _looks(checkpoint, family)
    special_ids = family.special_ids(checkpoint)
    words = Words(checkpoint)
    settings = {
        "image": rule.facts(),
        "words": words.digest,
        "special": special_ids,
        "languages": languages_of(family),
        **family.settings,
    }
    identity = GeneratorIdentity(
        name or str(folder), family.name, weights_digest(weight_files(folder)), revision, canonical(settings)
    )
    model = load_model(checkpoint, family.architecture, device or "cpu")
    _set_generation(model, special_ids)
    return HubGenerator(identity, family, rule, words, model, device or "cpu", tasks)


class HubGenerator:
    """A model of transformers as :class:`retrieval.generators.base.Generator`.

    Args:
        identity: what it is.
        family: how it is asked.
        rule: how images are prepared.
        words: its tokenizer.
        model: in float32 and evaluation mode, on ``device``.
        device: as torch names it.
        tasks: what it was trained for; None for all that its family does.
    """

    def __init__(
        self,
        identity: GeneratorIdentity,
        family: Family,
        rule: ImageRule | Looking,
        words: Words,
        model: Any,
        device: str,
        tasks: Sequence[Task] | None = None,
    ) -> None:
        self._identity, self._family, self._rule = identity, family, rule
        self._words, self._model, self._device = words, model, device
        self._tasks = tuple(task for task in family.tasks if tasks is None or task in tasks)

    @property
    def identity(self) -> GeneratorIdentity:
        """See :class:`retrieval.generators.base.Generator`."""
        return self._identity

    @property
    def tasks(self) -> tuple[Task, ...]:
        """See :class:`retrieval.generators.base.Generator`."""
        return self._tasks

    @property
    def languages(self) -> tuple[str, ...]:
        """See :class:`retrieval.generators.base.Generator`."""
        return languages_of(self._family)

    @property
    def preparation(self) -> ImageRule | Fit:
        """See :class:`retrieval.generators.base.Generator`."""
        return self._rule if isinstance(self._rule, ImageRule) else self._rule.preparation

    def describe(
        self, images: Sequence[Image], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        """See :class:`retrieval.generators.base.Generator`."""
        return self.describe_prepared([self.preparation.prepare(image) for image in images], lang, candidates)

    def describe_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        """See :class:`retrieval.generators.base.Generator`."""
        describe = self._family.describe
        if describe is None or "caption" not in self._tasks:
            raise UsageError(
                f"{self._identity.name} answers questions and writes no captions; {_OTHER_MODEL}"
            )
        self._check_language(lang)
        check_candidates(candidates)
        if lang is not None:
            describe = self._family.translated.get(lang.split("-")[0].lower(), describe)
        found: list[tuple[WrittenCaption, ...]] = []
        for asked in self._batches(prepared):
            with inference(self._identity.name):
                found += self._captions(describe(asked, candidates), candidates)
        return found

    def answer(
        self, images: Sequence[Image], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        """See :class:`retrieval.generators.base.Generator`."""
        return self.answer_prepared([self.preparation.prepare(image) for image in images], question, choices)

    def answer_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        """See :class:`retrieval.generators.base.Generator`."""
        reply, weigh = self._family.reply, self._family.weigh
        if reply is None or weigh is None or "ask" not in self._tasks:
            raise UsageError(
                f"{self._identity.name} writes captions and answers no questions; {_OTHER_MODEL}"
            )
        question = checked_question(question)
        chosen = None if choices is None else checked_choices(choices)
        found: list[Answer] = []
        for asked in self._batches(prepared):
            with inference(self._identity.name):
                if chosen is None:
                    found += [Answer(text) for text in self._texts(reply(asked, question))]
                else:
                    found += _likeliest(chosen, weigh(asked, question, chosen))
        return found

    def _check_language(self, lang: str | None) -> None:
        if lang is not None and lang.split("-")[0].lower() not in self.languages:
            writes = " and ".join(self.languages)
            raise UsageError(
                f"{self._identity.name} writes {writes} alone, not {lang!r:.40}; leave --lang out"
            )

    def _batches(self, prepared: Sequence[NDArray[np.uint8]]) -> Iterator[Asked]:
        """Yield what the model is asked about, a batch at a time."""
        if isinstance(self._rule, ImageRule):
            for start in range(0, len(prepared), BATCH):
                batch = prepared[start : start + BATCH]
                pixels = pixels_of(batch, self._rule, self._device)
                yield Asked(self._model, self._words, pixels, len(batch))
            return
        for array in prepared:
            with inference(self._identity.name):
                inputs = self._rule.inputs(array, self._device)
            yield Asked(self._model, self._words, inputs.pop("pixel_values"), 1, inputs)

    def _captions(self, written: Generated, candidates: int) -> Iterator[tuple[WrittenCaption, ...]]:
        pairs = zip(self._texts(written), written.scores.tolist(), strict=True)
        captions = [WrittenCaption(text, float(score)) for text, score in pairs]
        for start in range(0, len(captions), candidates):
            yield tuple(captions[start : start + candidates])

    def _texts(self, written: Generated) -> list[str]:
        return [self._words.decode(row[written.prompt :]) for row in written.ids.tolist()]


_OTHER_MODEL = "name another one with --model (vlsearch models --task caption, or ask, lists them)"


def languages_of(family: Family) -> tuple[str, ...]:
    """Give the BCP 47 tags of what a family writes: all write English."""
    return ("en", *family.translated)


def _looks(checkpoint: Checkpoint, family: Family) -> ImageRule | Looking:
    """Read how a checkpoint sees images."""
    if family.look is not None:
        return family.look(checkpoint)
    return read_image_rule(checkpoint.image_config, family.processor, str(checkpoint.folder))


def _set_generation(model: Any, special_ids: dict[str, int]) -> None:
    """Give the library's generation nothing but special tokens: a checkpoint's own settings are not trusted."""
    from transformers import GenerationConfig

    for module in model.modules():
        if getattr(module, "generation_config", None) is not None:
            module.generation_config = GenerationConfig(**special_ids)


def _likeliest(choices: Sequence[str], log_probabilities: Tensor) -> Iterator[Answer]:
    for row in log_probabilities.softmax(1).tolist():
        yield Answer(choices[row.index(max(row))], tuple(row))
