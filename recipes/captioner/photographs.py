"""Flickr8k's photographs and their captions in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recipes.mini.photographs import Photograph, read_set

SETS = ("train", "val")


@dataclass(frozen=True)
class Captions:
    """People's captions of photographs: five in each language of each."""

    english: list[tuple[str, ...]]
    chinese: list[tuple[str, ...]]


def read_photographs(name: str, data: Path) -> list[Photograph]:
    """Read one of ``SETS``; ``data`` holds ``flickr8k``."""
    return read_set(f"flickr_{name}", data)


def captions_of(photographs: list[Photograph]) -> Captions:
    """Give the captions of photographs, in their order."""
    return Captions([one.english for one in photographs], [one.chinese for one in photographs])
