"""The write side: corpora into collections.

No module has the name of a public function: importing ``indexer.build`` would put the module in the function's place.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.accelerating import accelerate as accelerate
    from indexer.accelerating import drop_accelerators as drop_accelerators
    from indexer.albums import delete_album as delete_album
    from indexer.albums import rename_album as rename_album
    from indexer.albums import save_album as save_album
    from indexer.building import build as build
    from indexer.captioning import CaptionsWritten as CaptionsWritten
    from indexer.captioning import write_captions as write_captions
    from indexer.changing_attributes import set_attributes as set_attributes
    from indexer.deletion import Deleted as Deleted
    from indexer.deletion import delete_items as delete
    from indexer.exchange.copying import Copied as Copied
    from indexer.exchange.copying import copy_collection as copy_collection
    from indexer.exchange.exporting import Exported as Exported
    from indexer.exchange.exporting import export_collection as export_collection
    from indexer.exchange.importing import Imported as Imported
    from indexer.exchange.importing import import_collection as import_collection
    from indexer.hiding import hide_items as hide
    from indexer.hiding import unhide_items as unhide
    from indexer.index_request import IndexOptions as IndexOptions
    from indexer.index_request import UpdateOptions as UpdateOptions
    from indexer.items import ItemWriter as ItemWriter
    from indexer.items import open_writer as open_writer
    from indexer.kept_duplicates import forget_kept_items as forget_kept
    from indexer.kept_duplicates import keep_items as keep
    from indexer.merging import merge as merge
    from indexer.pipeline.pace import CommitPace as CommitPace
    from indexer.pipeline.report import RegionsMade as RegionsMade
    from indexer.pipeline.report import Report as Report
    from indexer.ray_building import build_on_ray as build_on_ray
    from indexer.reindexing import Reindexed as Reindexed
    from indexer.reindexing import reindex as reindex
    from indexer.relocating import Relocated as Relocated
    from indexer.relocating import relocate as relocate
    from indexer.store.diagnosis import Diagnosis as Diagnosis
    from indexer.store.diagnosis import doctor as doctor
    from indexer.store.maintenance import optimize as optimize
    from indexer.stored_shards import send_shard as send_shard
    from indexer.tagging import Tagged as Tagged
    from indexer.tagging import tag_items as tag
    from indexer.tagging import untag_items as untag
    from indexer.text_recognition import TextsRead as TextsRead
    from indexer.text_recognition import read_texts as read_texts
    from indexer.text_recognition import reads_text as reads_text
    from indexer.text_recognition import set_reads_text as set_reads_text
    from indexer.training.augment import Augmentation as Augmentation
    from indexer.training.entry import TrainOptions as TrainOptions
    from indexer.training.entry import train as train
    from indexer.training.loop import Saving as Saving
    from indexer.training.recipe import Recipe as Recipe
    from indexer.training.start import FromModel as FromModel
    from indexer.training.start import NewTwoTower as NewTwoTower
    from indexer.training.trainable_hub import Lora as Lora
    from indexer.training.training_run import Trained as Trained
    from indexer.updating import Updated as Updated
    from indexer.updating import update as update
    from indexer.watching import Watching as Watching
    from indexer.watching import watch as watch
    from retrieval.corpora import Corpus as Corpus
    from retrieval.corpora import CorpusOptions as CorpusOptions
    from retrieval.corpora import Shard as Shard
    from retrieval.corpora import open_corpus as open_corpus
    from retrieval.corpora import parse_caption_column as parse_caption_column
    from retrieval.corpora import parse_shard as parse_shard
    from retrieval.types import Progress as Progress

_WHERE = {
    "accelerate": ("indexer.accelerating", "accelerate"),
    "drop_accelerators": ("indexer.accelerating", "drop_accelerators"),
    "Augmentation": ("indexer.training.augment", "Augmentation"),
    "CaptionsWritten": ("indexer.captioning", "CaptionsWritten"),
    "CommitPace": ("indexer.pipeline.pace", "CommitPace"),
    "Copied": ("indexer.exchange.copying", "Copied"),
    "Corpus": ("retrieval.corpora", "Corpus"),
    "CorpusOptions": ("retrieval.corpora", "CorpusOptions"),
    "Deleted": ("indexer.deletion", "Deleted"),
    "Diagnosis": ("indexer.store.diagnosis", "Diagnosis"),
    "Exported": ("indexer.exchange.exporting", "Exported"),
    "FromModel": ("indexer.training.start", "FromModel"),
    "Imported": ("indexer.exchange.importing", "Imported"),
    "IndexOptions": ("indexer.index_request", "IndexOptions"),
    "ItemWriter": ("indexer.items", "ItemWriter"),
    "Lora": ("indexer.training.trainable_hub", "Lora"),
    "NewTwoTower": ("indexer.training.start", "NewTwoTower"),
    "Progress": ("retrieval.types", "Progress"),
    "Recipe": ("indexer.training.recipe", "Recipe"),
    "Reindexed": ("indexer.reindexing", "Reindexed"),
    "Relocated": ("indexer.relocating", "Relocated"),
    "RegionsMade": ("indexer.pipeline.report", "RegionsMade"),
    "Report": ("indexer.pipeline.report", "Report"),
    "Shard": ("retrieval.corpora", "Shard"),
    "Saving": ("indexer.training.loop", "Saving"),
    "Tagged": ("indexer.tagging", "Tagged"),
    "TextsRead": ("indexer.text_recognition", "TextsRead"),
    "TrainOptions": ("indexer.training.entry", "TrainOptions"),
    "Trained": ("indexer.training.training_run", "Trained"),
    "UpdateOptions": ("indexer.index_request", "UpdateOptions"),
    "Updated": ("indexer.updating", "Updated"),
    "Watching": ("indexer.watching", "Watching"),
    "build": ("indexer.building", "build"),
    "build_on_ray": ("indexer.ray_building", "build_on_ray"),
    "copy_collection": ("indexer.exchange.copying", "copy_collection"),
    "delete": ("indexer.deletion", "delete_items"),
    "delete_album": ("indexer.albums", "delete_album"),
    "doctor": ("indexer.store.diagnosis", "doctor"),
    "export_collection": ("indexer.exchange.exporting", "export_collection"),
    "forget_kept": ("indexer.kept_duplicates", "forget_kept_items"),
    "hide": ("indexer.hiding", "hide_items"),
    "import_collection": ("indexer.exchange.importing", "import_collection"),
    "keep": ("indexer.kept_duplicates", "keep_items"),
    "merge": ("indexer.merging", "merge"),
    "open_corpus": ("retrieval.corpora", "open_corpus"),
    "open_writer": ("indexer.items", "open_writer"),
    "optimize": ("indexer.store.maintenance", "optimize"),
    "parse_caption_column": ("retrieval.corpora", "parse_caption_column"),
    "parse_shard": ("retrieval.corpora", "parse_shard"),
    "read_texts": ("indexer.text_recognition", "read_texts"),
    "reads_text": ("indexer.text_recognition", "reads_text"),
    "reindex": ("indexer.reindexing", "reindex"),
    "relocate": ("indexer.relocating", "relocate"),
    "rename_album": ("indexer.albums", "rename_album"),
    "save_album": ("indexer.albums", "save_album"),
    "send_shard": ("indexer.stored_shards", "send_shard"),
    "set_attributes": ("indexer.changing_attributes", "set_attributes"),
    "set_reads_text": ("indexer.text_recognition", "set_reads_text"),
    "tag": ("indexer.tagging", "tag_items"),
    "train": ("indexer.training.entry", "train"),
    "unhide": ("indexer.hiding", "unhide_items"),
    "untag": ("indexer.tagging", "untag_items"),
    "update": ("indexer.updating", "update"),
    "watch": ("indexer.watching", "watch"),
    "write_captions": ("indexer.captioning", "write_captions"),
}

_MOVED = {"classify": "retrieval.classify", "evaluate": "retrieval.evaluate"}
"""Names of the last release that live elsewhere now; they go on working for one more, with a warning."""

__all__ = [
    "Augmentation",
    "CaptionsWritten",
    "CommitPace",
    "Copied",
    "Corpus",
    "CorpusOptions",
    "Deleted",
    "Diagnosis",
    "Exported",
    "FromModel",
    "Imported",
    "IndexOptions",
    "ItemWriter",
    "Lora",
    "NewTwoTower",
    "Progress",
    "Recipe",
    "RegionsMade",
    "Reindexed",
    "Relocated",
    "Report",
    "Saving",
    "Shard",
    "Tagged",
    "TextsRead",
    "TrainOptions",
    "Trained",
    "UpdateOptions",
    "Updated",
    "Watching",
    "accelerate",
    "build",
    "build_on_ray",
    "copy_collection",
    "delete",
    "delete_album",
    "doctor",
    "drop_accelerators",
    "export_collection",
    "forget_kept",
    "hide",
    "import_collection",
    "keep",
    "merge",
    "open_corpus",
    "open_writer",
    "optimize",
    "parse_caption_column",
    "parse_shard",
    "read_texts",
    "reads_text",
    "reindex",
    "relocate",
    "rename_album",
    "save_album",
    "send_shard",
    "set_attributes",
    "set_reads_text",
    "tag",
    "train",
    "unhide",
    "untag",
    "update",
    "watch",
    "write_captions",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: torch and faiss are slow to come up."""
    if name in _MOVED:
        warnings.warn(f"indexer.{name} is {_MOVED[name]} now", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module("retrieval"), name)
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    if module.startswith("indexer.training."):
        from retrieval.extras import require  # late, as everything here

        require("models", "training")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value  # the next use finds it without asking
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
