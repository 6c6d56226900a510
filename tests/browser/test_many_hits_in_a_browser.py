"""Tens of thousands of hits: all can be reached, few are in the document, and a slow or broken server is told of."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MANY = 20_000


def answer_with_many(page: Any, hits: int) -> None:
    """Answer searches with so many hits, which are the pictures of the real server again and again."""
    real = page.evaluate(
        "async () => (await (await fetch('/v1/search?text=caption&k=100&find=image')).json())"
    )

    def answer(route: Any) -> None:
        asked = route.request.post_data_json
        offset, k = asked["offset"], asked["k"]
        page_of = [
            {**real["hits"][number % len(real["hits"])], "id": 10_000 + number, "rank": number + 1}
            for number in range(offset, min(offset + k, hits))
        ]
        facts = {**real, "hits": page_of, "offset": offset, "next": offset + k if offset + k < hits else None}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(facts))

    page.route("**/v1/search", answer)
    page.route("**/thumbnail?*", lambda route: route.abort())


def test_twenty_thousand_hits_are_scrolled_through_with_few_tiles_in_the_document(open_page: Any) -> None:
    page = open_page()
    answer_with_many(page, MANY)
    page.fill("input[type=search]", "everything")
    page.keyboard.press("Enter")

    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    most = 0
    for _ in range(400):
        page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(40)
        most = max(most, page.locator(".tile").count())
        if page.inner_text("[role=status]").startswith("20,000 "):
            break

    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('20,000 ')")
    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector(f"[data-at='{MANY - 1}']")
    assert most < 200
    page.locator(f"[data-at='{MANY - 1}']").focus()
    page.keyboard.press("Home")
    page.wait_for_function("() => document.activeElement.dataset.at === '0'")
    assert page.evaluate("() => scrollY") < 400


def test_a_slow_server_is_waited_for_with_a_sign_and_another_search_overtakes_it(open_page: Any) -> None:
    page = open_page()
    held: list[Any] = []
    page.route(
        "**/v1/search",
        lambda route: held.append(route) if "slow" in (route.request.post_data or "") else route.continue_(),
    )
    page.fill("input[type=search]", "slow")
    page.keyboard.press("Enter")
    page.wait_for_selector(".waiting")
    assert page.inner_text("[role=status]") == "Searching…"

    page.fill("input[type=search]", "caption 4")
    page.keyboard.press("Enter")

    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    assert page.url.endswith("?q=caption+4")
    assert len(held) == 1


def test_a_collection_that_changes_while_one_scrolls_is_searched_again_from_the_beginning(
    open_page: Any,
) -> None:
    page = open_page()
    answer_with_many(page, 1_000)
    page.fill("input[type=search]", "everything")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    changed = "the collection has changed since the first page; search again from the beginning"
    page.unroute("**/v1/search")
    page.route("**/v1/search", lambda route: route.fulfill(status=409, json={"error": changed}))

    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector(f"text={changed}")
    page.unroute("**/v1/search")
    page.click("text=Try again")

    page.wait_for_function("() => document.querySelector('[role=status]').textContent.endsWith('best first')")
    assert page.locator("[role=alert]").count() == 0
