"""The families, by the ``model_type`` of a checkpoint's ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping

from retrieval.encoders.hub import align, altclip, chinese_clip, clip, metaclip_2, siglip, siglip2
from retrieval.encoders.hub.family import Family

FAMILIES: Mapping[str, Family] = {
    "clip": clip.FAMILY,
    "siglip": siglip.FAMILY,
    "siglip2": siglip2.FAMILY,
    "chinese_clip": chinese_clip.FAMILY,
    "altclip": altclip.FAMILY,
    "metaclip_2": metaclip_2.FAMILY,
    "align": align.FAMILY,
}
