"""Live Photos: a picture and a short video of one name in one folder, of which the picture is the item."""

from __future__ import annotations

from collections.abc import Iterable

from retrieval.suffixes import CAMERA_SUFFIXES, HEIF_SUFFIXES, suffix_of

# An MP4 beside a JPEG is as often a film with its poster; a JPEG beside a MOV is an iPhone's set to "most compatible".
_PICTURES = {".mov": CAMERA_SUFFIXES, ".mp4": HEIF_SUFFIXES}


def live_photo_videos(names: Iterable[str]) -> set[str]:
    """Give the names of one folder that are videos of Live Photos: ``IMG_1.MOV`` where there is an ``IMG_1.HEIC``."""
    listed = list(names)
    videos = [name for name in listed if suffix_of(name) in _PICTURES]
    if not videos:
        return set()
    suffixes: dict[str, set[str]] = {}
    for name in listed:
        suffixes.setdefault(_stem(name), set()).add(suffix_of(name))
    return {name for name in videos if suffixes[_stem(name)] & _PICTURES[suffix_of(name)]}


def _stem(name: str) -> str:
    return name.rpartition(".")[0].casefold()
