"""The review of duplicates, on a server that only reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.testing import HashEncoder
from tests.serving import Serving, fill_album, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHOTOGRAPH = Path(retrieval.__file__).parent / "cli/demo_photographs/coffee.jpg"


def collection_with_copies(folder: Path) -> Path:
    """Six pictures, three of them with an equal file each, one of those a third time; a photograph, also smaller."""
    album = fill_album(folder / "album", 6)
    for number in range(3):
        shutil.copy(album / f"picture {number}.jpg", album / f"picture {number} (2).jpg")
    shutil.copy(album / "picture 0.jpg", album / "picture 0 (3).jpg")
    shutil.copy(PHOTOGRAPH, album)
    with Image.open(PHOTOGRAPH) as photograph:
        photograph.resize((photograph.width // 2, photograph.height // 2)).save(album / "smaller.jpg")
    indexer.build(album, folder / "c", model=HashEncoder())
    return folder / "c"


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("copies")
    with serving([collection_with_copies(folder)], folder / "cache") as found:
        yield found


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_copies_stand_in_groups_the_best_first(open_page: Any, copies: Serving, locale: str) -> None:
    page = open_page("/?view=duplicates&class=bytes", copies, ".group", locale=locale)

    labels = page.eval_on_selector_all(
        ".group:first-child .copy", "all => all.map((one) => one.getAttribute('aria-label'))"
    )
    assert len(labels) == 3
    assert labels[0].startswith(("Best. picture 0.jpg, ", "最好. picture 0.jpg, "))
    assert not page.locator(".group button").count()


def test_the_keyboard_walks_through_copies_and_a_copy_opens_and_closes(
    open_page: Any, copies: Serving
) -> None:
    page = open_page("/", copies)
    page.click("text=Duplicates")
    page.wait_for_selector(".group")
    page.locator(".copy").first.focus()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => document.activeElement.dataset.group") == "1"
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text(".facts h2") == "picture 1.jpg"
    page.keyboard.press("Escape")

    page.wait_for_selector("dialog", state="detached")
    assert page.locator(".group").count() >= 3
    page.go_back()
    page.wait_for_selector(".tile")


def test_a_kind_of_copies_is_chosen_and_stands_in_the_address(open_page: Any, copies: Serving) -> None:
    page = open_page("/?view=duplicates", copies, ".group")
    headings = "() => [...document.querySelectorAll('.group h2')].map((one) => one.textContent)"
    assert set(page.evaluate(headings)) == {"Equal files", "Same picture"}

    page.locator(".kinds label", has_text="Same picture").click()

    page.wait_for_function("() => location.search === '?view=duplicates&class=picture'")
    page.wait_for_function("() => document.querySelectorAll('.group').length === 1")
    assert page.evaluate(headings) == ["Same picture"]
    page.wait_for_function(
        "() => document.querySelector('.group-head .quiet').innerText === 'The first is the best: most pixels'"
    )


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_is_wider_than_a_narrow_screen(open_page: Any, copies: Serving, width: int) -> None:
    page = open_page("/?view=duplicates", copies, ".group", viewport={"width": width, "height": 700})

    overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0


def test_how_far_the_server_is_is_shown_and_a_failure_can_be_tried_again(
    open_page: Any, copies: Serving
) -> None:
    page = open_page("/", copies)
    answers = iter(
        [
            {"status": 202, "json": {"status": "running", "done": 3, "total": 9}},
            {"status": 503, "json": {"error": "the disk is on fire"}},
        ]
    )
    page.route(
        "**/v1/duplicates**",
        lambda route: route.fulfill(**told) if (told := next(answers, None)) else route.continue_(),
    )

    page.click("text=Duplicates")
    page.wait_for_selector("progress[value='3']")
    page.wait_for_selector("text=the disk is on fire")
    page.click("text=Try again")

    page.wait_for_selector(".group")
