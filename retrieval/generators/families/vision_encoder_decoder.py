"""A vision transformer and GPT-2 (``transformers/models/vision_encoder_decoder``).

The published one is nlpconnect/vit-gpt2-image-captioning.
Images: resized to a square of 224 pixels, bilinear, to [-1, 1] (``ViTImageProcessor``). Captions: 4 beams, at most 16
tokens, as on the model's card. The encoder is a ViT or DeiT, the decoder GPT-2; other pairs are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.errors import ModelError
from retrieval.generators.families.family import Asked, Decoding, Family, Generated, model_kind, special_id

if TYPE_CHECKING:
    from retrieval.hub.checkpoint import Checkpoint

CAPTION = Decoding(beams=4, max_length=16)
ENCODERS, DECODERS = ("vit", "deit"), ("gpt2",)
_GPT2_END = 50256


def _special_ids(checkpoint: Checkpoint) -> dict[str, int]:
    end = special_id(checkpoint, None, "eos_token_id", _GPT2_END)
    return {
        "eos_token_id": end,
        "decoder_start_token_id": special_id(checkpoint, None, "decoder_start_token_id", end),
        "pad_token_id": special_id(checkpoint, None, "pad_token_id", end),
    }


def _check(checkpoint: Checkpoint) -> None:
    """Refuse other pairs.

    Raises:
        ModelError: it is one.
    """
    encoder, decoder = model_kind(checkpoint, "encoder"), model_kind(checkpoint, "decoder")
    if encoder not in ENCODERS or decoder not in DECODERS:
        raise ModelError(
            f"{checkpoint.folder}: a pair of {encoder or 'none'} and {decoder or 'none'} is not one that vlsearch can "
            f"use ({' or '.join(ENCODERS)} with {', '.join(DECODERS)}); use another model"
        )


def _describe(asked: Asked, candidates: int) -> Generated:
    found = asked.model.generate(asked.pixels, **CAPTION.arguments(candidates))
    return Generated(found.sequences, found.sequences_scores, 1)


FAMILY = Family(
    name="vision-encoder-decoder",
    architecture="VisionEncoderDecoderModel",
    processor="ViTImageProcessor",
    settings={"caption": CAPTION.facts()},
    special_ids=_special_ids,
    describe=_describe,
    check=_check,
)
