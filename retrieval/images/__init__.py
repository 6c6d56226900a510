"""Decode untrusted bytes to an upright RGB image, within limits; the content decides the format, never the name."""

from retrieval.images.upright import MAX_ASPECT, Decoded, decode, decode_whole

__all__ = ["MAX_ASPECT", "Decoded", "decode", "decode_whole"]
