"""MetaCLIP 2, worldwide (Chuang et al. 2025, arXiv 2507.22062; ``transformers/models/metaclip_2``).

Texts: the XLM-V vocabulary through XLM-R's tokenizer, case kept, 77 positions, causal attention; the vector
is the state at the first ``</s>``, id 2 (``MetaClip2TextModel.forward``), so that padding behind it changes
nothing, as in CLIP; but CLIP's rule for checkpoints whose end token is 2 (take the largest id) does not hold
here.
Images: ``CLIPImageProcessor``.
"""

from __future__ import annotations

from retrieval.encoders.families.family import Family, fixed_size_images, projection_dim
from retrieval.encoders.families.library_tokens import library_tokens
from retrieval.encoders.families.tokens import Tokens
from retrieval.hub.checkpoint import Checkpoint


def _tokens(checkpoint: Checkpoint) -> Tokens:
    return library_tokens(checkpoint, checkpoint.count("text_config", "max_position_embeddings", 77))


FAMILY = Family(
    name="metaclip-2",
    architecture="MetaClip2Model",
    attention="causal",
    images=fixed_size_images("CLIPImageProcessor"),
    tokens=_tokens,
    dimension=projection_dim(512),
)
