"""The captioned images of a corpus, in order, before any of them is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from retrieval.errors import ImageError
from retrieval.locations.fetch import stamp
from retrieval.types import CorpusImage, Entry, Failure


class Caption(NamedTuple):
    """A caption of an image.

    Attributes:
        lang: its language, or an empty string.
        text: its words, without blanks at either end; equal words are the same content, whatever image they
            came with.
        row: its place among all captions of the corpus, from 0: the row of a teacher's file.
    """

    lang: str
    text: str
    row: int


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """An image with its captions; ``row`` is its place among all images of the corpus, from 0."""

    image: CorpusImage
    captions: tuple[Caption, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The captioned images of a corpus.

    Attributes:
        entries: one per image, in the order of first appearance; none is without captions.
        failures: items that failed.
        images: how many images the corpus has, those without captions included.
        captions: how many captions its images have.
    """

    entries: tuple[CaptionedImage, ...]
    failures: tuple[Failure, ...]
    images: int
    captions: int

    def split(self, share: float, seed: int) -> tuple[Listing, Listing]:
        """Split the images at random: the rest, and about ``share`` of them (one at least)."""
        order = np.random.default_rng((seed, 0)).permutation(len(self.entries))
        held_out = set(order[: max(1, round(share * len(order)))].tolist())
        kept = tuple(one for place, one in enumerate(self.entries) if place not in held_out)
        held = tuple(one for place, one in enumerate(self.entries) if place in held_out)
        return (
            Listing(kept, self.failures, self.images, self.captions),
            Listing(held, (), self.images, self.captions),
        )

    def digest(self) -> str:
        """Compute a sha256 (hex) over names, captions and the files' sizes and times: equal where nothing changed."""
        whole = hashlib.sha256()
        for one in self.entries:
            try:
                mark = stamp(one.image.location)
            except ImageError as error:
                mark = str(error)
            whole.update(json.dumps([one.image.uri, mark, one.row, one.captions]).encode() + b"\n")
        return whole.hexdigest()


def list_corpus(entries: Iterable[Entry | Failure]) -> Listing:
    """Read a corpus to its end; join entries of the same image (by uri), leave out empty captions."""
    images: dict[str, tuple[CorpusImage, list[Caption]]] = {}
    failures: list[Failure] = []
    captions = 0
    for entry in entries:
        if isinstance(entry, Failure):
            failures.append(entry)
        elif entry.image is not None:
            _, own = images.setdefault(entry.image.uri, (entry.image, []))
            for text in entry.texts:
                if words := text.text.strip():
                    own.append(Caption(text.lang or "", words, captions))
                captions += 1
    listed = tuple(
        CaptionedImage(image, tuple(own), row) for row, (image, own) in enumerate(images.values()) if own
    )
    return Listing(listed, tuple(failures), len(images), captions)


def languages_of(captions: Iterable[Sequence[Caption]]) -> list[str]:
    """List the languages of captions, sorted; an empty string for captions without one."""
    return sorted({caption.lang for own in captions for caption in own})
