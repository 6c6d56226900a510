"""Train a model on a corpus by one call, as ``vlsearch train`` does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack

from indexer.training.loop import Saving
from indexer.training.recipe import Recipe
from indexer.training.start import FromModel, NewTwoTower, Start
from indexer.training.training_run import CorpusSettings, Trained, train_corpus
from retrieval.corpora import CorpusOptions
from retrieval.errors import UsageError
from retrieval.keywords import checked_keywords
from retrieval.types import Limits, OnProgress


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """How a model is trained on a corpus.

    Attributes:
        model: alias, hub name or folder of a model to fine-tune; a :class:`FromModel` for adapters or frozen stages;
            a :class:`NewTwoTower` for a new model; None: a new ResNet-50 + BERT from scratch.
        recipe: how to train.
        val: another corpus to judge on, read alike.
        val_split: other splits of the same Karpathy JSON to judge on, separated by commas.
        val_share: share of the pictures to judge on where neither is given, in (0, 0.5].
        options: how to read the corpora.
        teacher_images: npy file of a teacher's rows, one for each picture of the corpus, in its order.
        teacher_texts: npy file of a teacher's rows, one for each caption.
        limits: bytes, pixels and seconds that a picture may take.
        workers: decoder threads; one a core by default.
        cache: folder for decoded pictures that is kept; by default one in ``out``, deleted at the end.
        data_licence: terms of the data, for the model card.
        saving: how often to write a checkpoint within an epoch.
        device: as torch names it; a GPU where there is one.
        command: how the run was called, for its records.

    Raises:
        UsageError: a number is out of its range.
    """

    model: str | Path | Start | None = None
    recipe: Recipe = field(default_factory=Recipe)
    val: str | Path | None = None
    val_split: str | None = None
    val_share: float = 0.1
    options: CorpusOptions = field(default_factory=CorpusOptions)
    teacher_images: str | Path | None = None
    teacher_texts: str | Path | None = None
    limits: Limits = field(default_factory=Limits)
    workers: int | None = None
    cache: str | Path | None = None
    data_licence: str | None = None
    saving: Saving | None = None
    device: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.val_share <= 0.5:
            raise UsageError(f"val-share is {self.val_share}, and must be more than 0 and at most 0.5")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}, and must be 1 or more")

    def corpus_settings(self, corpus: str | Path) -> CorpusSettings:
        """Say what is learnt from and judged on."""
        return CorpusSettings(
            str(corpus),
            self.options,
            None if self.val is None else str(self.val),
            self.val_split,
            self.val_share,
            _path(self.teacher_images),
            _path(self.teacher_texts),
            self.limits,
            self.workers,
            _path(self.cache),
            self.data_licence,
        )


class TrainOptions(TypedDict, total=False):
    """Keywords of :func:`indexer.train`; :class:`TrainRequest` explains them."""

    model: str | Path | Start | None
    recipe: Recipe | None
    val: str | Path | None
    val_split: str | None
    val_share: float
    options: CorpusOptions | None
    teacher_images: str | Path | None
    teacher_texts: str | Path | None
    limits: Limits | None
    workers: int | None
    cache: str | Path | None
    data_licence: str | None
    saving: Saving | None
    device: str | None
    command: str


OF_TRAIN = TrainOptions.__optional_keys__


def train(
    corpus: str | Path,
    out: str | Path,
    *,
    on_progress: OnProgress | None = None,
    **options: Unpack[TrainOptions],
) -> Trained:
    """Pre-train or fine-tune a dual encoder; ``out / "best"`` is then a model for :func:`indexer.build`.

    Called again with the same arguments after a kill, it goes on where the newest checkpoint is, and ends with the
    weights of a run that was not killed, bit for bit, on the same machine with the same number of threads. Ctrl-C
    finishes the step at hand and writes a checkpoint (``Trained.interrupted``).

    Args:
        corpus: a folder, table, data set, tar (braces expanded) or list with captions, as ``vlsearch train`` takes it.
        out: folder of the run: new, or empty, or of the same run.
        on_progress: called after each picture decoded and each step.
        options: as :class:`TrainRequest` explains them.

    Raises:
        CorpusFormatError: a corpus cannot be read as asked.
        UsageError: settings contradict each other, or no model goes by that name.
        ModelError: files of the model are missing or damaged.
        TrainingError: there is nothing to learn from, the loss is not a number any more, or ``out`` cannot be written
            or is of another run.

    The paper of each loss is named in :mod:`indexer.training.losses`.
    """
    asked = TrainRequest(**checked_keywords(options, OF_TRAIN))
    return train_corpus(
        asked.corpus_settings(corpus),
        _start(asked.model),
        asked.recipe,
        Path(out),
        saving=asked.saving,
        device=asked.device,
        command=asked.command,
        on_progress=on_progress,
    )


def _start(model: str | Path | Start | None) -> Start:
    if model is None:
        return NewTwoTower()
    return FromModel(str(model)) if isinstance(model, (str, Path)) else model


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
