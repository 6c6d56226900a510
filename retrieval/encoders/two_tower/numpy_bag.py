"""The bag-of-words text tower with its projection, in numpy: a query of words need not wait for torch to import.

The arithmetic is :class:`retrieval.encoders.two_tower.text_towers.BagTower`'s; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.config import TextConfig
from retrieval.encoders.two_tower.numpy_products import product_of_few
from retrieval.encoders.two_tower.numpy_weights import Rows
from retrieval.encoders.two_tower.tokenization import PAD
from retrieval.processor import usable_cores

Array = NDArray[np.float32]

_NORM_EPSILON = 1e-5  # torch's, of LayerNorm
_LOWEST = np.finfo(np.float32).min
_UNIT_EPSILON = 1e-12  # torch's, of functional.normalize
_TEXTS_OF_A_THREAD = 16  # at least: fewer take less time than a thread takes to come up


VECTORS = "text.vectors.weight"


def weight_shapes(config: TextConfig, dimension: int) -> dict[str, tuple[int, ...]]:
    """List the weights of a bag whose vectors have a dimension: shapes, by the names of the torch modules."""
    width, hidden, inner = config.width, config.hidden, config.attention_width
    shapes: dict[str, tuple[int, ...]] = {
        VECTORS: (config.vocabulary, width),
        "text.expand.weight": (hidden, width),
        "text.expand.bias": (hidden,),
        "text.reduce.weight": (width, hidden),
        "text.reduce.bias": (width,),
        "text.norm.weight": (width,),
        "text.norm.bias": (width,),
        "text_projection.weight": (dimension, width),
        "text_projection.bias": (dimension,),
    }
    for layer in range(config.attention_layers):
        name = f"text.attention.{layer}"
        shapes |= {
            f"{name}.norm.weight": (width,),
            f"{name}.norm.bias": (width,),
            f"{name}.query_key_value.weight": (3 * inner, width),
            f"{name}.query_key_value.bias": (3 * inner,),
            f"{name}.output.weight": (width, inner),
            f"{name}.output.bias": (width,),
        }
    if config.attention_layers:
        shapes["text.places.weight"] = (config.context, width)
    return shapes


class NumpyBag:
    """Encode padded token ids to unit rows.

    Args:
        weights: float32, of the shapes that :func:`weight_shapes` gives; each is taken once.
        config: of the text tower.
        vectors: of the sub-words, where they are not taken from ``weights``.
    """

    def __init__(self, weights: Mapping[str, Array], config: TextConfig, vectors: Rows | None = None) -> None:
        self._vectors = weights[VECTORS] if vectors is None else vectors
        self._expand = weights["text.expand.weight"].T, weights["text.expand.bias"]
        self._reduce = weights["text.reduce.weight"].T, weights["text.reduce.bias"]
        self._norm = weights["text.norm.weight"], weights["text.norm.bias"]
        self._heads, self._attention = config.heads, []
        for layer in range(config.attention_layers):
            name = f"text.attention.{layer}"
            norm = weights[f"{name}.norm.weight"], weights[f"{name}.norm.bias"]
            of_queries = f"{name}.query_key_value"
            query_key_value = weights[f"{of_queries}.weight"].T, weights[f"{of_queries}.bias"]
            output = weights[f"{name}.output.weight"].T, weights[f"{name}.output.bias"]
            self._attention.append((norm, query_key_value, output))
        if self._attention:
            self._positions = weights["text.places.weight"]
        self._project = weights["text_projection.weight"].T, weights["text_projection.bias"]

    def encode(self, ids: NDArray[np.int64]) -> Array:
        """Compute unit rows, (B, D), of padded token ids, (B, T); each has the bits that its text has alone.

        Some kernels of OpenBLAS, those for Haswell and Zen, give a row other last bits by the number of rows beside it.
        So products are of one text at a time, whose weights stay in a core's cache, and all else is computed at once.
        """
        parts = min(usable_cores(), len(ids) // _TEXTS_OF_A_THREAD)
        if parts < 2:
            return self._encode(ids)
        with ThreadPoolExecutor(parts) as threads:
            return np.concatenate(list(threads.map(self._encode, np.array_split(ids, parts))))

    def _encode(self, ids: NDArray[np.int64]) -> Array:
        mask = ids != PAD
        vectors = self._vectors[ids]
        if self._attention:
            vectors = vectors + self._self_attention(vectors, mask)
        total = (vectors * mask[..., None]).sum(1)
        bag = total / np.sqrt(np.maximum(mask.sum(1, keepdims=True), 1)).astype(np.float32)
        features = self._of_bag(bag)
        rows = _linear(features, self._project, len(ids))
        unit: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _UNIT_EPSILON)
        return unit

    def _of_bag(self, bag: Array) -> Array:
        expanded = _gelu(_linear(bag, self._expand, len(bag)))
        return _layer_norm(bag + _linear(expanded, self._reduce, len(bag)), self._norm)

    def _self_attention(self, vectors: Array, mask: NDArray[np.bool_]) -> Array:
        """Compute what the attention layers add, (B, T, width), to sub-word vectors of that shape."""
        texts, length, width = vectors.shape
        states = positioned = vectors + self._positions[:length]
        for norm, query_key_value, output in self._attention:
            rows = _linear(_layer_norm(states.reshape(-1, width), norm), query_key_value, texts)
            query, key, value = rows.reshape(texts, length, 3, self._heads, -1).transpose(2, 0, 3, 1, 4)
            scores = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(query.shape[-1]))
            scores = np.where(mask[:, None, None, :], scores, _LOWEST)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            attended = weights / weights.sum(-1, keepdims=True) @ value
            flat = attended.transpose(0, 2, 1, 3).reshape(texts * length, -1)
            states = states + _linear(flat, output, texts).reshape(texts, length, width)
        added: Array = states - positioned
        return added


def _linear(rows: Array, layer: tuple[Array, Array], texts: int) -> Array:
    """Apply a layer to the rows of so many texts, as many of each."""
    weight, bias = layer
    found = np.concatenate([product_of_few(part, weight) for part in np.split(rows, texts)])
    found += bias
    return found


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
