"""Puts a report together: what was measured, plots, and where each model fails, as one HTML file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.decoding.pool import DecodePool
from retrieval.evaluation.clip_benchmark import retrieval_records
from retrieval.evaluation.conditions import evaluation_conditions
from retrieval.evaluation.evaluation_set import DIRECTIONS, Direction, EvaluationSet
from retrieval.evaluation.figures import HitRate
from retrieval.evaluation.findings import (
    HUB_DEPTH,
    Hubness,
    Miss,
    Scored,
    by_length,
    hubness,
    worst_misses,
)
from retrieval.evaluation.report.thumbnails import Thumbnails
from retrieval.evaluation.run import Evaluation, ModelFigures
from retrieval.evaluation.significance import CORRECTION, FLIPS, TEST
from retrieval.extras import require
from retrieval.uris import display, last_part

PAGE = "report.html"
CAPTIONS_SHOWN = 5
_UNNAMED = re.compile(r"[^\w.-]+")  # what stands in no file name: a model may be a path
_TITLES: Mapping[Direction, str] = {
    "text to image": "Text to image: a caption asks for its picture",
    "image to text": "Image to text: a picture asks for its captions",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """An item as the page shows it: an image, a text, or an image with its texts."""

    name: str
    image: str | None
    texts: tuple[str, ...]
    note: str


def check_report_packages() -> None:
    """Refuse early, before hours of encoding, what cannot be drawn.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    require("report", "the HTML report")


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write ``report.html`` and each model's figures as CLIP_benchmark writes them, one file a model.

    Args:
        evaluation: its images are read again, for the small ones that are shown.
        folder: made if missing; files of these names are replaced.

    Returns:
        The files written, the page first.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    check_report_packages()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # captions and file names are not ours
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / PAGE
    page.write_text(
        environment.get_template("report.html.j2").render(_content(evaluation)),
        encoding="utf-8",
        errors="surrogateescape",
    )
    written = [page]
    for record in retrieval_records(evaluation):
        words = (str(record[key]) for key in ("dataset", "model", "language"))
        path = folder / f"{'_'.join(_UNNAMED.sub('-', word) for word in words)}.json"
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _content(evaluation: Evaluation) -> dict[str, Any]:
    """All that the template names."""
    from retrieval.evaluation.report.plots import index_plot

    measured = {model.model: model.indexes for model in evaluation.models if model.indexes}
    return {
        "title": f"{evaluation.evaluated.name} ({evaluation.evaluated.language})",
        "facts": list(evaluation_conditions(evaluation)),
        "directions": _directions(evaluation),
        "rsums": {m.model: m.figures.rsum for m in evaluation.models if m.figures.rsum is not None},
        "comparisons": evaluation.comparisons,
        "test": f"{TEST}, {FLIPS:,} flips; p corrected by {CORRECTION} over all comparisons",
        "indexes": measured,
        "index_plots": {name: index_plot(found) for name, found in measured.items()},
        "engines": {m.model: m.engine for m in evaluation.models if m.engine is not None},
        "hub_depth": HUB_DEPTH,
    }


def _directions(evaluation: Evaluation) -> list[dict[str, Any]]:
    directions = evaluation.evaluated.directions
    with DecodePool(evaluation.options.limits, workers=1) as pool:
        thumbnails = Thumbnails(evaluation.evaluated.images, pool)
        return [
            _direction(evaluation, direction, thumbnails)
            for direction in DIRECTIONS
            if direction in directions
        ]


def _direction(evaluation: Evaluation, direction: Direction, thumbnails: Thumbnails) -> dict[str, Any]:
    from retrieval.evaluation.report.plots import hit_rate_curves, rank_histogram

    figures = {model.model: model.figures for model in evaluation.models}
    first = figures[evaluation.models[0].model].directions[direction]
    return {
        "name": direction,
        "title": _TITLES[direction],
        "queries": first.queries,
        "gallery": first.gallery,
        "models": [(name, found.directions[direction]) for name, found in figures.items()],
        "ties": _ties,
        "curves": hit_rate_curves(figures, direction),
        "histogram": rank_histogram(figures, direction),
        "lengths": _lengths(evaluation) if direction == "text to image" else None,
        "failures": [
            _failures(evaluation.evaluated, model, direction, thumbnails) for model in evaluation.models
        ],
    }


def _lengths(evaluation: Evaluation) -> dict[str, Any]:
    from retrieval.evaluation.report.plots import length_plot

    bins = {
        model.model: by_length(
            evaluation.evaluated, model.figures.directions["text to image"], evaluation.cuts
        )
        for model in evaluation.models
    }
    return {"bins": bins, "plot": length_plot(bins, evaluation.cuts[-1]), "cuts": evaluation.cuts}


def _failures(
    evaluated: EvaluationSet, model: ModelFigures, direction: Direction, thumbnails: Thumbnails
) -> dict[str, Any]:
    show = _Show(evaluated, direction, thumbnails)
    hubs = hubness(evaluated, model.embedded, direction)
    misses = worst_misses(evaluated, model.embedded, model.figures.directions[direction])
    return {
        "model": model.model,
        "misses": [show.miss(miss) for miss in misses],
        "hubness": hubs,
        "hubs": list(show.hubs(hubs)),
    }


class _Show:
    """Makes rows of an evaluation set into what the page shows."""

    def __init__(self, evaluated: EvaluationSet, direction: Direction, thumbnails: Thumbnails) -> None:
        self._evaluated, self._thumbnails = evaluated, thumbnails
        self._finds_images = direction == "text to image"
        relevance = evaluated.directions[direction].relevance
        self._described = relevance.transposed() if self._finds_images else relevance

    def miss(self, miss: Miss) -> dict[str, Any]:
        """A query, its answer, and what outranked it."""
        query = self._text(miss.query, "") if self._finds_images else self._image(miss.query, "")
        return {
            "rank": miss.rank,
            "query": query,
            "answer": self._item(miss.answer, f"rank {miss.rank:,}"),
            "ahead": [self._item(item, f"rank {rank}") for rank, item in enumerate(miss.ahead, 1)],
        }

    def hubs(self, found: Hubness) -> Iterator[_Shown]:
        """The most frequent items."""
        for hub in found.hubs:
            note = f"{hub.times:,} queries, {hub.right:,} of them rightly"
            yield self._image(hub.row, note) if self._finds_images else self._text(hub.row, note)

    def _item(self, scored: Scored, place: str) -> _Shown:
        note = f"{place}, score {scored.score:.3f}"
        return self._image(scored.row, note) if self._finds_images else self._text(scored.row, note)

    def _image(self, row: int, note: str) -> _Shown:
        captions = self._described.answers(row)[:CAPTIONS_SHOWN].tolist()
        words = tuple(self._evaluated.texts[text].text for text in captions)
        name = last_part(self._evaluated.images[row].uri)
        return _Shown(name, self._thumbnails[row], words, note)

    def _text(self, row: int, note: str) -> _Shown:
        text = self._evaluated.texts[row]
        return _Shown(display(text.uri), None, (text.text,), note)


def _ties(rate: HitRate) -> str:
    if rate.best == rate.worst:
        return "the same"
    return f"{100 * rate.worst.value:.2f} – {100 * rate.best.value:.2f}"
