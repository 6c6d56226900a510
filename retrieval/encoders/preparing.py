"""Prepare images for an encoder in worker processes: wholly, where the encoder says how, else up to RGB pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from retrieval.decoding.preparations import Cropped, Preparation, Whole, is_preparation, to_json

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.decoding.prepare import PreparedImage
    from retrieval.encoders.base import Encoder
    from retrieval.metadata.sidecars import Described
    from retrieval.types import Location


def prepare_for_encoder(
    pool: DecodePool,
    location: Location,
    encoder: Encoder,
    is_wanted: Callable[[bytes], bool] | None = None,
    described: Described | None = None,
    crop: tuple[float, float, float, float] | None = None,
) -> PreparedImage:
    """Give an image as ``encoder.encode_prepared`` takes it; a worker process reads, hashes, decodes and prepares it.

    Args:
        pool: the worker processes.
        location: where the image's bytes are.
        encoder: one of ours says how it prepares; another prepares here what a worker has decoded.
        is_wanted: asked with the digest of the bytes, before they are decoded.
        described: read the image's metadata too.
        crop: left, top, width and height, in shares of the upright image's, of what is to be encoded; by default all.

    Raises:
        ImageError: as :meth:`retrieval.decoding.pool.DecodePool.prepare`.
    """
    preparation = preparation_of(encoder)
    rule = preparation or Whole(encoder.image_size)
    if crop is not None:
        rule = Cropped(to_json(rule), *crop)
    found = pool.prepare(location, rule, is_wanted, described)
    if preparation is not None or found.array is None:
        return found
    from PIL import Image  # late: brings Pillow, which the run's process needs for nothing else

    return replace(found, array=encoder.prepare_image(Image.fromarray(found.array)))


def preparation_of(encoder: Encoder) -> Preparation | None:
    """Give the rule by which an encoder prepares images; None for one that only its own code can apply."""
    found: Preparation | None = getattr(encoder, "preparation", None)
    return found if is_preparation(found) else None
