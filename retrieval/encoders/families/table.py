"""The table of families, by the ``model_type`` of a checkpoint's ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping

from retrieval.encoders.families import align, altclip, chinese_clip, clip, metaclip_2, siglip, siglip2
from retrieval.encoders.families.family import Family
from retrieval.errors import ModelError
from retrieval.hub.checkpoint import Checkpoint

FAMILIES: Mapping[str, Family] = {
    "clip": clip.FAMILY,
    "siglip": siglip.FAMILY,
    "siglip2": siglip2.FAMILY,
    "chinese_clip": chinese_clip.FAMILY,
    "altclip": altclip.FAMILY,
    "metaclip_2": metaclip_2.FAMILY,
    "align": align.FAMILY,
}


def family_of(checkpoint: Checkpoint) -> Family:
    """Find the family of a checkpoint.

    Raises:
        ModelError: its model type is of none.
    """
    kind = str(checkpoint.config.get("model_type", ""))
    if kind not in FAMILIES:
        raise ModelError(
            f"{checkpoint.folder}: model type {kind or 'none'} is not one that vlsearch can use "
            f"(vlsearch-two-tower, {', '.join(FAMILIES)})"
        )
    return FAMILIES[kind]
