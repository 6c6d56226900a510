"""Captions of pictures in files: decoded in limited worker processes, written a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError
from retrieval.generators.base import Generator, WrittenCaption
from retrieval.generators.registry import best_captioner, load_generator
from retrieval.locations.named import locate_named, uri_named
from retrieval.types import Limits, Location, OnProgress, Progress, ignore_progress

BATCH = 8
DECODED_AHEAD = 2 * BATCH


@dataclass(frozen=True, slots=True)
class CaptionedPicture:
    """A picture, and the captions that were written of it, the best first; or why there is none.

    Attributes:
        uri: of the picture.
        captions: one or more; none where it failed.
        failure: the reason, in one clause; None where there are captions.
    """

    uri: str
    captions: tuple[WrittenCaption, ...]
    failure: str | None = None


def caption_images(
    images: Sequence[str | Path],
    model: Generator | str | Path | None = None,
    *,
    lang: str | None = None,
    candidates: int = 1,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[CaptionedPicture]:
    """Write captions of the pictures in files, in their order; a picture that cannot be decoded has its reason.

    Args:
        images: paths of files; a text may also name a picture in a file, as ``list`` and ``query`` print it
            (``scan.pdf#page=2``, ``photos.tar#a.jpg``), or be a uri.
        model: a generator, or a name or folder to load one from; by default the best on this machine.
        lang: BCP 47 tag; the model's first language by default.
        candidates: captions of each picture.
        limits: what is accepted of a picture.
        on_progress: called after each batch.

    Raises:
        UsageError: the model writes no captions, or not in that language, or so many candidates.
        ModelError: the model is not on this machine, or cannot be loaded.
        MissingExtra: it needs the extra ``models``, which is not installed.
    """
    generator = captioner(model)
    pairs = [(uri_named(image), image) for image in images]
    return caption_locations(
        generator, pairs, lang=lang, candidates=candidates, limits=limits, on_progress=on_progress
    )


def captioner(model: Generator | str | Path | None) -> Generator:
    """Load a generator of captions by its name; None is the best on this machine.

    Raises:
        ModelError: it cannot be loaded.
        MissingExtra: it needs the extra ``models``, which is not installed.
    """
    if model is None:
        return load_generator(best_captioner())
    return load_generator(model) if isinstance(model, str | Path) else model


def caption_locations(
    generator: Generator,
    pictures: Sequence[tuple[str, Location | str | Path]],
    *,
    lang: str | None = None,
    candidates: int = 1,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[CaptionedPicture]:
    """Write captions of pictures by their uris and locations, or by names; see :func:`caption_images`."""
    tell = on_progress or ignore_progress
    generator.describe_prepared([], lang, candidates)  # refuses what it cannot do before anything is decoded
    done = failed = 0
    waiting: list[tuple[str, PreparedImage | ImageError]] = []
    with DecodePool(limits or Limits()) as pool:

        def read(picture: tuple[str, Location | str | Path]) -> PreparedImage:
            place = picture[1]
            location = locate_named(place) if isinstance(place, str | Path) else place
            return pool.prepare(location, generator.preparation)

        for (uri, _), outcome in map_in_order(read, pictures, pool.workers, DECODED_AHEAD, Event()):
            waiting.append((uri, outcome))
            done += 1
            failed += isinstance(outcome, ImageError)
            if len(waiting) == BATCH or done == len(pictures):
                yield from _written(generator, waiting, lang, candidates)
                waiting = []
                tell(Progress("writing captions", done, len(pictures), failed))


def _written(
    generator: Generator,
    outcomes: Sequence[tuple[str, PreparedImage | ImageError]],
    lang: str | None,
    candidates: int,
) -> Iterator[CaptionedPicture]:
    arrays = [
        found.array for _, found in outcomes if not isinstance(found, ImageError) and found.array is not None
    ]
    captions = iter(generator.describe_prepared(arrays, lang, candidates))
    for uri, found in outcomes:
        if isinstance(found, ImageError):
            yield CaptionedPicture(uri, (), str(found))
        else:
            yield CaptionedPicture(uri, next(captions))
