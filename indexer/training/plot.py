"""Plots of a run: loss by step, validation recall by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retrieval.evaluation.report.drawing import import_matplotlib
from retrieval.extras import require

FILE = "curves.png"


def plot_curves(lines: Iterable[Mapping[str, Any]], title: str, target: Path) -> None:
    """Draw the lines of a metrics file: R@1 solid, R@10 broken.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("plot", "drawing the curves of a run")
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    every = list(lines)
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    steps = [line for line in every if "step" in line]
    epochs = [line for line in every if "val" in line]
    a_epoch = max((line["step"] for line in steps), default=1)
    left.plot(
        [line["epoch"] - 1 + line["step"] / a_epoch for line in steps],
        [line["loss"] for line in steps],
        color="0.7",
        label="ten steps",
    )
    left.plot([line["epoch"] for line in epochs], [line["loss"] for line in epochs], "o-", label="epoch")
    left.set(xlabel="epoch", ylabel="loss (mean)")
    if every:
        left.legend(loc="upper right")  # named: looking for the best place takes long, and warns of it
    ways = [
        (language, way, shown)
        for language in sorted({name for line in epochs for name in line["val"]})
        for way, shown in (("t2i", "text to image"), ("i2t", "image to text"))
    ]
    for place, (language, way, shown) in enumerate(ways):
        own = [line for line in epochs if language in line["val"]]
        for cut, style in ((1, "o-"), (10, "s--")):
            right.plot(
                [line["epoch"] for line in own],
                [line["val"][language][f"{way}_r{cut}"] for line in own],
                style,
                color=f"C{place}",
                label=f"R@{cut} {shown}{f', {language}' if language else ''}",
            )
    right.set(xlabel="epoch", ylabel="R@1 and R@10 on held-out pairs, %")
    right.set_ylim(0, 1.4 * right.get_ylim()[1])  # room for the legend above the curves
    if epochs:
        right.legend(loc="upper left")
    drawable = title.encode(errors="backslashreplace").decode()  # a path need not be valid Unicode
    figure.suptitle(drawable, fontsize=10, parse_math=False)
    draft = target.with_name(f".{target.name}.draft")
    figure.savefig(draft, dpi=120, format="png", metadata={"Software": None})
    draft.replace(target)
