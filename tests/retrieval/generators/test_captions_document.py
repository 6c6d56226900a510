"""docs/captions.md says what the program says."""

from __future__ import annotations

from pathlib import Path

from retrieval.generators.recommended import BEST_FIRST, FIRST_DOWNLOAD, RECOMMENDED

DOCUMENT = Path(__file__).parents[3] / "docs" / "captions.md"


def figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def test_the_table_of_models_is_the_programs() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.split("<!-- generators -->")[1].split("<!-- /generators -->")[0]
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]

    assert shown == [
        [
            f"`{row.alias}`",
            row.hub_id or "comes with vlsearch",
            " ".join(
                {"caption": "captions", "ask": "questions", "rerank": "re-ranking"}[task]
                for task in row.tasks
            ),
            f"{row.megabytes:,}",
            figure(row.cider),
            figure(row.vqa),
            row.licence,
        ]
        for row in RECOMMENDED
    ]


def test_every_recommended_model_has_its_place_in_the_order_of_its_tasks() -> None:
    for task, order in BEST_FIRST.items():
        assert sorted(order) == sorted(row.alias for row in RECOMMENDED if task in row.tasks)
        assert FIRST_DOWNLOAD[task] in order
