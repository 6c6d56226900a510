"""The transformer of a captioner in numpy: features of places to a memory, and words one after another.

Layers are normalised before they are computed (Xiong et al., 2020); a test holds the arithmetic to torch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.numpy_products import product_of_few
from retrieval.generators.captioner.config import END, CaptionerConfig, Language

Array = NDArray[np.float32]
Weights = Mapping[str, Array]
KeysValues = tuple[Array, Array]
Memory = list[KeysValues]
"""What words look at, by layer: keys and values of an image's places, (1, heads, places, width / heads)."""

_NORM_EPSILON = 1e-5  # torch's, of LayerNorm


@dataclass(slots=True)
class WordStates:
    """Keys and values of the words written so far, (rows, heads, words, width / heads), by layer."""

    layers: list[KeysValues]

    def of(self, rows: NDArray[np.int64]) -> WordStates:
        """Give those of some rows, in that order; a row may come more than once."""
        return WordStates([(keys[rows], values[rows]) for keys, values in self.layers])


class Transformer:
    """Compute a captioner's log-probabilities.

    Args:
        config: what the weights are.
        weights: float32, of the names and shapes of :meth:`CaptionerConfig.weight_shapes`.
    """

    def __init__(self, config: CaptionerConfig, weights: Weights) -> None:
        self._config, self._weights = config, weights
        self._outputs: dict[Language, tuple[Array, Array]] = {}

    def memory(self, features: Array) -> Memory:
        """Compute what words look at, of an image's features, (places, features)."""
        given = (
            self._norm("place_norm", self._linear("places", features[None]))
            + self._weights["place_positions"]
        )
        for layer in range(self._config.place_layers):
            name = f"place_layers.{layer}"
            given = given + self._attend(f"{name}.attention", given)
            given = given + self._feed(f"{name}.feed", given)
        given = self._norm("memory_norm", given)
        found = []
        for layer in range(self._config.word_layers):
            keys, values = self._heads(self._linear(f"word_layers.{layer}.look.key_value", given), 2)
            found.append((keys, values))
        return found

    def begin(self) -> WordStates:
        """Give the states before the first token of a caption."""
        config = self._config
        none = np.zeros((1, config.heads, 0, config.width // config.heads), np.float32)
        return WordStates([(none, none)] * config.word_layers)

    def next_words(
        self, tokens: NDArray[np.int64], states: WordStates, memory: Memory, language: Language
    ) -> tuple[Array, WordStates]:
        """Give the log-probabilities of what follows, (k, 1 + words), the end first, and the states behind it.

        Args:
            tokens: (k,), the last one of each of k captions of an image.
            states: of the captions before it.
            memory: of the image.
            language: whose words may follow.
        """
        place = states.layers[0][0].shape[2]
        given = self._weights["words.weight"][tokens] * np.float32(self._config.width**0.5)
        given = (given + self._weights["word_positions"][place])[:, None]
        behind = []
        for layer, ((keys, values), (place_keys, place_values)) in enumerate(
            zip(states.layers, memory, strict=True)
        ):
            name = f"word_layers.{layer}"
            new = self._linear(
                f"{name}.attention.query_key_value", self._norm(f"{name}.attention.norm", given)
            )
            query, key, value = self._heads(new, 3)
            keys, values = np.concatenate([keys, key], 2), np.concatenate([values, value], 2)
            behind.append((keys, values))
            looked = _attention(query, keys, values)
            given = given + self._linear(f"{name}.attention.output", looked)
            asked = self._linear(f"{name}.look.query", self._norm(f"{name}.look.norm", given))
            (query,) = self._heads(asked, 1)
            looked = _attention(query, place_keys, place_values)
            given = given + self._linear(f"{name}.look.output", looked)
            given = given + self._feed(f"{name}.feed", given)
        weight, bias = self._output(language)
        logits = product_of_few(self._norm("word_norm", given)[:, 0], weight.T) + bias
        return _log_softmax(logits), WordStates(behind)

    def _output(self, language: Language) -> tuple[Array, Array]:
        """Give the rows of the vocabulary that may follow in a language, and what is added."""
        if language not in self._outputs:
            rows = np.r_[END, language.first : language.stop]
            self._outputs[language] = self._weights["words.weight"][rows], self._weights["word_bias"][rows]
        return self._outputs[language]

    def _attend(self, name: str, given: Array) -> Array:
        inward = self._linear(f"{name}.query_key_value", self._norm(f"{name}.norm", given))
        query, keys, values = self._heads(inward, 3)
        return self._linear(f"{name}.output", _attention(query, keys, values))

    def _feed(self, name: str, given: Array) -> Array:
        wide = self._linear(f"{name}.widen", self._norm(f"{name}.norm", given))
        return self._linear(f"{name}.narrow", np.maximum(wide, 0))

    def _linear(self, name: str, given: Array) -> Array:
        flat = product_of_few(given.reshape(-1, given.shape[-1]), self._weights[f"{name}.weight"].T)
        flat += self._weights[f"{name}.bias"]
        found: Array = flat.reshape(*given.shape[:-1], flat.shape[-1])
        return found

    def _norm(self, name: str, given: Array) -> Array:
        centred = given - given.mean(-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(_NORM_EPSILON))
        found: Array = centred / deviation * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return found

    def _heads(self, given: Array, parts: int) -> Array:
        """Split (n, t, parts * width) into (parts, n, heads, t, width / heads)."""
        rows, length, _ = given.shape
        return given.reshape(rows, length, parts, self._config.heads, -1).transpose(2, 0, 3, 1, 4)


def _attention(query: Array, keys: Array, values: Array) -> Array:
    """Attend (n, heads, t, h) to all of (n, heads, s, h); give (n, t, heads * h)."""
    scores: Array = query @ keys.swapaxes(2, 3) * np.float32(query.shape[-1] ** -0.5)
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    found: Array = (scores @ values).transpose(0, 2, 1, 3)
    return found.reshape(*found.shape[:2], -1)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found
