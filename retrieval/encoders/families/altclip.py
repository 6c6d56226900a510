"""AltCLIP (Chen et al. 2022, arXiv 2211.06679; ``transformers/models/altclip``).

Texts: XLM-R's tokenizer, case kept, at most 77 tokens (FlagAI calls it with ``max_length=77``, the length of
the CLIP text tower that it was distilled from), attention in both directions with padding masked, positions
counted from the padding id. The vector is the first token's state after its own layer norm and linear map
(``AltCLIPTextModel``), projected.
Images: ``CLIPImageProcessor``.
"""

from __future__ import annotations

from retrieval.encoders.families.family import Family, fixed_size_images, projection_dim
from retrieval.encoders.families.library_tokens import library_tokens
from retrieval.encoders.families.tokens import Tokens
from retrieval.hub.checkpoint import Checkpoint

CONTEXT = 77


def _tokens(checkpoint: Checkpoint) -> Tokens:
    first = checkpoint.count("text_config", "pad_token_id", 1) + 1  # RoBERTa counts positions from there
    positions = checkpoint.count("text_config", "max_position_embeddings", 514)
    return library_tokens(checkpoint, min(CONTEXT, positions - first))


FAMILY = Family(
    name="altclip",
    architecture="AltCLIPModel",
    attention="masked",
    images=fixed_size_images("CLIPImageProcessor"),
    tokens=_tokens,
    dimension=projection_dim(768),
)
