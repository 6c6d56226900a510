"""Which files beside an image describe it, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from retrieval.types import StoredObject

SIDECAR_SUFFIXES = (".xmp", ".json")

_TAKEOUT_SUFFIX = ".supplemental-metadata"
_TAKEOUT_CHARACTERS = 46  # of a name before .json, which Takeout cuts there
_KEY_END = re.compile(r"[(.-]")  # where numbers of copies, marks of edited pictures and suffixes begin
_KEY_CHARACTERS = 40  # fewer than are left of a name that is cut
_COPY = re.compile(r"(?P<stem>.*)(?P<number>\(\d+\))(?P<suffix>\.[^.]*)", re.DOTALL)
_EDITED = re.compile(r"-(?:edited|bearbeitet|modifié|editado|已编辑|已編輯)(?=\.[^.]*$|\(\d+\)\.[^.]*$)")


@dataclass(frozen=True, slots=True)
class Described:
    """Where more is said of an image than in its own bytes.

    Attributes:
        name: of its file, for the date that may be in it.
        sidecars: files or objects beside it that describe it; a worker process takes files alone.
    """

    name: str = ""
    sidecars: tuple[Path | StoredObject, ...] = ()


def sidecars_of(image: str, there: Mapping[str, str]) -> list[str]:
    """List the names of files that describe an image.

    ``x.xmp`` and ``x.jpg.xmp`` describe ``x.jpg``, and so do the JSON files of Google Takeout, whose names are cut
    and whose numbers of copies stand elsewhere than the image's own.

    Args:
        image: its name.
        there: the files with a sidecar's suffix in the same folder, by :func:`folded` names.
    """
    stem = image.rpartition(".")[0]
    names = [f"{image}.xmp", f"{stem}.xmp", *_takeout_names(image)]
    found = (there.get(folded(name)) for name in names)
    return list(dict.fromkeys(name for name in found if name is not None))


def sidecar_key(name: str) -> str:
    """Give what the names of an image and of all its sidecars begin with: most images are ruled out by it at once."""
    return _KEY_END.split(folded(name), maxsplit=1)[0][:_KEY_CHARACTERS]


def folded(name: str) -> str:
    """Fold a file name as names are compared: without regard to case."""
    return name.casefold()


def by_folded_name(names: Iterable[str]) -> dict[str, str]:
    """Index names for :func:`sidecars_of`."""
    return {folded(name): name for name in sorted(names, reverse=True)}


def _takeout_names(image: str) -> list[str]:
    original = _EDITED.sub("", image)
    copy = _COPY.fullmatch(original)
    name, number = (copy["stem"] + copy["suffix"], copy["number"]) if copy else (original, "")
    names = []
    for long in (name + _TAKEOUT_SUFFIX, name):
        names.append(f"{long[:_TAKEOUT_CHARACTERS]}{number}.json")
    if number:
        names.append(f"{original[:_TAKEOUT_CHARACTERS]}.json")
    return [*names, f"{(name + '.suppl')[:_TAKEOUT_CHARACTERS]}{number}.json"]
