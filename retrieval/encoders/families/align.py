"""ALIGN (Jia et al. 2021, arXiv 2102.05918; ``transformers/models/align``, Kakao Brain's weights).

Texts: BERT's tokenizer, lower-cased by it, at most 64 tokens (``AlignProcessor.text_kwargs``), attention in
both directions with padding masked; the vector is the projected state of [CLS].
Images: EfficientNet's processor: resized to a square, centre crop, and pixels mapped to [-1, 1] by a
rescale with an offset (``convert_align_tf_to_hf.py``: 1/127.5 - 1, bilinear, no normalisation). The image
vector is the pooled feature map as it is: only texts are projected.
"""

from __future__ import annotations

from retrieval.encoders.families.family import Family, fixed_size_images, projection_dim
from retrieval.encoders.families.library_tokens import library_tokens
from retrieval.encoders.families.tokens import Tokens
from retrieval.hub.checkpoint import Checkpoint

CONTEXT = 64


def _tokens(checkpoint: Checkpoint) -> Tokens:
    positions = checkpoint.count("text_config", "max_position_embeddings", 512)
    return library_tokens(checkpoint, min(CONTEXT, positions))


FAMILY = Family(
    name="align",
    architecture="AlignModel",
    attention="masked",
    images=fixed_size_images("EfficientNetImageProcessor"),
    tokens=_tokens,
    dimension=projection_dim(640),
)
