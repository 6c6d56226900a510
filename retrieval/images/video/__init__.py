"""Untrusted videos: the key frames worth keeping, and one of them decoded to upright RGB; needs the extra ``video``."""
