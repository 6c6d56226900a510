"""The configuration of a captioner: frozen values that are read from and written to ``config.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import ModelError
from retrieval.json_files import read_object

MODEL_TYPE = "vlsearch-captioner"
CONFIG_BYTES = 2**20
END, UNKNOWN = 0, 1
"""Tokens that every vocabulary begins with: the end of a caption, and a word that is not in it (never written)."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language of a captioner.

    Attributes:
        begin: token that a caption in it begins with.
        first: its first word's token.
        stop: one more than its last word's.
        joiner: what stands between two words: a space, or nothing.
    """

    begin: int
    first: int
    stop: int
    joiner: str


@dataclass(frozen=True, slots=True)
class Decoding:
    """How captions are searched for.

    Attributes:
        beams: of the search.
        most: words of a caption.
        length_power: of a caption's length, by which its summed log-probability is divided.
        agreement: weight of the cosine of the picture's and the caption's vectors by the encoder, added to that.
    """

    beams: int
    most: int
    length_power: float
    agreement: float


@dataclass(frozen=True, slots=True)
class CaptionerConfig:
    """A transformer that reads the features of places and writes words.

    Attributes:
        encoder: name of the encoder whose features it reads.
        encoder_weights: sha256 (hex) of that encoder's weights and tokenizer.
        features: numbers of a place.
        places: of an image.
        vocabulary: tokens of all languages.
        width: of the transformer.
        heads: of its attentions.
        hidden: width of its feed-forward layers.
        place_layers: layers over the places.
        word_layers: layers over the words.
        context: most tokens of a caption.
        languages: by BCP 47 tags, the first one by default.
        decoding: the search.
    """

    encoder: str
    encoder_weights: str
    features: int
    places: int
    vocabulary: int
    width: int
    heads: int
    hidden: int
    place_layers: int
    word_layers: int
    context: int
    languages: Mapping[str, Language]
    decoding: Decoding

    def to_json(self) -> str:
        """Write ``config.json``, as text."""
        facts = {"model_type": MODEL_TYPE, **asdict(self)}
        return json.dumps(facts, indent=2, sort_keys=False) + "\n"

    @classmethod
    def load(cls, path: Path) -> CaptionerConfig:
        """Read ``config.json``.

        Raises:
            ModelError: it is missing, damaged or of another model.
        """
        try:
            facts = read_object(path, CONFIG_BYTES)
            if facts.pop("model_type", None) != MODEL_TYPE:
                raise ModelError(
                    f"{path} is not the configuration of a captioner; give its folder to --model"
                )
            languages = {tag: Language(**its) for tag, its in facts.pop("languages").items()}
            config = cls(languages=languages, decoding=Decoding(**facts.pop("decoding")), **facts)
            _check(config)
            return config
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror}; give a complete model folder") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is damaged ({error}); copy the model folder again") from error

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """List the weights: shapes, by names."""
        shapes: dict[str, tuple[int, ...]] = {
            "place_positions": (self.places, self.width),
            "words.weight": (self.vocabulary, self.width),
            "word_bias": (self.vocabulary,),
            "word_positions": (self.context, self.width),
        }
        shapes |= _linear("places", self.features, self.width)
        for norm in ("place_norm", "memory_norm", "word_norm"):
            shapes |= _norm(norm, self.width)
        for layer in range(self.place_layers):
            shapes |= self._attention(f"place_layers.{layer}.attention") | self._feed(
                f"place_layers.{layer}.feed"
            )
        for layer in range(self.word_layers):
            name = f"word_layers.{layer}"
            shapes |= self._attention(f"{name}.attention") | self._feed(f"{name}.feed")
            shapes |= _norm(f"{name}.look.norm", self.width) | _linear(
                f"{name}.look.query", self.width, self.width
            )
            shapes |= _linear(f"{name}.look.key_value", self.width, 2 * self.width)
            shapes |= _linear(f"{name}.look.output", self.width, self.width)
        return shapes

    def _attention(self, name: str) -> dict[str, tuple[int, ...]]:
        inward = _linear(f"{name}.query_key_value", self.width, 3 * self.width)
        return _norm(f"{name}.norm", self.width) | inward | _linear(f"{name}.output", self.width, self.width)

    def _feed(self, name: str) -> dict[str, tuple[int, ...]]:
        wide = _linear(f"{name}.widen", self.width, self.hidden)
        return _norm(f"{name}.norm", self.width) | wide | _linear(f"{name}.narrow", self.hidden, self.width)


def _linear(name: str, given: int, out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, given), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


_RANGES = {
    "features": (1, 2**16),
    "places": (1, 2**12),
    "vocabulary": (3, 2**17),
    "width": (1, 2**13),
    "heads": (1, 256),
    "hidden": (1, 2**15),
    "place_layers": (0, 64),
    "word_layers": (1, 64),
    "context": (2, 512),
}
"""Lowest and highest value of each whole number."""
_MOST_BEAMS, _MOST_LANGUAGES, _LONGEST_NAME = 16, 64, 200


def _check(config: CaptionerConfig) -> None:
    """Refuse values of another type or out of range; a file may say anything.

    Raises:
        ValueError: says which.
    """
    for name, (low, high) in _RANGES.items():
        _check_whole(name, getattr(config, name), low, high)
    if config.width % config.heads:
        raise ValueError(f"width is {config.width}, which is not divisible by {config.heads} heads")
    for name in ("encoder", "encoder_weights"):
        value = getattr(config, name)
        if type(value) is not str or not 0 < len(value) <= _LONGEST_NAME:
            raise ValueError(f"{name} is not a name")
    decoding = config.decoding
    _check_whole("beams", decoding.beams, 1, _MOST_BEAMS)
    _check_whole("most", decoding.most, 1, config.context)
    _check_number("length_power", decoding.length_power, 0, 4)
    _check_number("agreement", decoding.agreement, 0, 1000)
    if not 1 <= len(config.languages) <= _MOST_LANGUAGES:
        raise ValueError(f"it has {len(config.languages)} languages")
    for tag, language in config.languages.items():
        _check_language(tag, language, config.vocabulary)


def _check_language(tag: str, language: Language, vocabulary: int) -> None:
    _check_whole(f"begin of {tag!r:.40}", language.begin, UNKNOWN + 1, vocabulary - 1)
    _check_whole(f"first of {tag!r:.40}", language.first, UNKNOWN + 1, vocabulary - 1)
    _check_whole(f"stop of {tag!r:.40}", language.stop, language.first + 1, vocabulary)
    if language.joiner not in ("", " "):
        raise ValueError(f"joiner of {tag!r:.40} is neither a space nor nothing")
    if not 0 < len(tag) <= _LONGEST_NAME:
        raise ValueError("a language has no tag")


def _check_whole(name: str, value: Any, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.80}, not a whole number from {low} to {high}")


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.80}, not a number from {low} to {high}")
