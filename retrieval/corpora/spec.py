"""How a corpus was named, kept in the collection so that it can be read again without being named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from retrieval.corpora.options import CaptionColumn, CorpusOptions
from retrieval.corpora.shard import Shard
from retrieval.errors import UsageError
from retrieval.uris import is_object_uri

_LIMIT = 2**16  # characters: a collection may come from strangers
_TEXTS = ("format", "image_column", "split", "lang")


@dataclass(frozen=True, slots=True)
class CorpusSpec:
    """What :func:`retrieval.corpora.open_corpus` was called with, whatever the working directory is later.

    Attributes:
        source: the absolute path, or the address in a store; braces and all.
        options: how it was read; paths in it are absolute.
    """

    source: str
    options: CorpusOptions

    def to_json(self) -> str:
        """Write it as :meth:`from_json` reads it; options that say nothing are left out."""
        given = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self.options).items()
            if value != getattr(CorpusOptions(), name)
        }
        return json.dumps({"source": self.source, "options": given}, sort_keys=True)

    def moved(self, path: Callable[[str], str]) -> CorpusSpec:
        """Give the spec after its files were moved; ``path`` gives the path of today for an absolute one."""
        images = self.options.images
        options = replace(self.options, images=None if images is None else Path(path(str(images))))
        return CorpusSpec(self.source if is_object_uri(self.source) else path(self.source), options)

    @classmethod
    def from_json(cls, text: str) -> CorpusSpec | None:
        """Read one; None for what no version has written."""
        if len(text) > _LIMIT:
            return None
        try:
            whole = json.loads(text)
            options = _options(whole["options"])
            source = whole["source"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, UsageError):
            return None
        if not isinstance(source, str) or "\0" in source:
            return None
        is_place = is_object_uri(source) or os.path.isabs(source)  # noqa: PTH117
        return cls(source, options) if is_place else None


def spec_of(source: str, options: CorpusOptions) -> CorpusSpec:
    """Make the spec of a corpus from what the caller said."""
    images = options.images and Path(os.path.abspath(options.images))  # noqa: PTH100  resolve() would follow links
    place = source if is_object_uri(source) else os.path.abspath(source)  # noqa: PTH100
    return CorpusSpec(place, replace(options, images=images))


def _options(given: dict[str, object]) -> CorpusOptions:
    """Check each value: of the right type, or a TypeError."""
    if set(given) - {field.name for field in fields(CorpusOptions)}:
        raise TypeError("an option of a newer version")
    exclude, columns = given.get("exclude", []), given.get("caption_columns", [])
    frames = given.get("frames_per_minute", CorpusOptions().frames_per_minute)
    images, default_excludes = given.get("images"), given.get("default_excludes", True)
    texts = {name: given.get(name) for name in _TEXTS}
    if (
        not isinstance(exclude, list)
        or not isinstance(columns, list)
        or not all(isinstance(glob, str) for glob in exclude)
        or not all(value is None or isinstance(value, str) for value in (*texts.values(), images))
        or not isinstance(default_excludes, bool)
        or isinstance(frames, bool)
        or not isinstance(frames, int | float)
    ):
        raise TypeError("an option of another type")
    return CorpusOptions(
        format=_text(texts["format"]),
        image_column=_text(texts["image_column"]),
        caption_columns=tuple(CaptionColumn(str(one["name"]), _text(one.get("lang"))) for one in columns),
        images=None if images is None else Path(str(images)),
        split=_text(texts["split"]),
        exclude=tuple(exclude),
        default_excludes=default_excludes,
        frames_per_minute=float(frames),
        lang=_text(texts["lang"]),
        shard=_shard(given.get("shard")),
    )


def _shard(value: object) -> Shard | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"number", "count"}:
        raise TypeError("a shard of another shape")
    if not all(type(one) is int for one in value.values()):
        raise TypeError("a shard that is not two whole numbers")
    return Shard(value["number"], value["count"])


def _text(value: object) -> str | None:
    return None if value is None else str(value)
