"""A whole training run over a corpus: read, decode, build, train, and write the run's files."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from indexer.pipeline.interrupts import interrupts_noted
from indexer.training import card, plot
from indexer.training.image_cache import LONGEST, CacheRule, ImageCache, cache_images
from indexer.training.listing import Listing, list_corpus
from indexer.training.loop import BEST, LAST, Data, RunObserver, Saving, derived, fit
from indexer.training.messages import no_pairs, no_validation, writing
from indexer.training.objective import Teacher, TeacherRows
from indexer.training.recipe import Recipe
from indexer.training.record import (
    LOCK,
    METRICS,
    MetricsLog,
    differences,
    read_settings,
    write_settings,
)
from indexer.training.start import NewTwoTower, Start, build, weights_digest
from indexer.training.trainable import Trainable
from indexer.training.trainable_two_tower import TrainableTwoTower
from indexer.training.training_state import TrainingPosition
from indexer.training.validation import Figures
from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.corpora.corpus import without_videos
from retrieval.decoding.preparations import Shrink
from retrieval.encoders.reproducible import request_equal_bits
from retrieval.encoders.two_tower.encoder import add_ranges
from retrieval.errors import MissingExtra, TrainingError, UsageError, first_line
from retrieval.types import Failure, Limits, OnProgress, Progress, ignore_progress

_CACHE = "cache"
_RANGE_IMAGES = 64  # ranges of 300 give the same recall


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """The training and validation data of a run.

    Attributes:
        corpus: as ``vlsearch index`` takes it.
        options: how to read it.
        val: another corpus to judge on, read alike.
        val_split: splits of the same Karpathy JSON to judge on, separated by commas.
        val_share: share of the images to hold out for validation, if neither is given.
        teacher_images: npy file, a row for each image of the corpus, in its order.
        teacher_texts: npy file, a row for each caption.
        limits: what an image may take.
        workers: decoder threads; one a core by default.
        cache: folder for decoded images that is kept; by default one in the run's folder, deleted at its end.
        terms: licence terms of the data, for the model card.
    """

    corpus: str
    options: CorpusOptions = field(default_factory=CorpusOptions)
    val: str | None = None
    val_split: str | None = None
    val_share: float = 0.1
    teacher_images: Path | None = None
    teacher_texts: Path | None = None
    limits: Limits = field(default_factory=Limits)
    workers: int | None = None
    cache: Path | None = None
    terms: str | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a run.

    Attributes:
        folder: of the run; ``folder / "best"`` is a model.
        figures: of the best weights, by language; empty before the first epoch ended.
        epoch: of the best weights, from 1.
        failures: images that could not be used.
        notes: what a reader should know: what was left out, and why.
        interrupted: it was asked to stop; the same call goes on.
    """

    folder: Path
    figures: Figures
    epoch: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    interrupted: bool


def train_corpus(
    data: CorpusSettings,
    start: Start,
    recipe: Recipe,
    out: Path,
    *,
    saving: Saving | None = None,
    device: str | None = None,
    command: str = "",
    on_progress: OnProgress | None = None,
) -> Trained:
    """Train on a corpus; called again after a kill with the same arguments, it goes on where the checkpoint is.

    ``out`` gets ``run.json``, ``metrics.jsonl``, ``curves.png``, ``checkpoint.safetensors``, and the model folders
    ``best`` and ``last``, each with its model card.

    Args:
        data: what to learn from and to judge on.
        start: what model to start from.
        recipe: how.
        out: folder of the run, new or empty or of the same run.
        saving: how often to write a checkpoint within an epoch.
        device: as torch names it; a GPU where there is one.
        command: how the run was called, for its records.
        on_progress: told every step.

    Raises:
        CorpusFormatError: a corpus cannot be read as asked.
        UsageError: settings contradict each other, or no model goes by that name.
        TrainingError: there is nothing to learn from, or ``out`` is of another run.
    """
    before = read_settings(out)
    out.mkdir(parents=True, exist_ok=True)
    show = on_progress or ignore_progress
    request_equal_bits()
    if recipe.norms is None:
        recipe = replace(recipe, norms="batch" if _is_from_scratch(start) else "stored")
    try:
        with FileLock(out / LOCK, timeout=0), interrupts_noted() as stop:
            asked = _Asked(data, start, recipe, out, saving or Saving(), _device(device), command)
            return _run(asked, before, show, stop)
    except Timeout as error:
        raise TrainingError(
            f"another process is training in {out}; wait for it, or name another --out"
        ) from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """Arguments of a run, with their defaults filled in."""

    data: CorpusSettings
    start: Start
    recipe: Recipe
    out: Path
    saving: Saving
    device: str
    command: str


def _run(asked: _Asked, before: dict[str, Any] | None, show: OnProgress, stop: Event) -> Trained:
    data, recipe, out = asked.data, asked.recipe, asked.out

    # --- what the corpus offers
    listed = _list(data, recipe.seed)
    teacher = _teacher(data, listed.train)
    if before is None:
        write_settings(out, {"command": asked.command})  # from here on the folder is known as a run's

    # --- the model, and its images
    captions = (caption.text for one in listed.train.entries for caption in one.captions)
    model = build(asked.start, captions, recipe.seed, asked.device)
    train, val = _decode(listed, model, data, out, show, stop)
    train, notes = _usable(train, val, listed, asked)
    notes = [*(f"{name} is read as {note}" for name, note in listed.notes), *notes]

    # --- what the run is
    settings = _settings(asked, model, train, val)
    run = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    if before is not None and "settings" in before and (changed := differences(before["settings"], settings)):
        raise TrainingError(
            f"{out} holds a run with other settings ({changed}); repeat its settings or name another --out"
        )
    failures = (*listed.train.failures, *listed.val.failures, *train.failures, *val.failures)
    facts = {
        "command": asked.command,
        "corpus": data.corpus,
        "val": listed.val_name,
        "terms": data.terms,
        "counts": _counts(train, val) | {"failed": len(failures)},
        "settings": settings,
        "derived": derived(model, recipe, len(train)),
        "environment": _environment(asked.device),
        "failures": [asdict(failure) for failure in failures],
    }
    write_settings(out, facts)

    # --- training, and what tells about it
    log = MetricsLog(out / METRICS)
    outcome = fit(
        model, Data(train, val, teacher), recipe, run, out, asked.saving, RunObserver(log, show, stop)
    )
    if not outcome.interrupted:
        _add_ranges(model, val, out, show)
    notes += _write_reports(out, facts, asked.start, outcome.position, log)
    if not outcome.interrupted and data.cache is None:
        shutil.rmtree(out / _CACHE, ignore_errors=True)
    figures = {int(line["epoch"]): line["val"] for line in log.lines() if "val" in line}
    best = outcome.position.best_epoch
    if best and not (out / BEST).is_dir():
        raise TrainingError(
            f"{out / BEST} was deleted and its weights cannot be restored; train again with another --out"
        )
    return Trained(out, figures.get(best, {}), best, failures, tuple(notes), outcome.interrupted)


def _add_ranges(model: Trainable, val: ImageCache, out: Path, show: OnProgress) -> None:
    """Write the ranges of activations beside the weights of a two-tower model."""
    if not isinstance(model, TrainableTwoTower):
        return
    prepared = np.stack([val[row] for row in range(min(len(val), _RANGE_IMAGES))])
    folders = [folder for folder in (out / BEST, out / LAST) if folder.is_dir()]
    counted = itertools.count(1)
    for folder in folders:
        add_ranges(
            folder,
            prepared,
            lambda: show(Progress("measuring activations", next(counted), len(folders) * len(prepared))),
        )


def _usable(
    train: ImageCache, val: ImageCache, listed: _Listed, asked: _Asked
) -> tuple[ImageCache, list[str]]:
    """Leave out what is judged on; give what is left to learn from, and notes.

    Raises:
        TrainingError: there is too little to learn from, or nothing to judge on.
    """
    notes = []
    if twins := set(train.digests) & set(val.digests):
        train = train.without(twins)
        notes.append(
            f"{len(twins):,} pictures to judge on are also among those to learn from; left out there"
        )
    if not len(val):
        raise no_validation(len(val.failures) + len(listed.val.failures))
    if len(train) < 2:
        failed = len(train.failures) + len(listed.train.failures)
        raise no_pairs(len(train), failed, len(val) if asked.data.val is None else len(twins))
    if (batch := asked.recipe.batch_size) > len(train):
        notes.append(
            f"a batch of {batch:,} is more than there is: each step takes all {len(train):,} pictures"
        )
    return train, notes


def _settings(asked: _Asked, model: Trainable, train: ImageCache, val: ImageCache) -> dict[str, object]:
    """Give all that decides the weights: a run goes on only where it is equal."""
    teachers = asked.data.teacher_images, asked.data.teacher_texts
    return {
        "recipe": asdict(asked.recipe),
        "start": {**asdict(asked.start), "kind": type(asked.start).__name__},
        "weights": weights_digest(model),
        "train": _digest(train),
        "val": _digest(val),
        "teacher": [_file_digest(file) for file in teachers],
    }


def _counts(train: ImageCache, val: ImageCache) -> dict[str, int]:
    return {
        "train_pictures": len(train),
        "train_captions": sum(map(len, train.captions)),
        "val_pictures": len(val),
        "val_captions": sum(map(len, val.captions)),
    }


@dataclass(frozen=True, slots=True)
class _Listed:
    train: Listing
    val: Listing
    val_name: str
    notes: tuple[tuple[str, str], ...]


def _list(data: CorpusSettings, seed: int) -> _Listed:
    """List training and validation images: by a second corpus, by split names, or by share."""
    if data.val is not None and data.val_split is not None:
        raise UsageError("--val names a corpus and --val-split a part of CORPUS; give one of them")
    corpus = open_corpus(data.corpus, data.options)
    notes = [(data.corpus, corpus.note)] if corpus.note else []
    train = list_corpus(without_videos(corpus.entries()))
    if data.val is not None or data.val_split is not None:
        options = data.options if data.val_split is None else replace(data.options, split=data.val_split)
        name = data.val or data.corpus
        other = open_corpus(name, options)
        val = list_corpus(without_videos(other.entries()))
        shown = name if data.val_split is None else f"{name}, split {data.val_split}"
    else:
        if len(train.entries) < 2:
            raise no_pairs(len(train.entries), len(train.failures))
        train, val = train.split(data.val_share, seed)
        shown = f"{data.val_share:.0%} of it, drawn with seed {seed}"
    if not train.entries:
        raise no_pairs(0, len(train.failures))
    if not val.entries:
        raise no_validation(len(val.failures))
    return _Listed(train, val, shown, tuple((name, str(note)) for name, note in notes))


def _decode(
    listed: _Listed,
    model: Trainable,
    data: CorpusSettings,
    out: Path,
    show: OnProgress,
    stop: Event,
) -> tuple[ImageCache, ImageCache]:
    """Decode training images, with their short side at the tower's, and validation images, as the tower takes them."""
    side = model.facts.image_size
    rules = (
        CacheRule(Shrink(side, LONGEST), f"short side {side}"),
        CacheRule(model.preparation, model.facts.rule),
    )
    folder, workers = data.cache or out / _CACHE, data.workers or max(2, os.cpu_count() or 1)
    train, val = (
        cache_images(listing, rule, folder, data.limits, workers, show, stop)
        for listing, rule in zip((listed.train, listed.val), rules, strict=True)
    )
    return train, val


def _teacher(data: CorpusSettings, train: Listing) -> Teacher:
    images, texts = data.teacher_images, data.teacher_texts
    return Teacher(
        None if images is None else TeacherRows.load(images, train.images, "pictures"),
        None if texts is None else TeacherRows.load(texts, train.captions, "captions"),
    )


def _write_reports(
    out: Path, facts: dict[str, Any], start: Start, position: TrainingPosition, log: MetricsLog
) -> Iterable[str]:
    """Write the cards and the curves; return sentences on what could not be written."""
    figures = {int(line["epoch"]): line["val"] for line in log.lines() if "val" in line}
    newest = max(figures, default=0)
    for name, epoch in ((BEST, position.best_epoch), (LAST, newest)):
        if epoch in figures and (out / name).is_dir():
            text = card.render(_card(facts, start, position, epoch, figures[epoch]))
            with writing(out / name / card.FILE):
                (out / name / card.FILE).write_text(text, encoding="utf-8", errors="backslashreplace")
    try:
        with writing(out / plot.FILE):
            plot.plot_curves(log.lines(), f"{facts['corpus']}", out / plot.FILE)
    except MissingExtra as error:
        yield str(error)


def _card(
    facts: dict[str, Any], start: Start, position: TrainingPosition, epoch: int, figures: Figures
) -> card.Card:
    recipe = {name: value for name, value in facts["settings"]["recipe"].items() if value is not None}
    return card.Card(
        start=start.describe(),
        corpus=Path(facts["corpus"]).name,
        val=facts["val"] if "%" in facts["val"] else Path(facts["val"]).name,
        counts=facts["counts"],
        terms=facts["terms"],
        command=facts["command"],
        seconds=position.seconds,
        epoch=epoch,
        figures=figures,
        recipe=recipe | facts["derived"],
        environment=facts["environment"],
    )


def _digest(images: ImageCache) -> str:
    whole = hashlib.sha256()
    for digest, captions in zip(images.digests, images.captions, strict=True):
        whole.update(json.dumps([digest, captions]).encode() + b"\n")
    return whole.hexdigest()


def _file_digest(file: Path | None) -> str | None:
    if file is None:
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_from_scratch(start: Start) -> bool:
    return isinstance(start, NewTwoTower) and start.image_weights is None


def _device(asked: str | None) -> str:
    """Choose the device asked for, or a GPU where there is one.

    Raises:
        TrainingError: it cannot be had.
    """
    device = asked or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device).item()  # the device meta has no numbers to read
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
        reason = first_line(error)
        raise TrainingError(f"device {device} cannot be used ({reason}); try --device cpu") from error
    return device


def _environment(device: str) -> dict[str, str]:
    import transformers

    where = torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor() or "CPU"
    return {
        "device": f"{device} ({where}, {torch.get_num_threads()} threads)",
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
