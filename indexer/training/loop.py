"""The training loop: epochs and steps, validation after each epoch, and the weights that are kept.

Every draw (order, captions, crops, dropout) comes from a generator seeded with its purpose, epoch and step, so that
a checkpoint needs no generator's state, and a run that was killed ends with the weights of one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from indexer.training.batches import DROPOUT, Batch, batches, steps_an_epoch
from indexer.training.folders import replace_folder
from indexer.training.gradient_cache import Encode, cached_backward, plain_backward
from indexer.training.image_cache import ImageCache
from indexer.training.objective import Objective, Teacher
from indexer.training.recipe import Recipe
from indexer.training.record import MetricsLog
from indexer.training.schedule import Part, Plan, parameter_groups
from indexer.training.trainable import Trainable
from indexer.training.training_state import (
    TrainingPosition,
    TrainingState,
    load_checkpoint,
    read_position,
    write_checkpoint,
)
from indexer.training.validation import Figures, mean_r1, validate
from retrieval.errors import TrainingError
from retrieval.types import OnProgress, Progress

BEST, LAST = "best", "last"
_NORM_STATE = ("running_mean", "running_var", "num_batches_tracked")
LOG_STEPS = 10  # between two lines of metrics within an epoch


@dataclass(frozen=True, slots=True)
class Saving:
    """How often a checkpoint is written within an epoch; one is always written at its end."""

    minutes: float = 5.0
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class RunObserver:
    """What a training run reports to, and the event that stops it.

    Attributes:
        log: receives the lines of metrics.
        show: called with the progress after every step.
        stop: once set, the run finishes its current step, writes a checkpoint and returns.
    """

    log: MetricsLog
    show: OnProgress
    stop: Event


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call of :func:`fit` ended.

    Attributes:
        position: how far the run came.
        interrupted: the run was stopped before its end; the same call continues it.
    """

    position: TrainingPosition
    interrupted: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Training pairs, validation pairs, and the teacher's rows for the training pairs."""

    train: ImageCache
    val: ImageCache
    teacher: Teacher


def fit(
    model: Trainable,
    data: Data,
    recipe: Recipe,
    run: str,
    folder: Path,
    saving: Saving,
    observer: RunObserver,
) -> Outcome:
    """Train a model; ``folder`` gets checkpoints, and the model folders ``best`` and ``last``.

    Goes on from a checkpoint in ``folder``, and ends with the same weights, bit for bit, as without the break, on
    the same machine with the same number of threads.

    Args:
        model: whose weights change; they are not those of ``best`` at the end.
        data: the images of ``val`` are prepared by the model, those of ``train`` only shrunk.
        recipe: everything that decides the result.
        run: digest of all that a resumed run must have in common with its first part.
        folder: of the run.
        saving: how often.
        observer: what the run reports to.

    Raises:
        TrainingError: the checkpoint is damaged or of another run, or the loss is not a number any more.
    """
    # --- what learns, and how long
    length = _length(recipe, len(data.train))
    torch.manual_seed(_seed(recipe.seed, 0))
    objective = Objective(recipe, model.facts, data.teacher).to(_device(model.module))
    task = _Task(model, data.train, recipe, objective, _plans(model, recipe, length))
    learning = _initial_state(model, objective, recipe)

    # --- where an earlier call stopped
    position = _resume(folder, run, learning, observer.log)
    begun, saved = time.monotonic() - position.seconds, time.monotonic()
    r1: float | None = None

    # --- the loop
    with ThreadPoolExecutor(max_workers=_threads(), thread_name_prefix="vlsearch-vary") as threads:
        for epoch in range(position.epoch, length.epochs):
            losses = list(position.losses)
            pace = _Throughput(len(losses))
            for batch in batches(data.train, model, recipe, epoch, position.step, threads):
                step = epoch * length.epoch_steps + batch.step
                if step >= length.steps:
                    break
                losses.append(_learn(task, learning, batch, epoch, step))

                position = replace(
                    position,
                    epoch=epoch,
                    step=batch.step + 1,
                    losses=tuple(losses),
                    seconds=time.monotonic() - begun,
                )
                if len(losses) % LOG_STEPS == 0:
                    rate = pace.images_per_second(len(losses), length.batch)
                    observer.log.write(_step_line(position, losses, objective, rate, length.left_after(step)))
                observer.show(_progress(position, losses[-1], r1, step + 1, length))
                if observer.stop.is_set() or _is_due(saving, saved, batch.step + 1):
                    position = replace(position, log_bytes=observer.log.size())
                    write_checkpoint(folder, learning, position)
                    saved = time.monotonic()
                    if observer.stop.is_set():
                        return Outcome(position, interrupted=True)

            figures = _validate_and_save(model, learning, objective, data.val, folder, position)
            r1 = mean_r1(figures)
            if r1 > position.best:
                position = replace(position, best=r1, best_epoch=epoch + 1)
            position = replace(position, epoch=epoch + 1, step=0, losses=(), seconds=time.monotonic() - begun)
            observer.log.write({"epoch": epoch + 1, "loss": float(np.mean(losses)), "val": figures})
            position = replace(position, log_bytes=observer.log.size())
            write_checkpoint(folder, learning, position)
            saved = time.monotonic()
    return Outcome(position)


@dataclass(frozen=True, slots=True)
class _Length:
    """How long a run is: steps of an epoch and in all, epochs (the last may be cut short), images in a batch."""

    epoch_steps: int
    steps: int
    epochs: int
    batch: int

    def left_after(self, step: int) -> int:
        """Count the images of the steps after one, from 0."""
        return (self.steps - step - 1) * self.batch


def _length(recipe: Recipe, images: int) -> _Length:
    an_epoch = steps_an_epoch(images, recipe.batch_size)
    steps = recipe.steps or recipe.epochs * an_epoch
    return _Length(an_epoch, steps, -(-steps // an_epoch), min(recipe.batch_size, images))


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What is trained, on what, how and when; none of it is state."""

    model: Trainable
    train: ImageCache
    recipe: Recipe
    objective: Objective
    plans: dict[Part, Plan]


def _resume(folder: Path, run: str, learning: TrainingState, log: MetricsLog) -> TrainingPosition:
    """Load the checkpoint of a run, if there is one, and cut the log to it; give where it stands.

    Raises:
        TrainingError: it is damaged, or of another run.
    """
    position = read_position(folder) or TrainingPosition(run)
    if position.run != run:
        raise TrainingError(f"{folder} holds a run with other settings; repeat them or name another --out")
    if (position.epoch, position.step) != (0, 0):
        load_checkpoint(folder, learning)
    log.cut(position.log_bytes)
    return position


def _learn(task: _Task, learning: TrainingState, batch: Batch, epoch: int, step: int) -> float:
    """Take a step, counted from the start of the run; give its loss.

    Raises:
        TrainingError: the loss is not a number.
    """
    locked = {part for part, plan in task.plans.items() if plan.is_locked(step)}
    _set_modes(task.model, locked, task.recipe.norms)
    for group in learning.optimizer.param_groups:
        group["lr"] = task.plans[group["part"]].rate(step)
    learning.optimizer.zero_grad(set_to_none=True)
    loss = _backward(task, batch, epoch)
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} at step {step + 1}; lower the learning rates, or take --clip down"
        )
    _clip(learning.optimizer, task.recipe.clip)
    learning.optimizer.step()
    task.objective.clamp()
    _average(learning, task.recipe.ema, step)
    return loss


def derived(model: Trainable, recipe: Recipe, images: int) -> dict[str, object]:
    """Compute the numbers that follow from a recipe, a model and the count of images, for a run's records."""
    length = _length(recipe, images)
    plans = _plans(model, recipe, length)
    return {
        "steps_an_epoch": length.epoch_steps,
        "steps_in_all": length.steps,
        **{f"{part}_rate": plan.peak for part, plan in plans.items()},
        **{f"{part}_warmup_steps": plan.warmup for part, plan in plans.items()},
    }


def _plans(model: Trainable, recipe: Recipe, length: _Length) -> dict[Part, Plan]:
    """Plan when each part is trained, and its learning rate."""
    own = model.facts.rates

    def plan(peak: float, locked_epochs: int = 0) -> Plan:
        start = min(locked_epochs * length.epoch_steps, length.steps)
        return Plan(start, max(1, round(recipe.warmup * (length.steps - start))), length.steps, peak)

    return {
        "image": plan(_given(recipe.image_rate, own.image), recipe.locked_image_epochs),
        "text": plan(_given(recipe.text_rate, own.text), recipe.locked_text_epochs),
        "head": plan(_given(recipe.head_rate, own.head)),
        "scale": plan(recipe.scale_rate),
    }


def _given(rate: float | None, default: float) -> float:
    return default if rate is None else rate


def _initial_state(model: Trainable, objective: Objective, recipe: Recipe) -> TrainingState:
    by_part: dict[Part, list[nn.Parameter]] = {"image": [], "text": [], "head": [], "scale": []}
    weights: dict[str, Tensor] = {}
    for name, weight in model.module.named_parameters():
        part = model.part_of(name)
        weight.requires_grad_(part is not None)
        if part is not None:
            by_part[part].append(weight)
            weights[name] = weight
    by_part["scale"] += [w for w in (objective.log_scale, objective.bias) if w.requires_grad]
    for each in (objective.image_map, objective.text_map):
        by_part["head"] += [] if each is None else list(each.parameters())
    optimizer = torch.optim.AdamW(parameter_groups(by_part.items(), recipe.weight_decay), fused=True)
    for name, value in model.module.named_buffers():
        if model.part_of(name) is not None and name.rpartition(".")[2] in _NORM_STATE:
            weights[name] = value
    averaged = {n: v.detach().clone() for n, v in weights.items() if v.is_floating_point() and recipe.ema}
    return TrainingState(weights, objective, averaged, optimizer)


def _set_modes(model: Trainable, locked: set[Part], norms: str | None) -> None:
    """Set training mode for the parts that are trained; a locked part has no gradients, dropout or new statistics."""
    for name, layer in model.module.named_modules():
        part = model.part_of(name) if name else "head"
        stored = isinstance(layer, _BatchNorm) and norms != "batch"
        layer.training = not (part is None or part in locked or stored)
    for name, weight in model.module.named_parameters():
        part = model.part_of(name)
        weight.requires_grad_(part is not None and part not in locked)


def _backward(task: _Task, batch: Batch, epoch: int) -> float:
    """Compute the loss of a batch and the gradients of everything that is not locked."""
    model, recipe = task.model, task.recipe

    def chunks(count: int, side: int, encode: Callable[[slice], Tensor]) -> list[Encode]:
        size = recipe.chunk_size or count

        def run(start: int) -> Tensor:
            torch.manual_seed(_seed(recipe.seed, DROPOUT, epoch, batch.step, side, start))
            with _autocast(model.module) if recipe.bfloat16 else nullcontext():
                return encode(slice(start, start + size)).float()

        return [lambda start=start: run(start) for start in range(0, count, size)]  # type: ignore[misc]

    images = chunks(len(batch.images), 0, lambda part: model.encode_images(batch.images[part]))
    texts = chunks(len(batch.tokens), 1, lambda part: model.encode_tokens(batch.tokens[part]))
    backward = plain_backward if recipe.chunk_size is None else cached_backward
    return backward(images, texts, lambda i, t: task.objective.loss(i, t, batch, task.train))


@contextmanager
def _averaged_weights(learning: TrainingState) -> Iterator[None]:
    """Put the averaged weights in place of the newest for a block."""
    newest = {n: learning.weights[n].detach().clone() for n in learning.averaged}
    with torch.no_grad():
        for name, value in learning.averaged.items():
            learning.weights[name].copy_(value)
        try:
            yield
        finally:
            for name, value in newest.items():
                learning.weights[name].copy_(value)


def _validate_and_save(
    model: Trainable,
    learning: TrainingState,
    objective: Objective,
    val: ImageCache,
    folder: Path,
    position: TrainingPosition,
) -> Figures:
    """Validate the averaged weights; save them as ``last``, and as ``best`` if they are the best so far."""
    with _averaged_weights(learning):
        figures = validate(model, val)
        for name in (LAST, *([BEST] if mean_r1(figures) > position.best else [])):
            replace_folder(folder / name, lambda empty: model.save(empty, *objective.learned))
    return figures


def _average(learning: TrainingState, decay: float, step: int) -> None:
    """Update the exponential moving average; its decay is lower in the first steps, so that initial weights fade."""
    share = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in learning.averaged.items():
            value.lerp_(learning.weights[name], 1 - share)


def _clip(optimizer: torch.optim.Optimizer, largest: float) -> None:
    torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], largest)


def _is_due(saving: Saving, saved: float, step: int) -> bool:
    by_steps = saving.steps is not None and step % saving.steps == 0
    return by_steps or time.monotonic() - saved > saving.minutes * 60


class _Throughput:
    """Images a second since this call began an epoch."""

    def __init__(self, done: int) -> None:
        self._done, self._start = done, time.monotonic()

    def images_per_second(self, done: int, batch_size: int) -> float:
        return (done - self._done) * batch_size / max(1e-9, time.monotonic() - self._start)


def _step_line(
    position: TrainingPosition,
    losses: list[float],
    objective: Objective,
    rate: float,
    left: int,
) -> dict[str, object]:
    return {
        "epoch": position.epoch + 1,
        "step": position.step,
        "loss": float(np.mean(losses[-LOG_STEPS:])),
        "scale": math.exp(objective.learned[0]),
        "images_per_second": round(rate, 1),
        "eta_s": round(left / max(rate, 1e-9), 1),
    }


def _progress(
    position: TrainingPosition, loss: float, r1: float | None, done: int, length: _Length
) -> Progress:
    words = [f"epoch {position.epoch + 1} of {length.epochs}", f"loss {loss:.3f}"]
    words += [] if r1 is None else [f"R@1 {r1:.1f}"]
    return Progress("training", done * length.batch, length.steps * length.batch, 0, ", ".join(words))


def _seed(*path: int) -> int:
    return int(np.random.SeedSequence(path).generate_state(1)[0])


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _autocast(module: nn.Module) -> torch.autocast:
    return torch.autocast(_device(module).type, torch.bfloat16)


def _threads() -> int:
    import os

    return max(1, os.cpu_count() or 1)
