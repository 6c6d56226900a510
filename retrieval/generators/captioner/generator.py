"""A captioner as a generator: an encoder's features of places, the decoder's words, the encoder's second look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Encoder
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.registry import resolve as resolve_encoder
from retrieval.encoders.two_tower.features import ImageFeatures
from retrieval.errors import ModelError, UsageError
from retrieval.generators.base import (
    Answer,
    GeneratorIdentity,
    Task,
    WrittenCaption,
    canonical,
    check_candidates,
)
from retrieval.generators.captioner.beam import Found, search
from retrieval.generators.captioner.config import Language
from retrieval.generators.captioner.folder import CaptionerFolder, open_folder
from retrieval.generators.captioner.transformer import Transformer

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.decoding.preparations import Preparation

FAMILY = "captioner"
_CUT_OFF = re.compile(r" ('(?:s|re|ve|ll|d|m)|n't)(?= |$)")
_OTHER_MODEL = "name another one with --model (vlsearch models --task ask lists them)"


def load_captioner(folder: Path, name: str | None = None) -> Captioner:
    """Load the captioner in a folder, with the encoder whose features it reads.

    Args:
        folder: holds config.json, model.safetensors and vocabulary.json.
        name: what the identity calls it; the absolute folder by default.

    Raises:
        ModelError: a file is missing, damaged or of another model, or belongs to another encoder.
    """
    opened = open_folder(folder)
    config = opened.config
    spec = resolve_encoder(config.encoder)
    if spec.kind != "bundled":  # a file may name anything: only what comes with vlsearch is opened for it
        raise ModelError(
            f"{folder} reads the features of {config.encoder!r:.80}, which does not come with vlsearch"
        )
    features = ImageFeatures(Path(spec.place))
    if features.digest != config.encoder_weights:
        raise ModelError(
            f"{folder} was trained on other weights of {config.encoder} than this vlsearch has; train it again "
            "(recipes/captioner)"
        )
    if features.size != config.features:
        raise ModelError(
            f"{folder} reads {config.features} features of a place, {spec.name} has {features.size}"
        )
    return Captioner(opened, features, load_encoder(spec.name), name)


class Captioner:
    """Captions by a small decoder, as :class:`retrieval.generators.base.Generator`.

    Each image is computed by itself, so that its captions do not depend on its neighbours.

    Args:
        folder: the decoder.
        features: the encoder's features of places.
        encoder: the encoder, which scores what was written.
        name: what the identity calls it; the absolute folder by default.
    """

    tasks: tuple[Task, ...] = ("caption",)

    def __init__(
        self, folder: CaptionerFolder, features: ImageFeatures, encoder: Encoder, name: str | None = None
    ) -> None:
        self._folder, self._features, self._encoder = folder, features, encoder
        self._transformer = Transformer(folder.config, folder.weights)
        config = folder.config
        settings = {
            "encoder": config.encoder_weights,
            "decoding": asdict(config.decoding),
            "languages": {tag: asdict(its) for tag, its in config.languages.items()},
        }
        self._identity = GeneratorIdentity(
            name or str(folder.path.absolute()), FAMILY, folder.digest, "", canonical(settings)
        )

    @property
    def identity(self) -> GeneratorIdentity:
        """See :class:`retrieval.generators.base.Generator`."""
        return self._identity

    @property
    def languages(self) -> tuple[str, ...]:
        """See :class:`retrieval.generators.base.Generator`."""
        return tuple(self._folder.config.languages)

    @property
    def preparation(self) -> Preparation:
        """See :class:`retrieval.generators.base.Generator`."""
        return self._features.preparation

    def describe(
        self, images: Sequence[Image], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        """See :class:`retrieval.generators.base.Generator`."""
        return self.describe_prepared([self.preparation.prepare(image) for image in images], lang, candidates)

    def describe_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], lang: str | None = None, candidates: int = 1
    ) -> list[tuple[WrittenCaption, ...]]:
        """See :class:`retrieval.generators.base.Generator`."""
        language = self._language(lang)
        check_candidates(candidates)
        return [self._described(image, language, candidates) for image in prepared]

    def answer(
        self, images: Sequence[Image], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        """Refuse: it writes captions.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self._identity.name} writes captions and answers no questions; {_OTHER_MODEL}")

    def answer_prepared(
        self, prepared: Sequence[NDArray[np.uint8]], question: str, choices: Sequence[str] | None = None
    ) -> list[Answer]:
        """Refuse, as :meth:`answer`."""
        return self.answer((), question, choices)

    def _language(self, lang: str | None) -> Language:
        languages = self._folder.config.languages
        tag = next(iter(languages)) if lang is None else lang.split("-")[0].lower()
        if tag not in languages:
            writes = " and ".join(languages)
            raise UsageError(
                f"{self._identity.name} writes {writes}, not {lang!r:.40}; name one of them with --lang"
            )
        return languages[tag]

    def _described(
        self, image: NDArray[np.uint8], language: Language, candidates: int
    ) -> tuple[WrittenCaption, ...]:
        decoding = self._folder.config.decoding
        with np.errstate(all="ignore"):  # weights that overflow show in the scores
            places = self._features.places(image[None])
            memory = self._transformer.memory(places[0])
            found = search(self._transformer, memory, language, decoding, max(candidates, decoding.beams))
            captions = self._weighed(found, self._features.rows(places)[0], language)
        if not captions or not all(np.isfinite(one.score) for one in captions):
            raise ModelError(f"{self._identity.name} cannot write: its weights are damaged")
        return tuple(captions[:candidates])

    def _weighed(
        self, found: Sequence[Found], row: NDArray[np.float32], language: Language
    ) -> list[WrittenCaption]:
        """Order captions by their scores and their agreement with the image; each text once."""
        words, weight = self._folder.vocabulary, self._folder.config.decoding.agreement
        texts = [_joined([words[token] for token in one.tokens], language) for one in found]
        agreement = (
            self._encoder.encode_texts(texts, batch_size=1) @ row
            if weight and texts
            else np.zeros(len(texts))
        )
        best: dict[str, float] = {}
        for text, one, cosine in zip(texts, found, agreement.tolist(), strict=True):
            best[text] = max(one.score + weight * cosine, best.get(text, -np.inf))
        return [
            WrittenCaption(text, score) for text, score in sorted(best.items(), key=lambda pair: -pair[1])
        ]


def _joined(words: Sequence[str], language: Language) -> str:
    """Write words as a text; what the Penn Treebank cuts off (man 's, do n't) is joined again."""
    return _CUT_OFF.sub(r"\1", language.joiner.join(words))
