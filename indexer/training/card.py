"""The model card in Markdown: training data, figures and terms of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexer.training.validation import Figures

FILE = "README.md"
NO_TERMS = "Not stated (no `--data-licence`). Look them up before you pass the weights on."


@dataclass(frozen=True, slots=True)
class Card:
    """The facts of a model card.

    Attributes:
        start: what the model was before.
        corpus: name of the training corpus, and what it was judged on.
        val: likewise.
        counts: of pictures, captions and failures, in words.
        terms: of the data, as the person who trained it stated them; None where they did not.
        command: what was typed; empty where it was called from Python.
        seconds: that training took.
        epoch: whose weights these are, from 1.
        figures: of these weights, on held-out pairs.
        recipe: settings.
        environment: versions and device.
    """

    start: str
    corpus: str
    val: str
    counts: Mapping[str, int]
    terms: str | None
    command: str
    seconds: float
    epoch: int
    figures: Figures
    recipe: Mapping[str, Any]
    environment: Mapping[str, str]


def render(card: Card) -> str:
    """Write the card as Markdown."""
    counts = card.counts
    lines = [
        "# Model card",
        "",
        f"A dual encoder for pictures and texts, trained with `vlsearch train` from {card.start}. Weights of epoch "
        f"{card.epoch}; training took {_duration(card.seconds)}.",
        "",
        "## Data",
        "",
        f"- Learned from: {card.corpus}: {counts['train_pictures']:,} distinct pictures, "
        f"{counts['train_captions']:,} captions.",
        f"- Judged on: {card.val}: {counts['val_pictures']:,} pictures, {counts['val_captions']:,} captions. None of "
        "them, by their bytes, was learned from.",
        f"- Could not be read: {counts['failed']:,}.",
        f"- Terms of the data: {card.terms or NO_TERMS}",
        "",
        "## Figures",
        "",
        'Share of queries, in per cent, with a right answer among the first 1, 5 and 10 (hit rate, the "R@K" of '
        "image-text papers), on the held-out pairs above. The best epoch was chosen by them, so they flatter a "
        "little.",
        "",
        "| captions | text to image R@1, 5, 10 | image to text R@1, 5, 10 |",
        "|---|---|---|",
    ]
    for language, own in card.figures.items():
        forth, back = (", ".join(f"{own[f'{way}_r{k}']:.1f}" for k in (1, 5, 10)) for way in ("t2i", "i2t"))
        lines.append(f"| {language or 'all'} | {forth} | {back} |")
    lines += ["", "## How it was made", ""]
    lines += ["```", card.command, "```", ""] if card.command else ["By a call of `indexer.train`.", ""]
    lines += [f"- {name}: {value}" for name, value in card.recipe.items()]
    lines += ["", "On " + ", ".join(f"{name} {value}" for name, value in card.environment.items()) + ".", ""]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if minutes < 2
        else f"{minutes:.0f} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )
