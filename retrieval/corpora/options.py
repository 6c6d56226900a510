"""What a caller may say about a corpus, and how the command line spells it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from retrieval.corpora.shard import Shard
from retrieval.errors import UsageError
from retrieval.moments import FRAMES_PER_MINUTE

SPELLINGS = {
    "image_column": "--image-column",
    "caption_columns": "--caption-column",
    "images": "--images",
    "split": "--split",
    "exclude": "--exclude",
    "default_excludes": "--no-default-excludes",
    "frames_per_minute": "--frames-per-minute",
}
"""How the command line spells the fields of :class:`CorpusOptions` that not every format takes."""

TABLE_OPTIONS = frozenset({"image_column", "caption_columns", "images"})
"""Fields of :class:`CorpusOptions` that mean something for a table with named columns."""

LEAST_FRAMES, MOST_FRAMES = 0.01, 600.0
"""The range of ``frames_per_minute``."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")  # the shape of a BCP 47 tag: en, zh-Hans


@dataclass(frozen=True, slots=True)
class CaptionColumn:
    """A column of a table, or a key of JSON, that holds captions; and their language, where known."""

    name: str
    lang: str | None = None


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """How to read a corpus; what is left None or empty is recognised from the corpus, or not used.

    Attributes:
        format: the name of one of :data:`retrieval.corpora.FORMATS`, instead of recognising it.
        image_column: column that holds the images' paths or URLs.
        caption_columns: columns that hold captions; naming any replaces the default ones.
        images: folder that image names in a file count from, and may not leave; by default the file's own.
        split: splits of a Karpathy JSON to read, separated by commas.
        exclude: globs of what to leave out of a folder (see :mod:`retrieval.corpora.exclude`).
        default_excludes: leave hidden files and folders, thumbnails and waste baskets out, too.
        frames_per_minute: frames of a minute of a video that become items, at most.
        lang: language of captions whose column names none, a BCP 47 tag.
        shard: the part of the corpus to take; by default all of it.

    Raises:
        UsageError: a language is not spelt like a BCP 47 tag, or ``frames_per_minute`` is out of its range.
    """

    format: str | None = None
    image_column: str | None = None
    caption_columns: tuple[CaptionColumn, ...] = ()
    images: Path | None = None
    split: str | None = None
    exclude: tuple[str, ...] = ()
    default_excludes: bool = True
    frames_per_minute: float = FRAMES_PER_MINUTE
    lang: str | None = None
    shard: Shard | None = None

    def __post_init__(self) -> None:
        if not LEAST_FRAMES <= self.frames_per_minute <= MOST_FRAMES:
            raise UsageError(
                f"frames_per_minute is {self.frames_per_minute:g}; choose {LEAST_FRAMES:g} to {MOST_FRAMES:g}"
            )
        for lang in (self.lang, *(column.lang for column in self.caption_columns)):
            if lang is not None and not _LANGUAGE.fullmatch(lang):
                raise UsageError(f"{lang!r} is not a language tag; write one such as en, zh or pt-BR")


def parse_caption_column(spelling: str) -> CaptionColumn:
    """Parse ``NAME[:LANG]``, as in ``captions_zh:zh``.

    Only what is spelt like a language tag after the last colon is one, so ``dc:title`` is a name; a colon at
    the end closes a name that would be misread (``dc:en:`` is the column ``dc:en``).

    Raises:
        UsageError: there is no name.
    """
    name, colon, lang = spelling.rpartition(":")
    if not colon or (lang and not _LANGUAGE.fullmatch(lang)):
        name, lang = spelling, ""
    if not name:
        raise UsageError(
            f"caption column {spelling!r} has no name; write NAME or NAME:LANG, as in captions_zh:zh"
        )
    return CaptionColumn(name, lang or None)
