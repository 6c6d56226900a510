"""Where texts are to go in the last stage: captions stay, short queries go towards the photographs that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recipes.mini.caption_words import CaptionWords
from recipes.mini.names import Names
from recipes.mini.refit_stage import RefitPlan, Wishes, class_rows, probes
from recipes.mini.spoken import Spoken
from recipes.mini.vocabulary import Vocabulary


@dataclass(frozen=True)
class Pictured:
    """Photographs, and what is right for them.

    Attributes:
        captioned: (n, D) unit rows.
        words: of their captions.
        labelled: (m, D).
        named: (m, names) bool: the things in them.
        classes: (k, D), the class photographs.
        labels: the label of each.
    """

    captioned: Tensor
    words: CaptionWords
    labelled: Tensor
    named: Tensor
    classes: Tensor
    labels: Sequence[str]


@dataclass(frozen=True)
class Rows:
    """Where texts are.

    Attributes:
        place: the row of each text.
        now: (n, D) unit rows.
        start: (n, D), where the start had them.
    """

    place: Mapping[str, int]
    now: Tensor
    start: Tensor

    def at(self, texts: Sequence[str]) -> list[int]:
        """The rows of texts."""
        return [self.place[text] for text in texts]


def make_wishes(
    spoken: Spoken,
    rows: Rows,
    shown: Pictured,
    names: Names,
    vocabulary: Vocabulary,
    places: Tensor,
    labels: Sequence[str],
    plan: RefitPlan,
) -> Wishes:
    """Every text's; words and labels go on from what is wished of them as names.

    Args:
        spoken: the texts.
        rows: where they are.
        shown: photographs.
        names: of the things.
        vocabulary: ImageNet's classes.
        places: (classes, D - learned) unit rows of the classes.
        labels: of the class photographs, in the order of ``spoken.labels``.
        plan: settings.
    """
    wishes = Wishes.staying(rows.now)
    described = [text for own in spoken.described for text, _ in own]
    captions = [text for own in spoken.captions for language in own for text in language]
    staying = rows.at([*captions, *described, *spoken.plain])
    wishes.add(staying, rows.now[staying], plan.captions)
    _wish_names(wishes, spoken, rows, shown, names, vocabulary, places, plan)
    _wish_classes(wishes, spoken, rows, places, plan)
    _wish_names(wishes, spoken, rows, shown, names, vocabulary, places, plan, alone=True)
    _wish_words(wishes, spoken, rows, shown, plan)
    _wish_labels(wishes, spoken, rows, shown, labels, plan)
    return wishes


def _wish_words(wishes: Wishes, spoken: Spoken, rows: Rows, shown: Pictured, plan: RefitPlan) -> None:
    told = probes(shown.captioned, shown.words.right, shown.words.unsure, plan.probe_ridge)
    texts, owners = _flat(spoken.caption_words)
    place, kept = rows.at(texts), plan.words_kept
    first = wishes.wished(place, kept * rows.start[place] + (1 - kept) * rows.now[place])
    wishes.add(place, first + plan.words_told * told[owners], plan.words)


def _wish_names(
    wishes: Wishes,
    spoken: Spoken,
    rows: Rows,
    shown: Pictured,
    names: Names,
    vocabulary: Vocabulary,
    places: Tensor,
    plan: RefitPlan,
    alone: bool = False,
) -> None:
    """Names, told from the other things' photographs and from the class photographs."""
    mentioned = [names.mentioned(label) for label in shown.labels]
    named = torch.tensor([[one.label in own for one in names.all] for own in mentioned])
    right = torch.cat([shown.named, named])
    images = torch.cat([shown.labelled, shown.classes])
    told = probes(images, right, torch.zeros_like(right), plan.probe_ridge)
    for own in spoken.names:
        texts, owners = _flat([things[:1] if alone else things[1:] for things in own])
        meant = [vocabulary.meanings.get(things[0].lower(), frozenset()) for things in own]
        place = rows.at(texts)
        wished = rows.now[place] + plan.names_told * told[owners]
        wished[:, -places.shape[1] :] += plan.names_placed * _places(meant, places, plan.few)[owners]
        wishes.add(place, wished, plan.names if alone else plan.namings)


def _wish_classes(wishes: Wishes, spoken: Spoken, rows: Rows, places: Tensor, plan: RefitPlan) -> None:
    for texts, weight in ((spoken.classes, plan.classes), (spoken.first_classes, plan.first_classes)):
        place, meant = rows.at([text for text, _ in texts]), [classes for _, classes in texts]
        gains = {True: plan.class_gain, False: 1.0}
        wished = rows.now[place] + class_rows(rows.start[place], meant, places, gains, plan.few)
        few = torch.tensor([len(one) <= plan.few for one in meant])
        wished[few, : -places.shape[1]] *= plan.class_own
        wishes.add(place, wished, weight)


def _wish_labels(
    wishes: Wishes, spoken: Spoken, rows: Rows, shown: Pictured, labels: Sequence[str], plan: RefitPlan
) -> None:
    right = torch.tensor([[label == own for label in labels] for own in shown.labels])
    told = probes(shown.classes, right, torch.zeros_like(right), plan.probe_ridge)
    texts, owners = _flat(spoken.labels)
    place = rows.at(texts)
    first = wishes.wished(place, rows.start[place])
    wishes.add(place, first + plan.labels_told * told[owners], plan.labels)


def _places(meant: Sequence[frozenset[int]], places: Tensor, few: int) -> Tensor:
    """(n, D - learned): the place of the classes of each, a unit row; nothing of one without, or with many."""
    found = torch.zeros(len(meant), places.shape[1])
    for row, classes in enumerate(meant):
        if 0 < len(classes) <= few:
            found[row] = torch.nn.functional.normalize(places[list(classes)].mean(0), dim=0)
    return found


def _flat(texts: Sequence[Sequence[str]]) -> tuple[list[str], list[int]]:
    """All texts, and whose each is."""
    pairs = [(text, owner) for owner, own in enumerate(texts) for text in own]
    return [text for text, _ in pairs], [owner for _, owner in pairs]
