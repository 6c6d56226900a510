"""What a protocol fixes, and the checks that keep one from being mistaken for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import EvaluationSet, with_first_captions, with_folds
from retrieval.types import CorpusImage, FileBytes, Location
from retrieval.uris import file_uri

Captions = Literal["all", "first5"]


@dataclass(frozen=True, slots=True)
class Size:
    """Published counts of one split; ``texts`` is None where they depend on a choice (a language)."""

    images: int
    texts: int | None


@dataclass(frozen=True, slots=True)
class Protocol:
    """A published way to evaluate.

    Attributes:
        name: on the command line.
        title: for people.
        source: the paper or page that fixes it.
        layout: the files that it is loaded from.
        denominators: what each figure is divided by.
        split: the one that papers report.
        sizes: by split, where counts are published.
        mistakes: image counts that give away a known mix-up, with the sentence for it.
        headline: the figures that papers print.
        images: where its images come from.
    """

    name: str
    title: str
    source: str
    layout: str
    denominators: str
    split: str
    sizes: Mapping[str, Size]
    headline: tuple[str, ...]
    images: str
    mistakes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProtocolOptions:
    """What a user may choose; None is the protocol's own choice."""

    images: Path | None = None
    split: str | None = None
    captions: Captions = "all"
    folds: int | None = None
    language: str | None = None


def check_sizes(protocol: Protocol, split: str, loaded: EvaluationSet, place: Path) -> EvaluationSet:
    """Return ``loaded`` after checking its counts against the published ones.

    Raises:
        EvaluationError: they are not; the sentence names both, and the mix-up where it is a known one.
    """
    size = protocol.sizes.get(split)
    if size is None:
        return loaded
    images, texts = len(loaded.images), len(loaded.texts)
    found = f"{place} holds {images:,} pictures and {texts:,} captions"
    wanted = f"the {split} split of {protocol.title} is {size.images:,} pictures" + (
        f" and {size.texts:,} captions" if size.texts is not None else ""
    )
    if images != size.images:
        mistake = protocol.mistakes.get(images)
        reason = f"; {mistake}" if mistake else f"; it is read from {protocol.layout}"
        raise EvaluationError(f"{found}, but {wanted}{reason}")
    if size.texts is not None and texts != size.texts:
        reason = (
            "this file has one caption a picture, and figures from it cannot be compared; take the file "
            "with all of them"
            if texts == images
            else f"captions are missing or too many; it is read from {protocol.layout}"
        )
        raise EvaluationError(f"{found}, but {wanted}; {reason}")
    return loaded


def as_chosen(whole: EvaluationSet, options: ProtocolOptions) -> EvaluationSet:
    """Apply the user's choice of captions and folds to a checked evaluation set."""
    some = with_first_captions(whole, 5) if options.captions == "first5" else whole
    return with_folds(some, options.folds) if options.folds is not None else some


def unknown_split(protocol: Protocol, split: str, place: Path, there: Sequence[str]) -> EvaluationError:
    """Make the error for a split that a file does not have."""
    listed = ", ".join(there) or "no splits"
    return EvaluationError(
        f"{place} has no split {split!r}, it has {listed}; {protocol.title} is reported on {protocol.split!r}"
    )


def locate_images(
    protocol: Protocol, names: Sequence[Sequence[str]], images: Path | None, beside: Path
) -> list[Location]:
    """Find the files of images, each under one of the names that it may have, best first.

    Args:
        protocol: for the sentence.
        names: relative names of each image; none may leave the folder.
        images: the folder, or None for that of the annotations, ``beside``, and ``images`` in it.
        beside: the folder of the annotations.

    Raises:
        EvaluationError: the folder or images in it are missing: with fewer images it would be another
            protocol.
    """
    folders = (images,) if images is not None else (beside, beside / "images")
    if images is not None and not images.is_dir():
        raise EvaluationError(
            f"{images} is not a folder; give the folder of {protocol.images} with --images DIR"
        )
    found, missing = [], []
    for candidates in names:
        paths = [folder / name for folder in folders for name in candidates if _stays_inside(name)]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            missing.append(candidates[0])
        else:
            found.append(FileBytes(path))
    if missing:
        raise EvaluationError(
            f"{len(missing):,} of the {len(names):,} pictures of {protocol.title} are missing below "
            f"{folders[0]}, the first "
            f"is {missing[0]}; it needs {protocol.images} (--images DIR), since fewer pictures would be "
            f"easier to rank"
        )
    return list(found)


def _stays_inside(name: str) -> bool:
    return not PurePath(name).is_absolute() and ".." not in PurePath(name).parts


def image_of_protocol(location: Location, key: str) -> CorpusImage:
    """Make a CorpusImage; its uri is its file's, or is made from ``key`` if it has no file."""
    uri = file_uri(location.path) if isinstance(location, FileBytes) else f"picture:{key}"
    return CorpusImage(uri, location, key)
