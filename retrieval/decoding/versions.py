"""Which decoders are installed, in words that change when they do."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from retrieval.decoding.process import installed_folders

GATE = 1
"""Counts changes of :mod:`retrieval.images` after which a picture that was refused may be taken."""

_PACKAGES = ("pillow", "pillow-heif")


@cache
def decoder_versions() -> str:
    """Names and versions of what decodes pictures, absent packages included, without importing any."""
    folders = installed_folders()
    found = dict.fromkeys(_PACKAGES, "none")
    for name in _PACKAGES:
        for distribution in metadata.distributions(name=name, path=folders):
            found[name] = distribution.version
            break
    return ",".join([*(f"{name}={version}" for name, version in found.items()), f"gate={GATE}"])
