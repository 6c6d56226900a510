"""BLIP's image-text matching (Li et al. 2022, arXiv 2201.12086; ``BlipForImageTextRetrieval``).

The published order is that of ``train_retrieval.py`` (``evaluation``; github.com/salesforce/BLIP): the logit of "match"
(ITM), of a text encoder that sees the image's patches, plus the cosine of the two projections (ITC), of one that does
not. Both read the text of ``data/utils.py`` (``pre_caption``): lower case, without some marks, at most 30 words and 35
tokens. ITM's first token is ``[ENC]``, with which it was trained, and not BERT's ``[CLS]``, which the library's example
has; ITC's is ``[CLS]``. Images: a square of 384 pixels, bicubic, OpenAI's mean and deviation (``BlipImageProcessor``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.decoding.image_rule import ImageRule
from retrieval.errors import ModelError, UsageError
from retrieval.hub.checkpoint import Checkpoint, read_checkpoint
from retrieval.hub.inference import inference
from retrieval.hub.library_model import load_model
from retrieval.hub.pixels import pixels_of
from retrieval.hub.processor_config import read_image_rule
from retrieval.hub.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

ARCHITECTURE = "BlipForImageTextRetrieval"
LONGEST_TEXT = 35  # tokens
MOST_WORDS = 30
_MARKS = re.compile(r"[.!\"()*#:;~]")
_DECODER_TOKEN, _VOCABULARY = 30522, 30524  # BERT's 30,522 pieces, then [DEC] and [ENC]


def load_blip_reranker(folder: Path, name: str | None = None, device: str | None = None) -> BlipReranker:
    """Load the checkpoint of a local folder, in float32.

    Args:
        folder: holds config.json, preprocessor_config.json, the tokenizer and safetensors.
        name: what it is called; the absolute folder by default.
        device: as torch names it; the CPU by default.

    Raises:
        ModelError: a file is missing, damaged or refused, or the device cannot be had.
    """
    folder = folder.absolute()
    checkpoint = read_checkpoint(folder)
    _check_family(checkpoint)
    rule = read_image_rule(checkpoint.image_config, "BlipImageProcessor", str(folder))
    token = _matching_token(checkpoint)
    words = Words(checkpoint)
    model = load_model(checkpoint, ARCHITECTURE, device or "cpu")
    return BlipReranker(name or str(folder), rule, words, model, token, device or "cpu")


class BlipReranker:
    """BLIP's two heads as :class:`retrieval.rerankers.base.Reranker`.

    Args:
        name: what it is called.
        rule: how images are prepared.
        words: its tokenizer.
        model: in float32 and evaluation mode, on ``device``.
        matching_token: id of ``[ENC]``.
        device: as torch names it.
    """

    def __init__(
        self, name: str, rule: ImageRule, words: Words, model: Any, matching_token: int, device: str
    ) -> None:
        self._name, self._rule, self._words = name, rule, words
        self._model, self._token, self._device = model, matching_token, device

    @property
    def name(self) -> str:
        """See :class:`retrieval.rerankers.base.Reranker`."""
        return self._name

    @property
    def preparation(self) -> ImageRule:
        """See :class:`retrieval.rerankers.base.Reranker`."""
        return self._rule

    def check(self, text: str) -> None:
        """See :class:`retrieval.rerankers.base.Reranker`."""
        letters = [character for character in plain(text) if character.isalpha()]
        if letters and not any("a" <= letter <= "z" for letter in letters):
            raise UsageError(f"{self._name} reads English, and {text!r:.80} is not; leave --rerank out")

    def score(self, prepared: NDArray[np.uint8], texts: Sequence[str]) -> list[float]:
        """See :class:`retrieval.rerankers.base.Reranker`; ITM's logit plus ITC's cosine."""
        matching, contrastive = self.heads(prepared, texts)
        scores = [itm + itc for itm, itc in zip(matching, contrastive, strict=True)]
        if not all(map(math.isfinite, scores)):
            raise ModelError(f"{self._name} gives scores that are not numbers; use another model")
        return scores

    def heads(self, prepared: NDArray[np.uint8], texts: Sequence[str]) -> tuple[list[float], list[float]]:
        """Give ITM's logits of "match", and ITC's cosines, of an image with each text, one text at a time."""
        from torch.nn.functional import normalize

        model = self._model
        matching: list[float] = []
        contrastive: list[float] = []
        with inference(self._name):
            patches = model.vision_model(
                pixel_values=pixels_of([prepared], self._rule, self._device)
            ).last_hidden_state
            image = normalize(model.vision_proj(patches[:, 0]), dim=-1)
            for text in texts:
                ids = self._words.encode(plain(text), LONGEST_TEXT)
                row = normalize(model.text_proj(self._read(ids, None)), dim=-1)
                contrastive.append(float((row * image).sum()))
                matching.append(float(model.itm_head(self._read([self._token, *ids[1:]], patches))[0, 1]))
        return matching, contrastive

    def _read(self, ids: list[int], patches: Tensor | None) -> Tensor:
        """Give the first token's state, (1, width), of a text read alone or with an image's patches."""
        import torch

        tokens = torch.tensor([ids], device=self._device)
        seen = (
            None if patches is None else torch.ones(patches.shape[:2], dtype=torch.long, device=self._device)
        )
        read: Tensor = self._model.text_encoder(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            encoder_hidden_states=patches,
            encoder_attention_mask=seen,
        ).last_hidden_state
        return read[:, 0]


def plain(text: str) -> str:
    """Write a text as BLIP was trained on it (``pre_caption``)."""
    words = _MARKS.sub(" ", text.lower()).split()
    return " ".join(words[:MOST_WORDS])


def _check_family(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that does not match images with texts.

    Raises:
        ModelError: it is one.
    """
    named = checkpoint.config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    if checkpoint.config.get("model_type") != "blip" or architecture != ARCHITECTURE:
        what = architecture or checkpoint.config.get("model_type") or "a model of no type"
        raise ModelError(
            f"{checkpoint.folder}: {what} does not re-rank hits ({ARCHITECTURE} does); use another model"
        )


def _matching_token(checkpoint: Checkpoint) -> int:
    """Read the id of ``[ENC]``, which follows the decoder's first token.

    Raises:
        ModelError: the model has no such token.
    """
    token = checkpoint.count("text_config", "bos_token_id", _DECODER_TOKEN) + 1
    vocabulary = checkpoint.count("text_config", "vocab_size", _VOCABULARY)
    if token >= vocabulary:
        raise ModelError(
            f"{checkpoint.folder}: config.json has {vocabulary:,} tokens and no [ENC], which would be number "
            f"{token:,}; download the model again, or use another one"
        )
    return token
