"""The HTML report: one page that stands alone, shows what it should, and trusts no caption."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from retrieval.errors import MissingExtra
from retrieval.evaluation.indexes import measure_indexes
from retrieval.evaluation.report import check_report_packages, write_report
from retrieval.evaluation.run import EngineFigures, Evaluation
from retrieval.evaluation.searching import Latency
from tests.retrieval.evaluation.small_sets import evaluation_of, five_each, random_units


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(file, "JPEG")
    return file.getvalue()


class Page(HTMLParser):
    """The tags of a page, with their attributes, checked for balance; and its text."""

    VOID = frozenset({"meta", "img", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def random_evaluation(
    models: Sequence[str] = ("one",),
    words: Sequence[str] | None = None,
    data: bytes | None = None,
    images: int = 20,
) -> Evaluation:
    evaluated = five_each(images, words=words, data=jpeg() if data is None else data)
    texts = random_units(5 * images, seed=1)
    return evaluation_of(
        evaluated, {name: (random_units(images, seed=n), texts) for n, name in enumerate(models, 2)}
    )


def page_of(evaluation: Evaluation, folder: Path) -> Page:
    return Page(write_report(evaluation, folder)[0].read_text(encoding="utf-8"))


def test_the_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    page = page_of(random_evaluation(), tmp_path)

    sources = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert len(sources) > 20
    assert all(sources)
    assert all(re.match(r"data:image/(svg\+xml|jpeg);base64,", source) for source in sources if source)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}


def test_the_page_shows_plots_misses_hubs_and_lengths_of_every_model(tmp_path: Path) -> None:
    page = page_of(random_evaluation(["one", "two"]), tmp_path)

    text = " ".join(page.words)
    for name in ("one", "two"):
        assert text.count(f"Worst misses of {name}") == text.count(f"Hubs of {name}") == 2  # directions
    alternatives = [attributes.get("alt") for tag, attributes in page.tags if tag == "img"]
    for plot, times in (
        ("hit rate@K against K", 2),
        ("histogram of ranks", 2),
        ("hit rate by length of the caption", 1),
    ):
        assert alternatives.count(plot) == times
    assert "two-sided paired sign-flip" in text
    assert "precision float32" in text


def test_recall_against_latency_is_drawn_where_indexes_were_measured(tmp_path: Path) -> None:
    evaluation = random_evaluation()
    model, side = evaluation.models[0], evaluation.evaluated.directions["text to image"]
    indexes = measure_indexes(
        ["Flat", "HNSW8;efSearch=4"], model.embedded.texts, model.embedded.images, side.relevance
    )
    measured = replace(evaluation, models=(replace(model, indexes=tuple(indexes)),))

    assert "HNSW8;efSearch=4" in " ".join(page_of(measured, tmp_path).words)
    assert "Approximate indexes" not in " ".join(page_of(evaluation, tmp_path).words)


def test_what_a_collection_answered_stands_beside_with_its_latency(tmp_path: Path) -> None:
    evaluation = random_evaluation()
    model = evaluation.models[0]
    latency = dict.fromkeys(model.figures.directions, Latency(0.00123, 0.00234, 0.00345))
    engine = EngineFigures(Path("photos.vls"), (20, 100), model.figures, latency)

    page = page_of(replace(evaluation, models=(replace(model, engine=engine),)), tmp_path)

    text = " ".join(page.words)
    assert "photos.vls, one: 20 pictures, 100 texts" in text
    assert [word for word in page.words if word in ("1.23", "2.34", "3.45")][:3] == ["1.23", "2.34", "3.45"]


def test_captions_are_shown_as_words_and_never_obeyed(tmp_path: Path) -> None:
    words = [f"<script>alert({row})</script> & {{{{ 7 * 7 }}}}" for row in range(100)]

    page = page_of(random_evaluation(words=words), tmp_path)

    assert "script" not in {tag for tag, _ in page.tags}
    assert any("</script> & {{ 7 * 7 }}" in data for data in page.words)


def test_a_image_that_has_gone_since_is_said_to_be_missing_and_the_page_is_written(tmp_path: Path) -> None:
    evaluation = random_evaluation(data=b"damaged")

    assert "cannot be shown" in " ".join(page_of(evaluation, tmp_path).words)


def test_each_model_has_a_file_as_clip_benchmark_writes_it(tmp_path: Path) -> None:
    written = write_report(random_evaluation(["one", "/models/two"]), tmp_path / "new" / "folder")

    assert [path.name for path in written] == ["report.html", "toy_one_en.json", "toy_-models-two_en.json"]
    assert json.loads(written[1].read_text())["model"] == "one"


def test_the_same_evaluation_gives_the_same_page(tmp_path: Path) -> None:
    evaluation = random_evaluation()

    first, second = (write_report(evaluation, tmp_path / name)[0].read_bytes() for name in "ab")

    assert first == second


def test_a_missing_package_is_named_by_its_extra_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingExtra, match=r"the HTML report needs .* 'vlsearch\[report\]'"):
        check_report_packages()
