"""The write side: corpora into collections."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.build import build as build
    from indexer.corpora import CorpusOptions as CorpusOptions
    from indexer.corpora import parse_caption_column as parse_caption_column
    from indexer.doctor import Diagnosis as Diagnosis
    from indexer.doctor import doctor as doctor
    from indexer.maintenance import delete_items as delete
    from indexer.maintenance import optimize as optimize
    from indexer.report import Progress as Progress
    from indexer.report import Report as Report

_WHERE = {
    "build": ("indexer.build", "build"),
    "CorpusOptions": ("indexer.corpora", "CorpusOptions"),
    "parse_caption_column": ("indexer.corpora", "parse_caption_column"),
    "Diagnosis": ("indexer.doctor", "Diagnosis"),
    "doctor": ("indexer.doctor", "doctor"),
    "delete": ("indexer.maintenance", "delete_items"),
    "optimize": ("indexer.maintenance", "optimize"),
    "Progress": ("indexer.report", "Progress"),
    "Report": ("indexer.report", "Report"),
}

__all__ = [
    "CorpusOptions",
    "Diagnosis",
    "Progress",
    "Report",
    "build",
    "delete",
    "doctor",
    "optimize",
    "parse_caption_column",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: torch and faiss are slow to come up."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(importlib.import_module(module), attribute)
