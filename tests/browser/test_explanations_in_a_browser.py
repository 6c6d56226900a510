"""Why a hit was found, on the page: shares of words, and a drawing over the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import axe_violations
from tests.command_line import fill_photos, vlsearch
from tests.serving import Serving, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def explaining(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("explained")
    asked = ("index", fill_photos(folder / "p"), "--model", model, "--collection", folder / "c", "--quiet")
    done = vlsearch(*asked)
    assert done.exit_code == 0, done.stderr
    with serving([folder / "c"], folder / "cache", hashes=False) as found:
        yield found


def test_e_opens_a_hit_with_the_shares_of_words_and_a_drawing_and_e_again_takes_them_away(
    open_page: Any, explaining: Serving
) -> None:
    page = open_page("/?q=a+red+square", at=explaining)
    page.locator("[data-at='0']").focus()

    page.keyboard.press("e")
    page.wait_for_selector(".shares")

    assert [row.split()[0] for row in page.locator(".shares li").all_inner_texts()] == ["a", "red", "square"]
    drawn = (
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    )
    page.wait_for_selector(".overlay")
    assert page.eval_on_selector(".overlay", drawn)
    assert "why=1" in page.url
    assert axe_violations(page) == []
    page.keyboard.press("e")
    page.wait_for_selector(".shares", state="detached")
    assert page.locator(".overlay").count() == 0
    assert "why=1" not in page.url


def test_an_explanation_survives_a_reload_and_goes_on_with_the_next_picture(
    open_page: Any, explaining: Serving
) -> None:
    page = open_page("/?q=a+red+square", at=explaining)
    page.locator(".tile").first.click()
    page.click("text=Why this?")
    page.wait_for_selector(".shares")

    page.reload()
    page.wait_for_selector(".shares")
    with page.expect_response("**/explain"):
        page.keyboard.press("ArrowRight")

    page.wait_for_selector(".shares")
    assert page.inner_text(".steps").startswith("2 of ")


def test_a_model_that_tells_no_places_has_its_reason_shown(open_page: Any) -> None:
    page = open_page("/?q=caption+1", locale="zh-CN")
    page.locator(".tile").first.click()

    page.keyboard.press("e")

    said = page.wait_for_selector(".reasons p").inner_text()
    page.wait_for_selector(".shares")
    assert page.locator(".overlay").count() == 0
    assert "无法说明图片中的位置" in page.inner_text(".reasons"), said


def test_what_was_not_searched_for_has_nothing_to_explain(open_page: Any) -> None:
    page = open_page()
    page.locator(".tile").first.click()
    page.wait_for_selector("dialog[open]")

    page.keyboard.press("e")

    assert page.locator(".reasons").count() == 0
    assert page.locator("[aria-keyshortcuts='e']").count() == 0


def test_the_part_of_a_picture_that_was_found_is_framed_until_it_is_explained(
    open_page: Any, explaining: Serving
) -> None:
    page = open_page("/", at=explaining)

    def by_a_region(route: Any) -> None:
        facts = route.fetch().json()
        facts["hits"][0]["region"] = [0.25, 0.5, 0.5, 0.25]
        route.fulfill(json=facts)

    page.route("**/v1/search", by_a_region)
    page.fill("input[type=search]", "a red square")
    page.keyboard.press("Enter")
    page.locator("[data-at='0'][aria-label^='1. ']").click()
    page.wait_for_selector(".overlay")

    has_ink = """(canvas) => {
        const pen = canvas.getContext("2d");
        const ink = (x, y) => pen.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3] > 0;
        return [ink(0.25, 0.6), ink(0.5, 0.5), ink(0.5, 0.6), ink(0.1, 0.1)];
    }"""
    assert page.eval_on_selector(".overlay", has_ink) == [True, True, False, False]
    assert page.inner_text(".by-region") == "The framed part of the picture is what was found."
    page.keyboard.press("e")
    page.wait_for_selector(".shares")
    page.wait_for_selector(".by-region", state="detached")
