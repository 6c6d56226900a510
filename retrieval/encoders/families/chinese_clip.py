"""Chinese-CLIP (Yang et al. 2022, arXiv 2211.01335; ``transformers/models/chinese_clip``).

Texts: BERT's tokenizer over Chinese characters, at most 52 tokens (``context_length: int = 52`` in
``tokenize`` of ``cn_clip/clip/utils.py``; its 512 positions beyond that were never trained), attention in
both directions with padding masked. There is no pooler: the vector is the projected state of [CLS]
(``get_text_features``).
Images: ``ChineseCLIPImageProcessor``, which is CLIP's; published checkpoints resize to 224x224 without a
crop.
"""

from __future__ import annotations

from retrieval.encoders.families.family import Family, fixed_size_images, projection_dim
from retrieval.encoders.families.library_tokens import library_tokens
from retrieval.encoders.families.tokens import Tokens
from retrieval.hub.checkpoint import Checkpoint

CONTEXT = 52


def _tokens(checkpoint: Checkpoint) -> Tokens:
    positions = checkpoint.count("text_config", "max_position_embeddings", 512)
    return library_tokens(checkpoint, min(CONTEXT, positions))


FAMILY = Family(
    name="chinese-clip",
    architecture="ChineseCLIPModel",
    attention="masked",
    images=fixed_size_images("ChineseCLIPImageProcessor"),
    tokens=_tokens,
    dimension=projection_dim(512),
)
