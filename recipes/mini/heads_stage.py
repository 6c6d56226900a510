"""Train what follows the features that are computed once: names go where the photographs that show them are.

Batches are large, since both sides are cheap (``heads.py``). The captions that the start was trained on teach little
new and are learned by heart, so beside them the start itself teaches: over a thousand photographs each caption has to
choose as it did, and each photograph among the captions. That holds captions of val where anchors for the vectors of
texts alone did not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from indexer.training.losses import distillation
from indexer.training.schedule import warmup_cosine
from recipes.mini.checkpoint import Average
from recipes.mini.heads import all_image_rows, all_text_rows, learning, text_rows
from recipes.mini.names import Names
from recipes.mini.objective import Contrast, asymmetric, both_ways, multi_positive_info_nce, similarities_lost
from recipes.mini.spoken import Spoken
from recipes.mini.start import Tensors
from recipes.mini.texts import NameScores
from retrieval.encoders.two_tower.model import TwoTowerModel

Log = Callable[..., None]
T = TypeVar("T")
_SHARP = 20.0  # 1/temperature of classes' places, as in the lexicon stage of mini's first recipe
_FIRST = 0.75  # share of labels and first other names among class names
_BARE = 0.4  # share of bare names; they are the most frequent queries


@dataclass(frozen=True)
class HeadsPlan:
    """Settings: the sizes of a batch, and the weights of the terms.

    Attributes:
        captioned: photographs with captions, of which ``asked`` bring two captions in each language.
        labelled: photographs with labels, of which ``described`` bring a text.
        shown: class photographs that class names choose among.
        described_weight: of the contrast between labelled photographs and their texts.
        captions_weight: of that between captioned photographs and their captions.
        names_weight: of names over labelled photographs.
        captions_kept: of captions' similarities as the start had them.
        classes_kept: of class names' similarities as they are to be.
        classes_placed: of class names' vectors as they are to be, and of their class part's contrast among classes.
        texts_kept: of all texts' vectors.
        class_gain: what the class part of class names is to be multiplied by, before they get their length.
        images_kept: of photographs' vectors.
        runs: as many with other seeds, whose weights are averaged.
    """

    steps: int = 300
    captioned: int = 1500
    asked: int = 160
    labelled: int = 800
    described: int = 250
    shown: int = 800
    plain: int = 250
    classes: int = 900
    words: int = 150
    rate: float = 2e-3
    image_rate: float = 3e-4
    features_dropped: float = 0.2
    described_weight: float = 1.0
    captions_weight: float = 0.7
    names_weight: float = 1.0
    captions_kept: float = 3.0
    classes_kept: float = 0.5
    classes_placed: float = 30.0
    texts_kept: float = 4.0
    class_gain: float = 5.0
    images_kept: float = 2.0
    average: float = 0.98
    runs: int = 2


@dataclass(frozen=True)
class Space:
    """Where a model has what training sees.

    Attributes:
        scale: 1/temperature.
        texts: (n, D) float16 unit rows of all texts.
        captioned: (n, D) of the captioned photographs' plain views.
        labelled: (n, D) of the labelled ones'.
        classes: (n, D) of the class photographs'.
    """

    scale: float
    texts: Tensor
    captioned: Tensor
    labelled: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Lessons:
    """What the heads learn from.

    Attributes:
        spoken: the texts.
        bags: (n, width) float16, of ``spoken.every()``.
        captioned: features (n, 2560) of the captioned photographs, view by view.
        labelled: of the labelled ones.
        labels: (labelled, names) bool.
        places: (classes, D - learned) unit rows, where each class belongs in the class part.
        start: where the start has all of it, but for class names, which are where they belong.
    """

    spoken: Spoken
    bags: Tensor
    captioned: Sequence[Tensor]
    labelled: Sequence[Tensor]
    labels: Tensor
    places: Tensor
    start: Space

    @cached_property
    def place(self) -> dict[str, int]:
        """The row of each text."""
        return {text: row for row, text in enumerate(self.spoken.every())}

    def at(self, texts: Sequence[str]) -> list[int]:
        """The rows of texts."""
        return [self.place[text] for text in texts]


def space(model: TwoTowerModel, bags: Tensor, captioned: Tensor, labelled: Tensor, classes: Tensor) -> Space:
    """Where a model has texts, by their bags, and three sets of photographs, by their features."""
    images = [all_image_rows(model, features) for features in (captioned, labelled, classes)]
    return Space(model.scale().item(), all_text_rows(model, bags), *images)


def with_classes_placed(
    before: Space, rows: Sequence[int], meant: Sequence[frozenset[int]], places: Tensor, gain: float
) -> Space:
    """The space with class names where they belong in the class part.

    Args:
        before: the start's.
        rows: of the texts that are class names.
        meant: the classes that each may mean.
        places: (classes, D - learned) unit rows of the classes.
        gain: what the class part's length is multiplied by, of a name that means one class; it finds its class by it.
    """
    texts, learned = before.texts.clone(), before.texts.shape[1] - places.shape[1]
    own, part = torch.split(texts[rows].float(), [learned, places.shape[1]], 1)
    where = nn.functional.normalize(torch.stack([places[list(one)].mean(0) for one in meant]), dim=1)
    gains = torch.tensor([gain if len(one) == 1 else 1.0 for one in meant])
    placed = torch.cat([own, (gains * part.norm(dim=1))[:, None] * where], 1)
    texts[rows] = nn.functional.normalize(placed, dim=1).half()
    return replace(before, texts=texts)


@dataclass(frozen=True)
class Batch:
    """What one step sees; photographs as rows, texts as rows of ``Lessons.bags``.

    Attributes:
        captioned: photographs.
        labelled: photographs.
        captions: of the first captioned photographs.
        owners: the place in ``captioned`` of each one's photograph.
        plain: captions of no photograph here.
        classes: class names.
        meant: the classes that each may mean.
        words: frequent words.
        described: texts of labelled photographs, their places in ``labelled``, and what each names.
        names: a text for each thing, in English, then in Chinese.
        shown: class photographs.
        view: of the captioned and labelled photographs.
    """

    captioned: list[int]
    labelled: list[int]
    captions: list[int]
    owners: list[int]
    plain: list[int]
    classes: list[int]
    meant: list[frozenset[int]]
    words: list[int]
    described: tuple[list[int], list[int], list[frozenset[str]]]
    names: list[int]
    shown: list[int]
    view: int

    @property
    def texts(self) -> list[list[int]]:
        """All texts, kind by kind."""
        return [self.captions, self.plain, self.classes, self.words, self.described[0], self.names]


def draw_batch(lessons: Lessons, plan: HeadsPlan, rng: random.Random) -> Batch:
    """Draw the photographs and texts of one step."""
    spoken = lessons.spoken
    captioned = _some(range(len(spoken.captions)), plan.captioned, rng)
    labelled = _some(range(len(spoken.described)), plan.labelled, rng)
    captions = [
        (text, place)
        for place, row in enumerate(captioned[: plan.asked])
        for own in spoken.captions[row]
        for text in _some(own, 2, rng)
    ]
    described = [
        (*rng.choice(spoken.described[row]), place)
        for place, row in enumerate(labelled[: plan.described])
        if spoken.described[row]
    ]
    most = round(_FIRST * plan.classes)
    classes = [*_some(spoken.first_classes, most, rng), *_some(spoken.classes, plan.classes - most, rng)]
    names = [own[0] if rng.random() < _BARE else rng.choice(own) for things in spoken.names for own in things]
    return Batch(
        captioned,
        labelled,
        lessons.at([text for text, _ in captions]),
        [place for _, place in captions],
        lessons.at(_some(spoken.plain, plan.plain, rng)),
        lessons.at([text for text, _ in classes]),
        [meant for _, meant in classes],
        lessons.at(_some(spoken.words, plan.words, rng)),
        (
            lessons.at([text for text, _, _ in described]),
            [place for _, _, place in described],
            [named for _, named, _ in described],
        ),
        lessons.at(names),
        _some(range(len(lessons.start.classes)), plan.shown, rng),
        rng.randrange(len(lessons.captioned)),
    )


def _some(values: Sequence[T], count: int, rng: random.Random) -> list[T]:
    return rng.sample(values, min(count, len(values)))


def train_heads(
    model: TwoTowerModel,
    lessons: Lessons,
    names: Names,
    plan: HeadsPlan,
    seed: int,
    log: Log,
    contrast: Contrast = both_ways,
) -> Tensors:
    """Train them from where the model is; a minute or two, so that there are no checkpoints.

    Args:
        model: the start.
        lessons: what is learned from.
        names: of the things.
        plan: settings.
        seed: of what is drawn.
        log: told how the terms fall.
        contrast: the loss of captions and of labelled photographs' texts.

    Returns:
        All weights; the model keeps its own.
    """
    scores = fitted_scores(model, lessons, names)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scale, losses = nn.Parameter(torch.tensor(lessons.start.scale).log()), []
    with learning(model) as texts:
        optimizer = torch.optim.AdamW(
            [
                {"params": texts, "peak": plan.rate},
                {"params": [*model.image_projection.parameters()], "peak": plan.image_rate},
                {"params": [*scores.parameters(), scale], "peak": 3e-3},
            ],
            weight_decay=0.0,
        )
        average = Average(model, plan.average)
        for step in range(plan.steps):
            torch.manual_seed(1000 * seed + step)
            batch = draw_batch(lessons, plan, random.Random(f"{seed} {step}"))
            terms = step_terms(
                model, scores, scale.exp().clamp(max=100), lessons, names, plan, batch, contrast
            )
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * warmup_cosine(step, 10, plan.steps)
            optimizer.zero_grad()
            torch.stack([*terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average.update()
            losses.append({name: term.item() for name, term in terms.items()})
            if step % 25 == 24 or step + 1 == plan.steps:
                means = {name: round(float(np.mean([one[name] for one in losses])), 4) for name in terms}
                log(stage="heads", seed=seed, step=step + 1, **means)
                losses.clear()
    model.load_state_dict(before)
    return {**before, **average.apply()}


def fitted_scores(model: TwoTowerModel, lessons: Lessons, names: Names) -> NameScores:
    """The temperature and biases of names, calibrated on the labelled photographs."""
    scores = NameScores(len(names.all))
    labels = lessons.at([own[0] for own in lessons.spoken.names[0]])
    rows = all_text_rows(model, lessons.bags[labels]).float()
    scores.fit(all_image_rows(model, lessons.labelled[0]) @ rows.T, lessons.labels)
    return scores


def step_terms(
    model: TwoTowerModel,
    scores: NameScores,
    scale: Tensor,
    lessons: Lessons,
    names: Names,
    plan: HeadsPlan,
    batch: Batch,
    contrast: Contrast = both_ways,
) -> dict[str, Tensor]:
    """The weighted terms of a step's loss."""
    start, sets = lessons.start, (lessons.captioned, lessons.labelled)
    rows = (batch.captioned, batch.labelled)
    features = torch.cat([views[batch.view][own] for views, own in zip(sets, rows, strict=True)]).float()
    images = model.project_image(nn.functional.dropout(features, plan.features_dropped))
    captioned, labelled = torch.split(images, [len(batch.captioned), len(batch.labelled)])
    every = [row for own in batch.texts for row in own]
    texts = text_rows(model, lessons.bags[every])
    captions, plain, classes, words, described, named = torch.split(texts, [len(own) for own in batch.texts])

    # --- what the start had: whom captions and class names choose, and where texts and photographs are
    spoken, kept = torch.cat([captions, plain]), start.texts[batch.captions + batch.plain].float()
    before = start.scale * start.captioned[batch.captioned] @ kept.T
    shown = start.classes[batch.shown]
    called = start.scale * shown @ start.texts[batch.classes].float().T
    stayed = torch.cat([spoken, words])
    was = start.texts[batch.captions + batch.plain + batch.words].float()
    placed = distillation(classes, start.texts[batch.classes].float())
    terms = {
        "captions_kept": plan.captions_kept * similarities_lost(before, start.scale * captioned @ spoken.T),
        "classes_placed": plan.classes_placed
        * (placed + 0.1 * _confused(classes, lessons.places, batch.meant)),
        "classes_kept": plan.classes_kept * similarities_lost(called, start.scale * shown @ classes.T),
        "texts_kept": plan.texts_kept * distillation(stayed, was),
        "images_kept": plan.images_kept
        * distillation(images, torch.cat([start.captioned[rows[0]], start.labelled[rows[1]]])),
    }

    # --- what is new: captions and names over the photographs
    labels = lessons.labels[batch.labelled]
    said = named.view(2, len(names.all), -1)
    unsure = torch.zeros_like(labels)
    naming = torch.stack([asymmetric(scores(labelled @ own.T), labels, unsure) for own in said]).mean()
    own = _relation(batch.owners, len(captioned), spoken.shape[0])
    pairs = _relation(batch.described[1], len(labelled), described.shape[0])
    fits = _fits(labels, batch.described[2], names)
    return terms | {
        "names": plan.names_weight * naming,
        "captions": plan.captions_weight * contrast(scale * captioned @ spoken.T, own, torch.zeros_like(own)),
        "described": plan.described_weight * contrast(scale * labelled @ described.T, pairs, fits & ~pairs),
    }


def _relation(owners: Sequence[int], photographs: int, texts: int) -> Tensor:
    """(photographs, texts) bool: whose each of the first texts is; the others are nobody's."""
    positive = torch.zeros(photographs, texts, dtype=torch.bool)
    positive[torch.tensor(owners, dtype=torch.long), torch.arange(len(owners))] = True
    return positive


def _confused(names: Tensor, places: Tensor, meant: Sequence[frozenset[int]]) -> Tensor:
    """The contrast of names' class parts among the places of all classes."""
    part = nn.functional.normalize(names[:, -places.shape[1] :], dim=1)
    right = torch.zeros(len(names), len(places), dtype=torch.bool)
    for row, classes in enumerate(meant):
        right[row, list(classes)] = True
    return multi_positive_info_nce(_SHARP * part @ places.T, right, torch.zeros_like(right))


def _fits(labels: Tensor, named: Sequence[frozenset[str]], names: Names) -> Tensor:
    """(photographs, texts) bool: whether a photograph has all that a text names."""
    wanted = torch.tensor([[one.label in own for one in names.all] for own in named]).float()
    return (~labels).float() @ wanted.T == 0
