"""The write side: corpora into collections.

No module has the name of a public function: importing ``indexer.build`` would put the module in the function's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.building import build as build
    from indexer.corpora import Corpus as Corpus
    from indexer.corpora import CorpusOptions as CorpusOptions
    from indexer.corpora import open_corpus as open_corpus
    from indexer.corpora import parse_caption_column as parse_caption_column
    from indexer.diagnosis import Diagnosis as Diagnosis
    from indexer.diagnosis import doctor as doctor
    from indexer.maintenance import delete_items as delete
    from indexer.maintenance import optimize as optimize
    from indexer.report import Progress as Progress
    from indexer.report import Report as Report

_WHERE = {
    "build": ("indexer.building", "build"),
    "Corpus": ("indexer.corpora", "Corpus"),
    "CorpusOptions": ("indexer.corpora", "CorpusOptions"),
    "open_corpus": ("indexer.corpora", "open_corpus"),
    "parse_caption_column": ("indexer.corpora", "parse_caption_column"),
    "Diagnosis": ("indexer.diagnosis", "Diagnosis"),
    "doctor": ("indexer.diagnosis", "doctor"),
    "delete": ("indexer.maintenance", "delete_items"),
    "optimize": ("indexer.maintenance", "optimize"),
    "Progress": ("indexer.report", "Progress"),
    "Report": ("indexer.report", "Report"),
}

__all__ = [
    "Corpus",
    "CorpusOptions",
    "Diagnosis",
    "Progress",
    "Report",
    "build",
    "delete",
    "doctor",
    "open_corpus",
    "optimize",
    "parse_caption_column",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: torch and faiss are slow to come up."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value  # the next use finds it without asking
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
