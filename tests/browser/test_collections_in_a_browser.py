"""Several collections on one page: which one is looked at is chosen at the top, and stands in the address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import indexer
from retrieval.testing import HashEncoder
from tests.browser.test_page_in_a_browser import search_for
from tests.serving import Serving, fill_album, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHOICE = "select[aria-label=Collection]"


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Collections "first" of 13 pictures and "second & last" of 4."""
    folder = tmp_path_factory.mktemp("collections")
    paths = []
    for name, count in {"first": 12, "second & last": 3}.items():
        indexer.build(fill_album(folder / "albums" / name, count), folder / name, model=HashEncoder())
        paths.append(folder / name)
    with serving(paths, folder / "cache") as found:
        yield found


def wait_for_pictures(page: Any, count: int) -> None:
    """Wait until the page tells so many pictures, and as many of the collection are drawn."""
    page.wait_for_selector(f"[role=status]:has-text('{count} pictures, the newest first')")
    page.wait_for_function(
        """(count) => {
            const shown = [...document.querySelectorAll(".tile img")];
            return shown.length === count && shown.every((one) => one.complete && one.naturalWidth > 0);
        }""",
        arg=count,
    )


def test_a_chosen_collection_is_shown_and_searched(open_page: Any, of_two: Serving) -> None:
    page = open_page("/", of_two)
    wait_for_pictures(page, 13)

    page.select_option(CHOICE, label="second & last")

    wait_for_pictures(page, 4)
    assert page.url.endswith("/?c=second+%26+last")
    search_for(page, "caption 2")
    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    assert page.url.endswith("/?q=caption+2&c=second+%26+last")
    assert page.locator(".tile").count() == 4
    page.reload()
    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    assert page.input_value(CHOICE) == "second & last"


def test_the_first_collection_can_be_chosen_again(open_page: Any, of_two: Serving) -> None:
    page = open_page("/?c=second+%26+last", of_two)
    wait_for_pictures(page, 4)

    page.select_option(CHOICE, label="first")

    wait_for_pictures(page, 13)
    assert page.url.endswith("/?c=first")
    page.go_back()
    wait_for_pictures(page, 4)
    assert page.input_value(CHOICE) == "second & last"


def test_a_collection_is_chosen_with_the_keyboard(open_page: Any, of_two: Serving) -> None:
    page = open_page("/", of_two)
    wait_for_pictures(page, 13)

    page.focus(CHOICE)
    page.keyboard.press("ArrowDown")

    wait_for_pictures(page, 4)
    assert page.url.endswith("/?c=second+%26+last")
    page.keyboard.press("ArrowUp")
    wait_for_pictures(page, 13)
    assert page.url.endswith("/?c=first")
