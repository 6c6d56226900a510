"""Untrusted bytes to an upright RGB picture, within limits; the content decides the format, never the name."""

from retrieval.images.upright import MAX_ASPECT, Decoded, decode, decode_whole

__all__ = ["MAX_ASPECT", "Decoded", "decode", "decode_whole"]
