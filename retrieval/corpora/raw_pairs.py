"""Raw camera files beside the picture that the camera made of them: one item, whose picture is the camera's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from retrieval.suffixes import CAMERA_SUFFIXES, suffix_of


def raws_beside(pictures: Iterable[str], raws: Sequence[str]) -> dict[str, list[str]]:
    """Find the raw files of one folder that have the stem of a JPEG or HEIC in it, whatever the case of letters.

    Args:
        pictures: names in their order; of two with one stem, the first has the raw files.
        raws: names.

    Returns:
        Raw files by picture, each in the order given.
    """
    by_stem: dict[str, list[str]] = {}
    for raw in raws:
        by_stem.setdefault(_stem(raw), []).append(raw)
    found = {}
    for name in pictures:
        if by_stem and suffix_of(name) in CAMERA_SUFFIXES and (beside := by_stem.pop(_stem(name), None)):
            found[name] = beside
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0].casefold()
