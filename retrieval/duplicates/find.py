"""Duplicates of a collection: read in one generation, looked at, and put into groups; nothing is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.catalogue_items import ItemRow
from retrieval.collection.filters.fields import bytes_of
from retrieval.duplicates.fingerprinting import fingerprints
from retrieval.duplicates.groups import (
    CLASSES,
    DuplicateClass,
    DuplicateCopy,
    DuplicateGroup,
    group_of,
)
from retrieval.duplicates.same_moment import WITHIN_S, same_moments, seconds_of
from retrieval.duplicates.same_picture import Prints, same_picture_groups, stack, turned_otherwise
from retrieval.errors import UsageError
from retrieval.locations.extents import location_of
from retrieval.moments import video_of
from retrieval.types import Limits, OnProgress, ignore_progress

if TYPE_CHECKING:
    from retrieval.collection import Collection

DEFAULT_LIMITS = Limits()
_STAMP = re.compile(
    r"[0-9]+:(?P<modified>[0-9]{1,19})(?![0-9])"
)  # size and time, as retrieval.locations makes it


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found.

    Attributes:
        groups: those of the same bytes first, then of the same picture, then of the same moment; in each by item id.
        images: pictures that were looked at, hidden ones left out.
        failed: different pictures whose files could not be looked at, so that edited copies of them are not found.
        kept: groups left out because all of them are to be kept.
    """

    groups: tuple[DuplicateGroup, ...]
    images: int
    failed: int
    kept: int


def find_duplicates(
    collection: Collection,
    *,
    classes: Sequence[DuplicateClass] = CLASSES,
    within_s: float = WITHIN_S,
    with_kept: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: OnProgress = ignore_progress,
) -> Duplicates:
    """Find the duplicates among the pictures of a collection that are not hidden.

    A group of one class has copies of that class alone: of equal files the best stands for all in the other two, and
    of equal pictures the best in the last. Pictures are looked at where the cache does not know them.

    Args:
        collection: it is only read.
        classes: which of ``bytes``, ``picture`` and ``moment`` to look for.
        within_s: seconds between two pictures of one moment, at most.
        with_kept: also give groups that are to be kept, all of them.
        limits: what is accepted of a picture.
        on_progress: called as pictures are looked at.

    Raises:
        UsageError: ``within_s`` is negative or no number, or a class is none of the three.
    """
    names = _checked_classes(classes)
    if not within_s >= 0:
        raise UsageError(f"pictures of one moment lie {within_s} seconds apart; give 0 or more")
    rows, vectors, kept = _read(collection)
    by_content: dict[bytes, list[ItemRow]] = {}
    for row in rows:
        by_content.setdefault(row.sha256, []).append(row)
    equal = [group_of("bytes", map(_copy, same)) for same in by_content.values() if len(same) > 1]
    best = {group.copies[0].sha256: group.copies[0].id for group in equal}
    contents = [row for row in rows if best.get(row.sha256.hex(), row.id) == row.id and row.sha256 in vectors]
    matrix = np.stack([vectors[row.sha256] for row in contents]) if contents else np.empty((0, 1), np.float32)
    del vectors  # a hundred thousand take 200 MB, and are in the matrix now
    groups = equal if "bytes" in names else []
    failed = 0
    of_picture: list[list[int]] = []
    shares: dict[int, float] = {}
    turned: set[int] = set()
    if not {"picture", "moment"}.isdisjoint(names):
        prints, shares, failed = _looked_at(contents, limits, on_progress)
        of_picture = same_picture_groups(prints, matrix)
        turned = turned_otherwise(prints, of_picture)

    def copies(numbers: Iterable[int]) -> list[DuplicateCopy]:
        return [
            replace(
                _copy(contents[number]),
                inner_share=shares.get(contents[number].id, 1.0),
                is_turned=number in turned,
            )
            for number in numbers
        ]

    pictures = [group_of("picture", copies(numbers)) for numbers in of_picture]
    if "picture" in names:
        groups = [*groups, *pictures]
    if "moment" in names:
        worse = {copy.id for group in pictures for copy in group.copies[1:]}
        alone = [number for number, row in enumerate(contents) if row.id not in worse]
        seconds = [seconds_of(_attributes(contents[number]).get("taken")) for number in alone]
        of_moment = same_moments(seconds, matrix[alone], within_s)
        groups = [
            *groups,
            *(group_of("moment", copies(alone[at] for at in numbers)) for numbers in of_moment),
        ]
    wanted = groups if with_kept else [group for group in groups if not is_kept(group, kept)]
    return Duplicates(tuple(wanted), len(rows), failed, len(groups) - len(wanted))


def _checked_classes(classes: str | Sequence[str]) -> list[str]:
    """Give the classes to look for; one by itself is one, and not its letters."""
    names = [classes] if isinstance(classes, str) else list(classes)
    for name in names:
        if name not in CLASSES:
            raise UsageError(f"{name!r} is no class of duplicates; choose among {', '.join(CLASSES)}")
    return names


def is_kept(group: DuplicateGroup, kept: Sequence[frozenset[bytes]]) -> bool:
    """Whether somebody decided to keep all copies of a group.

    Args:
        group: of copies.
        kept: the contents of each decision, by sha256.
    """
    digests = {bytes.fromhex(copy.sha256) for copy in group.copies}
    # equal files are kept by a decision on that content alone: one on edited copies says nothing of equal files
    return any(digests == one if group.duplicates == "bytes" else digests <= one for one in kept)


def _read(
    collection: Collection,
) -> tuple[list[ItemRow], dict[bytes, NDArray[np.float32]], list[frozenset[bytes]]]:
    """Read, in one generation, the pictures that are not hidden, their vectors by content, and what is to be kept."""
    rows: list[ItemRow] = []
    vectors: dict[bytes, NDArray[np.float32]] = {}
    with collection.reading() as view:
        for page in view.pages("image"):
            # frames of one video are alike, and no copies
            shown = [row for row in page if not view.hides(row.id) and video_of(row.uri) is None]
            new = {row.sha256: row.encoding for row in shown if row.encoding is not None}
            new = {digest: encoding for digest, encoding in new.items() if digest not in vectors}
            if new:
                vectors.update(zip(new, view.vectors("image", list(new.values())), strict=True))
            rows += shown
        return rows, vectors, view.kept_duplicates()


def _looked_at(
    contents: Sequence[ItemRow], limits: Limits, on_progress: OnProgress
) -> tuple[Prints, dict[int, float], int]:
    """Give the fingerprints of pictures, their inner shares by item, and how many could not be looked at."""
    seen = fingerprints(
        {row.sha256: location_of(row.uri, row.extent) for row in contents}, limits, on_progress
    )
    found = {
        number: seen.found[row.sha256] for number, row in enumerate(contents) if row.sha256 in seen.found
    }
    shares = {contents[number].id: one.inner_share for number, one in found.items()}
    return stack(found), shares, seen.failed


def _copy(row: ItemRow) -> DuplicateCopy:
    attributes = _attributes(row)
    taken = attributes.get("taken")
    return DuplicateCopy(
        row.id,
        row.uri,
        row.key,
        row.sha256.hex(),
        row.width,
        row.height,
        bytes_of(row.stamp, row.extent),
        taken if isinstance(taken, str) else None,
        len(attributes),
        has_camera=bool(attributes.get("camera")),
        modified=_modified(row),
    )


def _modified(row: ItemRow) -> int | None:
    """Read when a file was last written from its stamp, in ns; None of a part of an archive."""
    found = _STAMP.match(row.stamp) if row.extent is None and row.stamp is not None else None
    return None if found is None else int(found["modified"])


def _attributes(row: ItemRow) -> dict[str, Any]:
    found = json.loads(row.attributes)
    return found if isinstance(found, dict) else {}
