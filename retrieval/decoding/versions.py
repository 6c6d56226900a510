"""Names and versions of the installed decoders, as one text that changes when they do."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from retrieval.decoding.process import installed_folders

GATE = 1
"""Version of :mod:`retrieval.images`; raised when images that it refused may be taken from then on."""

_PACKAGES = ("pillow", "pillow-heif", "pypdfium2", "rawpy", "pillow-jxl-plugin", "av")


@cache
def decoder_versions() -> str:
    """Give names and versions of what decodes images, absent packages included, without importing any."""
    folders = installed_folders()
    found = dict.fromkeys(_PACKAGES, "none")
    for name in _PACKAGES:
        for distribution in metadata.distributions(name=name, path=folders):
            found[name] = distribution.version
            break
    return ",".join([*(f"{name}={version}" for name, version in found.items()), f"gate={GATE}"])
