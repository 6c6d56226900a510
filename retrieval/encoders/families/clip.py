"""CLIP (Radford et al. 2021, arXiv 2103.00020; ``transformers/models/clip``).

Texts: byte-level BPE, lower-cased by the tokenizer, 77 positions, causal attention. The vector is the state
at the first end-of-text token (``CLIPTextModel.forward``), and no token sees what follows it, so that
padding, which lies behind it, changes nothing: any padded length that holds the text gives the same vector.
Images: short side to 224, bicubic, centre crop, OpenAI's mean and deviation (``CLIPImageProcessor``).
LAION's and MetaCLIP 1's checkpoints in this format are of this family too.
"""

from __future__ import annotations

from retrieval.encoders.families.family import Family, fixed_size_images, projection_dim
from retrieval.encoders.families.library_tokens import library_tokens
from retrieval.encoders.families.tokens import Tokens
from retrieval.hub.checkpoint import Checkpoint


def _tokens(checkpoint: Checkpoint) -> Tokens:
    return library_tokens(checkpoint, checkpoint.count("text_config", "max_position_embeddings", 77))


FAMILY = Family(
    name="clip",
    architecture="CLIPModel",
    attention="causal",
    images=fixed_size_images("CLIPImageProcessor"),
    tokens=_tokens,
    dimension=projection_dim(512),
)
