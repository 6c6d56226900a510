"""Print an evaluation for people: its conditions, then one table for each direction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retrieval.cli.printing import bytes_size, counted, one_line, printable
from retrieval.evaluation.classification import Classification
from retrieval.evaluation.conditions import classification_conditions, evaluation_conditions
from retrieval.evaluation.evaluation_set import DIRECTIONS, Direction
from retrieval.evaluation.figures import DirectionFigures, HitRate
from retrieval.evaluation.indexes import IndexFigures
from retrieval.evaluation.intervals import Interval
from retrieval.evaluation.metrics import Share
from retrieval.evaluation.reranking import RerankedFigures
from retrieval.evaluation.run import EngineFigures, Evaluation, ModelFigures
from retrieval.evaluation.searching import Latency
from retrieval.evaluation.significance import CORRECTION, FLIPS, TEST, Comparison

WIDTH = 96  # columns where output is not a terminal: tables are not folded in a file


def show_evaluation(evaluation: Evaluation) -> None:
    """Print everything that was measured."""
    console = _console()
    _show_conditions(console, evaluation_conditions(evaluation))
    for direction in DIRECTIONS:
        if direction in evaluation.evaluated.directions:
            _show_direction(console, evaluation, direction)
    _lines(console, _rsums(evaluation.models))
    for model in evaluation.models:
        if model.engine is not None:
            _show_engine(console, model.engine)
        if model.indexes:
            _show_indexes(console, model.indexes)
    if evaluation.comparisons:
        _show_comparisons(console, evaluation.comparisons)


def show_gains(figures: RerankedFigures) -> None:
    """Print what a second look has gained."""
    console = _console()
    console.print()
    looked = f"{figures.reranker} looked again at the first {figures.depth} of each list of {figures.model}"
    console.print(Text(one_line(looked), style="bold"), soft_wrap=True)
    table = _table("direction", "K", "hit rate@K", "looked again", "gain", "95 % interval")
    for direction, gains in figures.gains.items():
        for gain in gains:
            table.add_row(
                direction,
                str(gain.k),
                _percent(gain.before),
                _percent(gain.after),
                f"{100 * gain.difference:+.2f}",
                f"{100 * gain.interval.low:+.1f} – {100 * gain.interval.high:+.1f}",
            )
    _print_table(console, table)


def show_accuracies(classified: Classification) -> None:
    """Print zero-shot accuracies."""
    console = _console()
    _show_conditions(console, classification_conditions(classified))
    table = _table("model", "top-1", "right", "95 % interval", "top-5", "mean over classes")
    for name, (_, accuracy) in classified.models.items():
        table.add_row(
            _safe(name),
            _percent(accuracy.top1.value),
            _share(accuracy.top1),
            _interval(accuracy.interval),
            "" if accuracy.top5 is None else _percent(accuracy.top5.value),
            _percent(accuracy.mean_per_class),
        )
    _print_table(console, table)


def _show_direction(console: Console, evaluation: Evaluation, direction: Direction) -> None:
    several = len(evaluation.models) > 1
    directions = [(model.model, model.figures.directions[direction]) for model in evaluation.models]
    first = directions[0][1]
    console.print()
    console.print(
        Text(
            f"{direction}: {first.queries:,} queries, ranked among {first.gallery:,}",
            style="bold",
        )
    )
    table = _table(
        *(("model",) if several else ()),
        "K",
        "hit rate@K",
        "hits",
        "95 % interval",
        "with ties",
        "recall@K",
        "precision@K",
        "nDCG@K",
    )
    for name, measured in directions:
        for row in _cut_rows(measured):
            table.add_row(*((_safe(name),) if several else ()), *row)
    _print_table(console, table)
    table = _table(
        *(("model",) if several else ()),
        "MRR",
        "median rank",
        "mean rank",
        "mAP",
        "mAP@R",
        "R-precision",
        "mean hit rate (MR)",
    )
    for name, measured in directions:
        table.add_row(*((_safe(name),) if several else ()), *_rank_row(measured))
    _print_table(console, table)


def _cut_rows(measured: DirectionFigures) -> Iterator[tuple[str, ...]]:
    for rate in measured.hit_rates:
        yield (
            str(rate.k),
            _percent(rate.rate.value),
            _share(rate.rate),
            _interval(rate.interval),
            _ties(rate),
            _percent(measured.recall[rate.k]),
            _percent(measured.precision[rate.k]),
            f"{measured.ndcg[rate.k]:.4f}",
        )


def _rank_row(measured: DirectionFigures) -> tuple[str, ...]:
    def share(value: float | None) -> str:
        return "beyond the depth" if value is None else f"{value:.4f}"

    return (
        f"{measured.mrr:.4f}",
        _rank(measured.median_rank),
        _rank(measured.mean_rank),
        f"{measured.mean_average_precision:.4f}",
        share(measured.map_at_r),
        share(measured.r_precision),
        "" if measured.mean_recall is None else _percent(measured.mean_recall),
    )


def _rsums(models: Sequence[ModelFigures]) -> Iterator[str]:
    for model in models:
        if model.figures.rsum is not None:
            yield f"RSum {model.figures.rsum:.2f} of 600 (hit rates at 1, 5 and 10, both directions): {model.model}"


def _show_engine(console: Console, engine: EngineFigures) -> None:
    console.print()
    console.print(Text(f"asked of collection {printable(str(engine.collection))}", style="bold"))
    held = f"{counted(engine.items[0], 'picture')}, {counted(engine.items[1], 'text')}"
    _lines(console, [f"it holds {held}; those outside the evaluation take their places in the lists"])
    table = _table("direction", "K", "hit rate@K", "hits", "p50 ms", "p95", "p99")
    for direction, measured in engine.figures.directions.items():
        for rate in measured.hit_rates:
            times = _latency(engine.latency[direction]) if rate is measured.hit_rates[0] else ("", "", "")
            table.add_row(direction, str(rate.k), _percent(rate.rate.value), _share(rate.rate), *times)
    _print_table(console, table)


def _show_indexes(console: Console, indexes: Sequence[IndexFigures]) -> None:
    first = indexes[0]
    console.print()
    console.print(
        Text(
            f"indexes over {first.gallery:,} pictures against exact search: first {first.k} of {first.queries:,} "
            "text queries",
            style="bold",
        )
    )
    _lines(console, [f"exact hit rate@{first.k} {_percent(first.exact_hits / first.queries)}"])
    table = _table("index", "recall lost", f"hit rate@{first.k}", "p50 ms", "p95", "p99", "memory", "built")
    for figures in indexes:
        table.add_row(
            _safe(figures.name),
            _percent(1 - figures.recall),
            _percent(figures.hits / figures.queries),
            *_latency(figures.latency),
            bytes_size(figures.bytes),
            "" if figures.build_seconds is None else f"{figures.build_seconds:.2f} s",
        )
    _print_table(console, table)


def _show_comparisons(console: Console, comparisons: Sequence[Comparison]) -> None:
    console.print()
    console.print(Text("differences between models", style="bold"))
    note = f"{TEST}, {FLIPS:,} flips; p corrected by {CORRECTION} over all {len(comparisons)} comparisons"
    _lines(console, [note])
    table = _table("from", "to", "figure", "difference", "p", "corrected")
    for row in comparisons:
        table.add_row(
            _safe(row.first),
            _safe(row.second),
            row.figure,
            f"{100 * row.difference:+.2f}",
            f"{row.p:.4f}",
            f"{row.corrected:.4f}{' *' if row.corrected < 0.05 else ''}",
        )
    _print_table(console, table)


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    return (
        console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=WIDTH)
    )


def _show_conditions(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    for label, words in facts:
        console.print(Text(f"{label:<13}{one_line(words)}"), soft_wrap=True)


def _lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(one_line(line)), soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        words = name in ("model", "index", "from", "to", "figure", "direction")
        table.add_column(Text(name), justify="left" if words and number < 3 else "right", no_wrap=True)
    return table


def _print_table(console: Console, table: Table) -> None:
    """Print a table; where it is wider than the terminal, each row as words, since rich would cut its figures."""
    if console.measure(table, options=console.options.update(max_width=10_000)).maximum <= console.width:
        console.print(table)
        return
    for row in zip(*(column.cells for column in table.columns), strict=True):
        cells = zip(table.columns, row, strict=True)
        words = ", ".join(f"{column.header} {cell}" for column, cell in cells if str(cell))
        console.print(Text(words), soft_wrap=True)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _interval(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} – {100 * interval.high:.1f}"


def _ties(rate: HitRate) -> str:
    """Give the range of the figure if every tie were decided against the model, or for it."""
    if rate.best == rate.worst:
        return "the same"
    return f"{100 * rate.worst.value:.2f} – {100 * rate.best.value:.2f}"


def _share(share: Share) -> str:
    return f"{share.count:,}/{share.of:,}"


def _rank(value: float) -> str:
    return f"{value:,.1f}" if math.isfinite(value) else "never found"


def _latency(latency: Latency) -> tuple[str, str, str]:
    p50, p95, p99 = (f"{1000 * seconds:.2f}" for seconds in (latency.p50, latency.p95, latency.p99))
    return p50, p95, p99


def _safe(name: str) -> Text:
    return Text(printable(name))
