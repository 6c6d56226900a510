"""Frozen values that the read side and the write side share; docs/architecture.md explains the terms."""

from __future__ import annotations

from retrieval.types.entries import CorpusImage, CorpusText, Entry, Failure
from retrieval.types.hits import LEAST_PROBABILITY, MODES, VERDICTS, Hit, Hits, Mode, SecondLook, Verdict
from retrieval.types.items import (
    KINDS,
    ORIGINS,
    Attribute,
    Box,
    HiddenItem,
    ImageText,
    Item,
    Kind,
    LinkedText,
    Origin,
    Region,
    Scalar,
)
from retrieval.types.locations import (
    CellBytes,
    FileBytes,
    InlineBytes,
    Limits,
    Location,
    MemberBytes,
    PartBytes,
    UrlBytes,
    part_of,
)
from retrieval.types.progress import OnProgress, Progress, ignore_progress
from retrieval.types.request import SORTS, After, Distinct, Request, Sort

__all__ = [
    "KINDS",
    "LEAST_PROBABILITY",
    "MODES",
    "ORIGINS",
    "SORTS",
    "VERDICTS",
    "After",
    "Attribute",
    "Box",
    "CellBytes",
    "CorpusImage",
    "CorpusText",
    "Distinct",
    "Entry",
    "Failure",
    "FileBytes",
    "HiddenItem",
    "Hit",
    "Hits",
    "ImageText",
    "InlineBytes",
    "Item",
    "Kind",
    "Limits",
    "LinkedText",
    "Location",
    "MemberBytes",
    "Mode",
    "OnProgress",
    "Origin",
    "PartBytes",
    "Progress",
    "Region",
    "Request",
    "Scalar",
    "SecondLook",
    "Sort",
    "UrlBytes",
    "Verdict",
    "ignore_progress",
    "part_of",
]
