"""The table of families, by the ``model_type`` of a checkpoint's ``config.json`` and its architecture."""

from __future__ import annotations

from retrieval.errors import ModelError
from retrieval.generators.families import (
    blip,
    blip_2,
    florence_2,
    git,
    qwen_vl,
    smolvlm,
    vision_encoder_decoder,
)
from retrieval.generators.families.family import Family
from retrieval.hub.checkpoint import Checkpoint

FAMILIES: dict[str, tuple[Family, ...]] = {
    "blip": (blip.CAPTIONS, blip.ANSWERS),
    "blip-2": (blip_2.FAMILY,),
    "florence2": (florence_2.FAMILY,),
    "git": (git.FAMILY,),
    "idefics3": (smolvlm.IDEFICS3,),
    "qwen2_5_vl": (qwen_vl.QWEN2_5_VL,),
    "qwen3_vl": (qwen_vl.QWEN3_VL,),
    "smolvlm": (smolvlm.SMOLVLM,),
    "vision-encoder-decoder": (vision_encoder_decoder.FAMILY,),
}


def family_of(checkpoint: Checkpoint) -> Family:
    """Find the family of a checkpoint.

    Raises:
        ModelError: it is of none.
    """
    kind = str(checkpoint.config.get("model_type", ""))
    families = FAMILIES.get(kind, ())
    named = checkpoint.config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    found = [family for family in families if family.architecture == architecture]
    if not found:
        known = ", ".join(family.architecture for some in FAMILIES.values() for family in some)
        raise ModelError(
            f"{checkpoint.folder}: {architecture or kind or 'a model of no type'} does not write captions or answers "
            f"that vlsearch can ask for ({known}); use another model"
        )
    found[0].check(checkpoint)
    return found[0]
