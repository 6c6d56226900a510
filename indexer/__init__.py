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
    from indexer.deletion import Deleted as Deleted
    from indexer.deletion import delete_items as delete
    from indexer.diagnosis import Diagnosis as Diagnosis
    from indexer.diagnosis import doctor as doctor
    from indexer.evaluation import classify as classify
    from indexer.evaluation import evaluate as evaluate
    from indexer.exporting import Exported as Exported
    from indexer.exporting import export_collection as export_collection
    from indexer.hiding import hide_items as hide
    from indexer.hiding import unhide_items as unhide
    from indexer.importing import Imported as Imported
    from indexer.importing import import_collection as import_collection
    from indexer.items import ItemWriter as ItemWriter
    from indexer.items import open_writer as open_writer
    from indexer.maintenance import optimize as optimize
    from indexer.reindexing import Reindexed as Reindexed
    from indexer.reindexing import reindex as reindex
    from indexer.report import Progress as Progress
    from indexer.report import Report as Report
    from indexer.training.augment import Augmentation as Augmentation
    from indexer.training.entry import train as train
    from indexer.training.hub import Lora as Lora
    from indexer.training.loop import Saving as Saving
    from indexer.training.recipe import Recipe as Recipe
    from indexer.training.run import Trained as Trained
    from indexer.training.start import FromModel as FromModel
    from indexer.training.start import NewTwoTower as NewTwoTower

_WHERE = {
    "Augmentation": ("indexer.training.augment", "Augmentation"),
    "Corpus": ("indexer.corpora", "Corpus"),
    "CorpusOptions": ("indexer.corpora", "CorpusOptions"),
    "Deleted": ("indexer.deletion", "Deleted"),
    "Diagnosis": ("indexer.diagnosis", "Diagnosis"),
    "Exported": ("indexer.exporting", "Exported"),
    "FromModel": ("indexer.training.start", "FromModel"),
    "Imported": ("indexer.importing", "Imported"),
    "ItemWriter": ("indexer.items", "ItemWriter"),
    "Lora": ("indexer.training.hub", "Lora"),
    "NewTwoTower": ("indexer.training.start", "NewTwoTower"),
    "Progress": ("indexer.report", "Progress"),
    "Recipe": ("indexer.training.recipe", "Recipe"),
    "Reindexed": ("indexer.reindexing", "Reindexed"),
    "Report": ("indexer.report", "Report"),
    "Saving": ("indexer.training.loop", "Saving"),
    "Trained": ("indexer.training.run", "Trained"),
    "build": ("indexer.building", "build"),
    "classify": ("indexer.evaluation", "classify"),
    "delete": ("indexer.deletion", "delete_items"),
    "doctor": ("indexer.diagnosis", "doctor"),
    "evaluate": ("indexer.evaluation", "evaluate"),
    "export_collection": ("indexer.exporting", "export_collection"),
    "hide": ("indexer.hiding", "hide_items"),
    "import_collection": ("indexer.importing", "import_collection"),
    "open_corpus": ("indexer.corpora", "open_corpus"),
    "open_writer": ("indexer.items", "open_writer"),
    "optimize": ("indexer.maintenance", "optimize"),
    "parse_caption_column": ("indexer.corpora", "parse_caption_column"),
    "reindex": ("indexer.reindexing", "reindex"),
    "train": ("indexer.training.entry", "train"),
    "unhide": ("indexer.hiding", "unhide_items"),
}

__all__ = [
    "Augmentation",
    "Corpus",
    "CorpusOptions",
    "Deleted",
    "Diagnosis",
    "Exported",
    "FromModel",
    "Imported",
    "ItemWriter",
    "Lora",
    "NewTwoTower",
    "Progress",
    "Recipe",
    "Reindexed",
    "Report",
    "Saving",
    "Trained",
    "build",
    "classify",
    "delete",
    "doctor",
    "evaluate",
    "export_collection",
    "hide",
    "import_collection",
    "open_corpus",
    "open_writer",
    "optimize",
    "parse_caption_column",
    "reindex",
    "train",
    "unhide",
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
