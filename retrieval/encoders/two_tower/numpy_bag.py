"""The bag-of-words text tower with its projection, in numpy: a query of words need not wait for torch to import.

The arithmetic is :class:`retrieval.encoders.two_tower.text_towers.BagTower`'s; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.config import TextConfig
from retrieval.encoders.two_tower.tokenization import PAD

Array = NDArray[np.float32]

_NORM_EPSILON = 1e-5  # torch's, of LayerNorm
_LOWEST = np.finfo(np.float32).min
_UNIT_EPSILON = 1e-12  # torch's, of functional.normalize


class NumpyBag:
    """Encode padded token ids to unit rows."""

    def __init__(self, weights: Mapping[str, NDArray[np.generic]], config: TextConfig) -> None:
        """Take the text tower's weights from a model's, by the names of its modules.

        Raises:
            KeyError: one is missing.
            ValueError: their shapes do not fit.
        """

        def take(name: str, *shape: int) -> Array:
            value = weights[name]
            if value.shape != shape:
                raise ValueError(f"{name} has the shape {value.shape}, not {shape}")
            return value.astype(np.float32)

        vocabulary, width, hidden = config.vocabulary, config.width, config.hidden
        dimension, inner = len(weights["text_projection.bias"]), config.attention_width
        self._vectors = take("text.vectors.weight", vocabulary, width)
        self._expand = take("text.expand.weight", hidden, width).T, take("text.expand.bias", hidden)
        self._reduce = take("text.reduce.weight", width, hidden).T, take("text.reduce.bias", width)
        self._norm = take("text.norm.weight", width), take("text.norm.bias", width)
        self._heads, self._attention = config.heads, []
        for layer in range(config.attention_layers):
            name = f"text.attention.{layer}"
            norm = take(f"{name}.norm.weight", width), take(f"{name}.norm.bias", width)
            query_key_value = (
                take(f"{name}.query_key_value.weight", 3 * inner, width).T,
                take(f"{name}.query_key_value.bias", 3 * inner),
            )
            output = take(f"{name}.output.weight", width, inner).T, take(f"{name}.output.bias", width)
            self._attention.append((norm, query_key_value, output))
        if self._attention:
            self._positions = take("text.places.weight", config.context, width)
        self._project = (
            take("text_projection.weight", dimension, width).T,
            take("text_projection.bias", dimension),
        )

    def encode(self, ids: NDArray[np.int64]) -> Array:
        """Compute unit rows, (B, D), of padded token ids, (B, T)."""
        mask = ids != PAD
        vectors = self._vectors[ids]
        if self._attention:
            vectors = vectors + self._self_attention(vectors, mask)
        total = (vectors * mask[..., None]).sum(1)
        bag = total / np.sqrt(np.maximum(mask.sum(1, keepdims=True), 1)).astype(np.float32)
        features = _layer_norm(bag + _linear(_gelu(_linear(bag, self._expand)), self._reduce), self._norm)
        rows = _linear(features, self._project)
        unit: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _UNIT_EPSILON)
        return unit

    def _self_attention(self, vectors: Array, mask: NDArray[np.bool_]) -> Array:
        """Compute what the attention layers add, (B, T, width), to sub-word vectors of that shape."""
        texts, length, width = vectors.shape
        states = positioned = vectors + self._positions[:length]
        for norm, query_key_value, output in self._attention:
            rows = _linear(_layer_norm(states.reshape(-1, width), norm), query_key_value)
            query, key, value = rows.reshape(texts, length, 3, self._heads, -1).transpose(2, 0, 3, 1, 4)
            scores = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(query.shape[-1]))
            scores = np.where(mask[:, None, None, :], scores, _LOWEST)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            attended = weights / weights.sum(-1, keepdims=True) @ value
            flat = attended.transpose(0, 2, 1, 3).reshape(texts * length, -1)
            states = states + _linear(flat, output).reshape(texts, length, width)
        added: Array = states - positioned
        return added


def _linear(rows: Array, layer: tuple[Array, Array]) -> Array:
    weight, bias = layer
    if len(rows) == 1:
        # A query: BLAS would use several threads even here, and on a busy machine they wait for each other: 16 ms of
        # CPU and 98 of waiting a text, against 0.3 and 0.5 without them.
        one: Array = np.einsum("bi,io->bo", rows, weight) + bias
        return one
    product: Array = rows @ weight + bias
    return product


def _layer_norm(rows: Array, layer: tuple[Array, Array]) -> Array:
    weight, bias = layer
    centred = rows - rows.mean(1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(1, keepdims=True) + _NORM_EPSILON)
    normal: Array = centred / deviation * weight + bias
    return normal


def _gelu(values: Array) -> Array:
    """Compute GELU (Hendrycks & Gimpel, 2016), exact to 1.5e-7.

    The error function is Abramowitz & Stegun's 7.1.26: numpy has none.
    """
    x = values.astype(np.float64) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1 - series * np.exp(-x * x), x)
    activated: Array = (values * (1 + erf) / 2).astype(np.float32)
    return activated
