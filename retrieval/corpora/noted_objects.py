"""What a collection notes of the objects that a corpus was read from, so that those that stay are not fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_LIMIT = 2**24  # characters: a collection may come from strangers


@dataclass(frozen=True, slots=True)
class NotedObject:
    """An object when it was last read to its end.

    Attributes:
        stamp: size, time and ETag.
        items: digest of all that the collection held of it then.
        left_out: what the reader passed over in it, by kind.
    """

    stamp: str
    items: str
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NotedObjects:
    """The objects of one corpus, as its last whole run noted them.

    Attributes:
        program: version of vlsearch that read them: another may find more in the same bytes.
        spec: how the corpus was read, as JSON of :class:`retrieval.corpora.CorpusSpec`.
        format: that it was read as.
        objects: by uri; those of which a run would find again what the collection holds.
    """

    program: str
    spec: str
    format: str
    objects: Mapping[str, NotedObject]

    def has(self, uri: str, stamp: str) -> bool:
        """Whether an object is as it was noted."""
        return uri in self.objects and self.objects[uri].stamp == stamp

    def to_json(self) -> str:
        """Write it as :meth:`from_json` reads it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> NotedObjects | None:
        """Read one; None for what this version has not written."""
        if len(text) > _LIMIT:
            return None
        try:
            whole = json.loads(text)
            objects = {uri: _noted(one) for uri, one in whole["objects"].items()}
            noted = cls(whole["program"], whole["spec"], whole["format"], objects)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        is_ours = isinstance(noted.spec, str) and isinstance(noted.format, str)
        return noted if is_ours and noted.program == this_program() else None


def this_program() -> str:
    """Give the version of vlsearch that runs; empty where it is not installed."""
    try:
        return version("vlsearch")
    except PackageNotFoundError:
        return ""


def _noted(one: Mapping[str, Any]) -> NotedObject:
    left_out = one["left_out"]
    if not isinstance(one["stamp"], str) or not isinstance(one["items"], str):
        raise TypeError("a stamp or a digest that is not a text")
    if not isinstance(left_out, dict) or not all(type(count) is int for count in left_out.values()):
        raise TypeError("counts that are not numbers")
    return NotedObject(one["stamp"], one["items"], left_out)
