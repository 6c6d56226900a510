"""What metadata an image's attributes came from, kept in its stamp: so that the next run sees what has changed.

A stamp says by which sizes and times the image's file and its sidecars are unchanged; behind it, ``m1=`` and the names
of the attributes that metadata gave, which the corpus did not. An item of an older collection has no such part, and its
image is read once more, though not encoded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from retrieval.errors import ImageError
from retrieval.locations.fetch import stamp
from retrieval.metadata.attributes import RULES
from retrieval.metadata.sidecars import Described
from retrieval.types import (
    Attribute,
    CorpusImage,
    FileBytes,
    MemberBytes,
    ObjectBytes,
    PartBytes,
    StoredObject,
    UrlBytes,
)

_MARK = " m1="


def described(image: CorpusImage) -> Described:
    """Say where metadata of an image is to be read beside its bytes."""
    location = image.location
    if isinstance(location, FileBytes | PartBytes):
        return Described(location.path.name, image.sidecars)
    name = location.name if isinstance(location, MemberBytes | ObjectBytes) else ""
    return Described(name.rpartition("/")[2], image.sidecars)


def stamp_of_files(image: CorpusImage) -> str | None:
    """Make the part of a stamp that tells whether an image's bytes or its sidecars have changed; None as for bytes.

    Raises:
        ImageError: the image's file is gone.
    """
    own = stamp(image.location)
    if own is None or not image.sidecars:
        return own
    return " ".join([own, *(_stamp_of_sidecar(one) for one in image.sidecars)])


def _stamp_of_sidecar(path: Path | StoredObject) -> str:
    if isinstance(path, StoredObject):
        return path.stamp
    try:
        return stamp(FileBytes(path)) or ""
    except ImageError:
        return "gone"


def whole_stamp(files: str | None, names: Collection[str] | None) -> str | None:
    """Make the stamp that the catalogue keeps."""
    return files if files is None or names is None else f"{files}{_MARK}{','.join(names)}"


def joined(
    image: CorpusImage, metadata: Mapping[str, Attribute] | None
) -> tuple[dict[str, Attribute], list[str] | None]:
    """Join what metadata says of an image with what the corpus says, which counts more.

    Returns:
        The attributes, and the names of those by metadata; None where metadata were not read.
    """
    if metadata is None:
        return dict(image.attributes), None
    return {**metadata, **image.attributes}, [name for name in metadata if name not in image.attributes]


def is_unchanged(
    image: CorpusImage, files: str | None, kept: str | None, known: Mapping[str, Attribute]
) -> bool:
    """Whether an image need not be read, neither for its pixels nor for its metadata.

    Args:
        image: as the corpus lists it.
        files: its stamp now.
        kept: the catalogue's stamp.
        known: the attributes of the item.
    """
    before, names = _split(kept)
    if files is None or before != files:
        return False
    if names is None:
        return isinstance(image.location, UrlBytes)  # what was downloaded is not downloaded for this
    # what the corpus said in place of the metadata until now, only the file can tell
    return not any(name in RULES and name not in names and name not in image.attributes for name in known)


def by_metadata(kept: str | None, known: Mapping[str, Attribute]) -> dict[str, Attribute] | None:
    """Give those of an item's attributes that metadata gave; None where metadata were never read."""
    _, names = _split(kept)
    return None if names is None else {name: known[name] for name in names if name in known}


def files_of(kept: str | None) -> str:
    """Give the part of a stamp that the catalogue keeps which tells whether bytes or sidecars have changed."""
    return _split(kept)[0]


def _split(kept: str | None) -> tuple[str, list[str] | None]:
    files, mark, names = (kept or "").partition(_MARK)
    return files, [name for name in names.split(",") if name] if mark else None
