"""Where the decoder's weights begin: in the space that the encoder's pictures and words share.

A word begins as the encoder's vector of it, and a place as its features through the encoder's own linear map, both
turned to the main directions of the two; the layers that look at places begin by handing on what they see. So a place
that shows a dog is near the word "dog", in both languages, before anything is learned.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from recipes.captioner.decoder import Decoder
from recipes.captioner.features import STEP
from recipes.captioner.texts import SPECIAL
from retrieval.encoders.base import Encoder
from retrieval.encoders.two_tower.features import ImageFeatures

Array = NDArray[np.float32]
_EACH = 60  # one in so many photographs is looked at
_HANDED_ON, _SEEN = 0.3, 0.5  # weight of the identity in what a look gives, and of chance


def begin_in_shared_space(
    decoder: Decoder, encoder: Encoder, tower: ImageFeatures, features: NDArray[np.uint8], words: list[str]
) -> None:
    """Set the weights that begin in the encoder's space.

    Args:
        decoder: changed.
        encoder: whose vectors the words get.
        tower: of the encoder.
        features: of the training photographs.
        words: of the vocabulary, by token.
    """
    width = decoder.shape.width
    vectors = _centred(encoder.encode_texts(words[len(SPECIAL) :]))
    seen = features[::_EACH].reshape(-1, features.shape[2]).astype(np.float32) * np.float32(STEP)
    weight, bias = tower.linear_map
    mapped = (seen @ weight.T + bias).astype(np.float32)
    basis = _directions(np.concatenate([_of_unit_size(vectors), _of_unit_size(_centred(mapped))]), width)
    rows: Array = vectors @ basis
    rows = (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)).astype(np.float32)
    turned, shift = basis.T @ weight, basis.T @ (bias - mapped.mean(0))
    scale = np.float32(1) / np.sqrt(((seen @ turned.T + shift) ** 2).mean())
    with torch.no_grad():
        decoder.words.weight[len(SPECIAL) :] = torch.from_numpy(rows)
        decoder.places.weight.copy_(torch.from_numpy(turned * scale))
        decoder.places.bias.copy_(torch.from_numpy(shift * scale))
        for layer in decoder.layers_over_words():
            layer.look.key_value.weight[width:].mul_(_HANDED_ON).add_(torch.eye(width))
            layer.look.output.weight.mul_(_SEEN).add_(_HANDED_ON * torch.eye(width))


def _centred(rows: Array) -> Array:
    found: Array = rows - rows.mean(0)
    return found


def _of_unit_size(rows: Array) -> Array:
    found: Array = rows / np.sqrt((rows * rows).sum(1).mean())
    return found


def _directions(rows: Array, count: int) -> Array:
    """Give the main directions, (d, count), the strongest first."""
    _, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    return np.ascontiguousarray(vectors[:, ::-1][:, :count])
