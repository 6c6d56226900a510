"""Florence-2 (Xiao et al. 2024, arXiv 2311.06242; ``transformers/models/florence2``).

Its weights as transformers 5 reads them are those of the organisation florence-community; Microsoft's own repositories
have code of their own, which never runs here. Images: resized to a square of 768 pixels, bicubic, ImageNet's mean and
deviation (``CLIPImageProcessor`` without a crop). The encoder reads the image's places and then the words of the task
``<CAPTION>``; the decoder writes with 3 beams, no sequence of three tokens twice, ending early (the checkpoints'
``generation_config.json``), at most 64 tokens. Questions are not among the tasks that its processor knows.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from retrieval.generators.families.family import Asked, Decoding, Family, Generated, special_ids

if TYPE_CHECKING:
    from retrieval.hub.checkpoint import Checkpoint

PROMPT = "What does the image describe?"  # of the task <CAPTION>
CAPTION = Decoding(beams=3, max_length=64, after_prompt=True, no_repeat=3, early_stopping=True)
LONGEST_PROMPT = 32  # tokens


def _special_ids(checkpoint: Checkpoint) -> dict[str, int]:
    ids = special_ids(
        checkpoint,
        "text_config",
        {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "decoder_start_token_id": 2},
    )
    return ids | {"forced_bos_token_id": ids["bos_token_id"], "forced_eos_token_id": ids["eos_token_id"]}


def _describe(asked: Asked, candidates: int) -> Generated:
    config, special = asked.model.config, asked.model.generation_config
    begun = [
        *[config.image_token_id] * _places(asked),
        special.bos_token_id,
        *asked.words.encode(PROMPT, LONGEST_PROMPT, special=False),
        special.eos_token_id,
    ]
    found = asked.model.generate(
        pixel_values=asked.pixels, input_ids=asked.repeated(begun), **CAPTION.arguments(candidates)
    )
    return Generated(found.sequences, found.sequences_scores, 1)


def _places(asked: Asked) -> int:
    """Count what stands for the image: the places of the last convolution, and their mean."""
    vision = asked.model.config.vision_config
    sides = list(asked.pixels.shape[2:])
    layers = zip(vision.patch_size, vision.patch_stride, vision.patch_padding, strict=True)
    for kernel, stride, padding in layers:
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in sides]
    return prod(sides) + 1


FAMILY = Family(
    name="florence-2",
    architecture="Florence2ForConditionalGeneration",
    processor="CLIPImageProcessor",
    settings={"prompt": PROMPT, "caption": CAPTION.facts()},
    special_ids=_special_ids,
    describe=_describe,
)
