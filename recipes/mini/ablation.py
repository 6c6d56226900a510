"""Measure what each part of the recipe is worth: runs without it beside the recipe's own.

Stages that the output folder lacks are trained first. Figures are kept in it, so that a stopped command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from safetensors.torch import load_file

from recipes.mini.command import opened
from recipes.mini.figures import Figures
from recipes.mini.heads_stage import HeadsPlan, Lessons, train_heads
from recipes.mini.image_stage import ImagePlan, train_images
from recipes.mini.objective import Contrast, both_ways, sigmoid_both_ways
from recipes.mini.start import Tensors
from recipes.mini.texts import Said
from recipes.mini.training import Training

Row = tuple[str, Callable[[], Tensors]]
_COLUMNS = ("names", "val English", "val Chinese, human", "`coco_mini`", "classes")


def rows(training: Training) -> Iterator[Row]:
    """What each row of the table is called, and what gives its weights; a row may need those before it."""
    plan = training.settings
    yield "start", partial(training.stage_weights, "begin")
    yield "heads of the text tower, run 0, labels' names alone", partial(_heads, training, texts_alone)
    yield "... + image projection", partial(_heads, training, describe_by_nothing)
    yield "... + composed captions", partial(_heads, training, describe_by_composed)
    yield "... + pseudo-captions, no composed ones", partial(_heads, training, describe_by_pseudo)
    yield "... + both", partial(_run, training, "heads-0")
    yield "... sigmoid loss", partial(_heads, training, contrast=sigmoid_both_ways)
    yield "... sigmoid loss, a third of its weight", partial(_heads, training, third, sigmoid_both_ways)
    yield f"heads, mean of {plan.heads.runs} runs", partial(training.stage_weights, "heads")
    told_nothing = replace(plan.images, told=0.0, chosen=0.0)
    yield "+ image stages, run 0, no contrast among thousands", partial(_images, training, told_nothing)
    yield "... no pseudo-labels", partial(_images, training, plan.images, pseudo_labels=False)
    for run, steps in enumerate(plan.images.runs):
        yield f"... run {run}, {steps} steps", partial(_run, training, f"images-{run}")
    yield f"mean of {len(plan.images.runs)} runs", partial(training.stage_weights, "images")
    yield "+ the last stage", partial(training.stage_weights, "refitted")


def _run(training: Training, name: str) -> Tensors:
    weights: Tensors = load_file(training.folders.out / f"{name}.run")
    return weights


# --- the heads

Change = Callable[[Training, Lessons, HeadsPlan], tuple[Lessons, HeadsPlan]]


def unchanged(training: Training, lessons: Lessons, plan: HeadsPlan) -> tuple[Lessons, HeadsPlan]:
    """The recipe's."""
    return lessons, plan


def describe_by_nothing(training: Training, lessons: Lessons, plan: HeadsPlan) -> tuple[Lessons, HeadsPlan]:
    """Of labelled photographs, the names of their labels alone."""
    return lessons, replace(plan, described_weight=0.0)


def texts_alone(training: Training, lessons: Lessons, plan: HeadsPlan) -> tuple[Lessons, HeadsPlan]:
    """The same, and the image projection stays."""
    return lessons, replace(plan, described_weight=0.0, image_rate=0.0)


def describe_by_composed(training: Training, lessons: Lessons, plan: HeadsPlan) -> tuple[Lessons, HeadsPlan]:
    """Labelled photographs without pseudo-captions."""
    guessed = [{*own} for own in training.guessed]
    return described(lessons, lambda row, said: said not in guessed[row]), plan


def describe_by_pseudo(training: Training, lessons: Lessons, plan: HeadsPlan) -> tuple[Lessons, HeadsPlan]:
    """Labelled photographs without composed captions."""
    shown = training.photographs("coco_train")
    others = [
        {*(text for text, _ in own), *one.chinese} for own, one in zip(training.guessed, shown, strict=True)
    ]
    return described(lessons, lambda row, said: said[0] in others[row]), plan


def third(training: Training, lessons: Lessons, plan: HeadsPlan) -> tuple[Lessons, HeadsPlan]:
    """A third of the weight for the contrasts of captions."""
    captions, described = plan.captions_weight / 3, plan.described_weight / 3
    return lessons, replace(plan, captions_weight=captions, described_weight=described)


def described(lessons: Lessons, kept: Callable[[int, Said], bool]) -> Lessons:
    """Lessons with a part of the texts of labelled photographs, which ``kept`` chooses by photograph and text."""
    before = lessons.spoken.described
    left = [[said for said in own if kept(row, said)] for row, own in enumerate(before)]
    spoken = replace(lessons.spoken, described=left)
    places = lessons.at(spoken.every())
    start = replace(lessons.start, texts=lessons.start.texts[places])
    return replace(lessons, spoken=spoken, bags=lessons.bags[places], start=start)


def _heads(training: Training, change: Change = unchanged, contrast: Contrast = both_ways) -> Tensors:
    training.model.load_state_dict(training.start)
    lessons, plan = change(training, training.lessons(), training.settings.heads)
    return train_heads(training.model, lessons, training.names, plan, 0, training.log, contrast)


# --- the image stages


def _images(training: Training, plan: ImagePlan, pseudo_labels: bool = True) -> Tensors:
    training.model.load_state_dict(training.stage_weights("heads"))
    unsure = training.unsure()
    scenes = training.scenes(unsure if pseudo_labels else torch.zeros_like(unsure))
    path = training.folders.out / f"ablation-{plan.told}-{pseudo_labels}.checkpoint"
    weights = train_images(training.encoder, scenes, training.names, plan, 0, path, training.log)
    path.unlink(missing_ok=True)
    return weights


# --- the table


def line(name: str, found: Figures) -> str:
    """A row of the table, from the figures that ``Training.measured`` gives."""
    values = list(found.values())
    cells = [_rates(values[:2])]
    cells += [f"{_rates(values[at : at + 3])}, {_rates(values[at + 3 : at + 6])}" for at in (2, 8, 14)]
    return f"| {' | '.join([name, *cells, _rates(values[20:])])} |"


def _rates(values: list[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def main() -> None:
    """Print the table as Markdown."""
    training = opened("python -m recipes.mini.ablation", __doc__)
    training.run()
    known = training.folders.out / "ablation.json"
    found: dict[str, Figures] = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    for name, weights in rows(training):
        if name not in found:
            training.model.load_state_dict(weights())
            found[name] = training.measured()
            known.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"| | {' | '.join(_COLUMNS)} |\n|---{'|---' * len(_COLUMNS)}|")
    for name, _ in rows(training):
        print(line(name, found[name]))


if __name__ == "__main__":
    main()
