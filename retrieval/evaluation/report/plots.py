"""Plots of an evaluation, each as an SVG image in a data URI; nothing of matplotlib's global state is touched."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from retrieval.evaluation.evaluation_set import Direction
from retrieval.evaluation.figures import Figures
from retrieval.evaluation.findings import LengthBin
from retrieval.evaluation.indexes import IndexFigures
from retrieval.evaluation.metrics import first_rank
from retrieval.evaluation.report.drawing import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEEPEST = 100  # K of the curves: beyond it nobody looks
COLOURS = ("#2563a8", "#c2571a", "#2f7d4f", "#8a3f8f", "#7a6a12", "#b03050")
_INK, _GRID = "#333333", "#dddddd"


def hit_rate_curves(figures: Mapping[str, Figures], direction: Direction) -> str:
    """Hit rate@K against K, one line a model, with the bootstrap interval at each K that was asked for."""
    figure, axes = _axes()
    for colour, (name, found) in zip(_colours(len(figures)), figures.items(), strict=True):
        measured = found.directions[direction]
        cuts = np.arange(1, min(DEEPEST, measured.depth) + 1)
        first = np.sort(first_rank(measured.ranks))
        share = np.searchsorted(first, cuts, side="right") / measured.queries
        axes.plot(cuts, 100 * share, color=colour, label=name, linewidth=1.8)
        for rate in measured.hit_rates:
            if rate.k <= DEEPEST:
                low, high = rate.interval.low, rate.interval.high
                axes.vlines(rate.k, 100 * low, 100 * high, color=colour, linewidth=4, alpha=0.35)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], labels=["1", "2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_ylim(0, 100)
    _label(axes, "K", "hit rate@K, %")
    _legend(axes, len(figures))
    return _svg(figure)


def rank_histogram(figures: Mapping[str, Figures], direction: Direction) -> str:
    """Share of queries by the rank of their first answer, in bins that double."""
    figure, axes = _axes()
    deepest = max(found.directions[direction].depth for found in figures.values())
    edges = [1, 2, *(2**power + 1 for power in range(1, int(np.ceil(np.log2(max(deepest, 2)))) + 1))]
    labels = [str(low) if high == low + 1 else f"{low:,}–{high - 1:,}" for low, high in pairwise(edges)]
    width = 0.8 / len(figures)
    for number, (colour, (name, found)) in enumerate(
        zip(_colours(len(figures)), figures.items(), strict=True)
    ):
        measured = found.directions[direction]
        first = first_rank(measured.ranks)
        counts, _ = np.histogram(first[np.isfinite(first)], bins=edges)
        places = np.arange(len(labels)) - 0.4 + width * (number + 0.5)
        axes.bar(places, 100 * counts / measured.queries, width, color=colour, label=name)
    axes.set_xticks(range(len(labels)), labels=labels, rotation=45, ha="right", fontsize=8)
    _label(axes, "rank of the first answer", "queries, %")
    _legend(axes, len(figures))
    return _svg(figure)


def length_plot(bins: Mapping[str, Sequence[LengthBin]], cut: int) -> str:
    """Hit rate of text queries by caption length, one group of bars a bin."""
    figure, axes = _axes()
    some = next(iter(bins.values()))
    width = 0.8 / len(bins)
    for number, (colour, (name, found)) in enumerate(zip(_colours(len(bins)), bins.items(), strict=True)):
        places = np.arange(len(found)) - 0.4 + width * (number + 0.5)
        axes.bar(places, [100 * one.rates[cut] for one in found], width, color=colour, label=name)
    labels = [f"{one.low}" if one.low == one.high else f"{one.low}–{one.high}" for one in some]
    counted = [f"{label}\n{one.queries:,} queries" for label, one in zip(labels, some, strict=True)]
    axes.set_xticks(range(len(some)), labels=counted, fontsize=8)
    _label(axes, "length of the caption", f"hit rate@{cut}, %")
    _legend(axes, len(bins))
    return _svg(figure)


def index_plot(indexes: Sequence[IndexFigures]) -> str:
    """Recall of the exact first k against a query's median latency: a line an index, a dot a value of its setting."""
    figure, axes = _axes(wide=True)
    series: dict[str, list[IndexFigures]] = {}
    for one in indexes:
        series.setdefault(one.name.rpartition("=")[0] or one.name, []).append(one)
    for number, (colour, (factory, found)) in enumerate(
        zip(_colours(len(series)), series.items(), strict=True)
    ):
        times = [1000 * one.latency.p50 for one in found]
        recalls = [100 * one.recall for one in found]
        axes.plot(times, recalls, "o-", color=colour, label=factory, linewidth=1.2, markersize=5)
        for time, recall, one in zip(times, recalls, found, strict=True):
            setting = one.name.rpartition("=")[2] if "=" in one.name else ""
            below = -11 if number % 2 == 0 else 6
            axes.annotate(
                setting, (time, recall), (0, below), textcoords="offset points", fontsize=7, ha="center"
            )
    axes.margins(x=0.1, y=0.12)
    axes.set_xlim(left=0)
    _label(axes, "median latency of a query, ms", f"recall of the exact first {indexes[0].k}, %")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _svg(figure)


def _axes(wide: bool = False) -> tuple[Figure, Axes]:
    import_matplotlib()
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(figsize=(7.6 if wide else 5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK)
    return figure, axes


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)


def _legend(axes: Axes, models: int) -> None:
    if models > 1:
        axes.legend(frameon=False, fontsize=8)


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _svg(figure: Figure) -> str:
    """The figure as a data URI; the same figure gives the same bytes."""
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "vlsearch", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
