"""Bring short queries and class photographs to where they belong, which the stages before have left behind.

Training moves what it never sees along: words alone, labels of groceries. Here each text gets the row where it belongs,
and the text tower's heads are fitted to these rows, most of which are where the texts are. Words, labels and names
belong nearer to the direction that tells the photographs which show them from all others. The image projection is
fitted to its rows by ridge regression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from indexer.training.losses import distillation
from indexer.training.schedule import warmup_cosine
from recipes.mini.heads import learning, text_rows
from recipes.mini.start import Tensors, weights_of
from retrieval.encoders.two_tower.model import TwoTowerModel


@dataclass(frozen=True)
class RefitPlan:
    """Settings: how much a text weighs, by its kind, and where it is to go.

    A direction is as long as the row that it is added to.

    Attributes:
        labels: weight of the class photographs' labels.
        names: of the names of things, alone.
        namings: of the same in templates.
        first_classes: of labels and first other names of ImageNet's classes.
        classes: of their other names.
        words: of the words of captions.
        captions: of captions and whatever else describes a photograph; they are to stay.
        labels_told: how far labels go towards what tells their photographs, from where the start had them, or, where
            they name a thing or a class, from where these go.
        names_told: how far names go from where they are.
        names_placed: how far those names that ImageNet's classes have go towards the places of these classes.
        words_told: how far words go.
        words_kept: how much of the way back to the start they go before, where they name neither.
        class_gain: what the class part of class names is to be multiplied by, halfway from where they are.
        class_own: what the rest of them is multiplied by then.
        few: classes that a class name may mean, to find them by its class part.
        photographs: weight of class photographs, which go back to where the start had them.
        image_ridge: of the image projection, in mean squares of a feature.
        probe_ridge: of the directions that tell photographs, in mean variances.
        text_steps: of gradient descent on the text side.
        texts: of each.
        text_rate: highest learning rate.
    """

    labels: float = 300.0
    names: float = 100.0
    namings: float = 9.0
    first_classes: float = 600.0
    classes: float = 16.0
    words: float = 100.0
    captions: float = 60.0
    labels_told: float = 0.6
    names_told: float = 0.3
    names_placed: float = 2.2
    words_told: float = 1.0
    words_kept: float = 0.8
    class_gain: float = 12.0
    class_own: float = 0.3
    few: int = 3
    photographs: float = 1.0
    image_ridge: float = 0.1
    probe_ridge: float = 1.0
    text_steps: int = 500
    texts: int = 4096
    text_rate: float = 1e-3


@dataclass(frozen=True)
class Wishes:
    """Where texts are to go.

    Attributes:
        rows: (n, D) unit rows.
        weights: (n,), 0 for a text that may go anywhere.
    """

    rows: Tensor
    weights: Tensor

    @classmethod
    def staying(cls, now: Tensor) -> Wishes:
        """All of them where they are, without weights."""
        return cls(now.clone(), torch.zeros(len(now)))

    def add(self, texts: Sequence[int], rows: Tensor, weight: float) -> None:
        """Wish that texts go to rows (n, D) of any length; what was wished of a text before is replaced."""
        place = torch.tensor(texts, dtype=torch.long)
        self.rows[place] = nn.functional.normalize(rows, dim=1)
        self.weights[place] = self.weights[place].clamp_min(weight)

    def wished(self, texts: Sequence[int], otherwise: Tensor) -> Tensor:
        """(n, D) what is wished of texts; of those of which nothing is, the rows ``otherwise``."""
        known = (self.weights[list(texts)] > 0)[:, None]
        return torch.where(known, self.rows[list(texts)], otherwise)


def probes(images: Tensor, right: Tensor, unsure: Tensor, ridge: float) -> Tensor:
    """(queries, D) unit rows: the directions that tell best which photographs a query is right for.

    Ridge regression of being right on the photographs' rows, both centred.

    Args:
        images: (photographs, D) unit rows.
        right: (photographs, queries) bool.
        unsure: the same; such a photograph counts as the mean one.
        ridge: what is added to the diagonal of the covariance, in mean variances.
    """
    rows, shares = images - images.mean(0), right.float().mean(0)
    wanted = torch.where(unsure & ~right, shares, right.float()) - shares
    found = _solve(rows.T @ rows, rows.T @ wanted, ridge * rows.square().sum(0).mean())
    return nn.functional.normalize(found.T, dim=1)


def refit_images(
    weights: Tensors, start: Tensors, learned: int, staying: Tensor, returning: Tensor, plan: RefitPlan
) -> Tensors:
    """The image projection with which some photographs go back and the others stay.

    Args:
        weights: of the model; not changed.
        start: of the model whose rows some photographs are to have.
        learned: the rows of the projection that may change are the first so many.
        staying: (n, F) features.
        returning: (m, F) features of those that go back.
        plan: their weight, and the ridge.
    """
    names = ("image_projection.weight", "image_projection.bias")
    matrix, bias = (weights[name][:learned] for name in names)
    before = nn.functional.linear(returning, start[names[0]][:learned], start[names[1]][:learned])
    now = nn.functional.linear(returning, matrix, bias)
    missing = nn.functional.normalize(before, dim=1) * now.norm(dim=1, keepdim=True) - now
    features = torch.cat([_with_one(staying), _with_one(returning)])
    counts = torch.cat([torch.ones(len(staying)), torch.full((len(returning),), plan.photographs)])
    wanted = torch.cat([torch.zeros(len(staying), learned), missing])
    weighted = features * counts[:, None]
    gram = weighted.T @ features
    change = _solve(gram, weighted.T @ wanted, plan.image_ridge * gram.diagonal()[:-1].mean())
    found = {name: weights[name].clone() for name in names}
    found[names[0]][:learned] += change[:-1].T
    found[names[1]][:learned] += change[-1]
    return {**weights, **found}


def fit_texts(model: TwoTowerModel, bags: Tensor, wishes: Wishes, plan: RefitPlan) -> Tensors:
    """The weights with which texts come nearest to where they are to go, by gradient descent on what follows the bags.

    A step draws texts as often as they weigh, so that each counts one.

    Args:
        model: left as it is.
        bags: (n, width) what the MLP is given for each text.
        wishes: of all of them.
        plan: steps, their texts and their rate.

    Returns:
        All weights.
    """
    asked, drawn = torch.nonzero(wishes.weights > 0).squeeze(1), torch.Generator().manual_seed(0)
    before = weights_of(model)
    with learning(model) as layers:
        optimizer = torch.optim.AdamW(layers, plan.text_rate, weight_decay=0.0)
        for step in range(plan.text_steps):
            place = torch.multinomial(wishes.weights[asked], plan.texts, replacement=True, generator=drawn)
            rows = asked[place]
            loss = distillation(text_rows(model, bags[rows]), wishes.rows[rows])
            for group in optimizer.param_groups:
                group["lr"] = plan.text_rate * warmup_cosine(step, 10, plan.text_steps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    after = weights_of(model)
    model.load_state_dict(before)
    return after


def class_rows(
    rows: Tensor, meant: Sequence[frozenset[int]], places: Tensor, gains: Mapping[bool, float], few: int
) -> Tensor:
    """(n, D) rows of class names, their class part where their classes are.

    Args:
        rows: (n, D) unit rows.
        meant: the classes that each may mean.
        places: (classes, D - learned) unit rows.
        gains: what the class part is multiplied by, of names that mean few classes (True), and of others.
        few: so many classes.
    """
    own, part = torch.split(rows, [rows.shape[1] - places.shape[1], places.shape[1]], 1)
    where = nn.functional.normalize(torch.stack([places[list(one)].mean(0) for one in meant]), dim=1)
    factors = torch.tensor([gains[len(one) <= few] for one in meant])
    return nn.functional.normalize(torch.cat([own, (factors * part.norm(dim=1))[:, None] * where], 1), dim=1)


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features.float(), torch.ones(len(features), 1)], 1)


def _solve(gram: Tensor, wanted: Tensor, ridge: float | Tensor) -> Tensor:
    found: Tensor = torch.linalg.solve(gram + ridge * torch.eye(len(gram)), wanted)
    return found
