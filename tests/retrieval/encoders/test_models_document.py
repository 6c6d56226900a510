"""docs/models.md says what the program says."""

from __future__ import annotations

from pathlib import Path

from retrieval.encoders.families.table import FAMILIES
from retrieval.encoders.recommended import Published
from retrieval.encoders.registry import RECOMMENDED

DOCUMENT = Path(__file__).parents[3] / "docs" / "models.md"


def figures(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f"{pair[0]:.1f} / {pair[1]:.1f}"


def test_the_table_of_models_is_the_programs() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").split("<!-- models -->")[1].split("<!-- /models -->")[0]
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]

    none = Published("")
    assert shown == [
        [
            f"`{model.alias}`",
            model.hub_id or "in the package",
            ", ".join(model.languages),
            f"{model.size_mb:,}",
            str(model.dimension),
            figures((model.published or none).coco),
            figures((model.published or none).flickr),
            model.licence,
        ]
        for model in RECOMMENDED
    ]


def test_every_family_has_its_row() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").lower().replace(" ", "-")

    for family in FAMILIES.values():
        assert f"|-{family.name.removesuffix('-naflex').replace('siglip2', 'siglip-2')}-|" in text
