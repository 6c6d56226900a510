"""Tens of thousands of hits: all can be reached, few are in the document, and a slow or broken server is told of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import indexer
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder
from tests.browser.conftest import axe_violations
from tests.builders import draw
from tests.serving import Serving, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MANY = 20_000


def answer_with_many(page: Any, hits: int) -> None:
    """Answer searches with so many hits, which are the pictures of the real server again and again."""
    real = page.evaluate(
        "async () => (await (await fetch('/v1/search?text=caption&k=100&find=image')).json())"
    )

    def answer(route: Any) -> None:
        asked = route.request.post_data_json
        offset, k = int(asked.get("cursor", "0")), asked["k"]
        page_of = [
            {**real["hits"][number % len(real["hits"])], "id": 10_000 + number, "rank": number + 1}
            for number in range(offset, min(offset + k, hits))
        ]
        facts = {**real, "hits": page_of, "mode": "vector"}
        facts["cursor"] = str(offset + k) if offset + k < hits else None
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


@pytest.fixture
def written(album_of_many: Path, tmp_path: Path) -> Iterator[Serving]:
    """A collection of its own, with the pictures of the usual one."""
    shutil.copytree(album_of_many, tmp_path / "photos")
    with serving([tmp_path / "photos"], tmp_path / "cache") as found:
        yield found


def commit(tmp_path: Path, number: int) -> None:
    """Let a writer add a picture that lies among the hits, and hide none."""
    draw(tmp_path / f"new/{number}.png", (number, 99, 3))
    indexer.build(tmp_path / "new", tmp_path / "photos", model=HashEncoder())


def walk_to_the_end(page: Any) -> list[str]:
    """Labels of all hits, in their order, by scrolling."""
    seen: dict[int, str] = {}
    for _ in range(600):
        found = page.eval_on_selector_all(
            ".tile", "tiles => tiles.map(tile => [Number(tile.dataset.at), tile.getAttribute('href')])"
        )
        seen |= dict(found)
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(40)
        if page.evaluate(
            "() => document.querySelector('.grid').ariaBusy !== 'true' "
            "&& scrollY + innerHeight >= document.documentElement.scrollHeight"
        ):
            break  # at the end of all pages, and not of those that have come so far
    assert sorted(seen) == list(range(len(seen)))
    return [seen[at] for at in sorted(seen)]


@pytest.mark.parametrize("asked", ["?q=caption+1&mode=vector", ""], ids=["a search", "the newest"])
def test_a_writer_that_commits_while_one_scrolls_leaves_no_gap_and_nothing_twice(
    open_page: Any, written: Serving, tmp_path: Path, asked: str
) -> None:
    everything = {hit["id"] for hit in written.client.get("/v1/items", params={"k": 1000}).json()["hits"]}
    page = open_page(f"/{asked}", written)
    page.wait_for_function("() => document.querySelector('.grid').ariaBusy !== 'true'")
    commit(tmp_path, 1)
    commit(tmp_path, 2)

    links = walk_to_the_end(page)

    assert len(links) == 151
    ids = {int(link.rpartition("open=")[2]) for link in links}
    assert ids == everything
    assert page.locator("[role=alert], .ended").count() == 0


def test_ranks_of_words_end_with_a_commit_which_is_said_kindly_and_searched_again(
    open_page: Any, written: Serving, tmp_path: Path
) -> None:
    page = open_page("/?q=caption&mode=words", written)
    page.wait_for_selector("[role=status]:has-text('100+')")
    commit(tmp_path, 1)

    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector(".ended")
    assert page.locator("[role=alert]").count() == 0
    assert page.locator(".tile").count() > 0
    assert axe_violations(page) == []
    page.click("text=Search again")

    page.wait_for_selector(".ended", state="detached")
    page.wait_for_function("() => document.activeElement.dataset.at === '0'")
    assert page.evaluate("() => scrollY") == 0


def test_what_one_hides_oneself_does_not_end_a_list_of_words(
    open_page: Any, album_of_many: Path, tmp_path: Path
) -> None:
    shutil.copytree(album_of_many, tmp_path / "photos")
    with serving([tmp_path / "photos"], tmp_path / "cache", ServerSettings(port=0, writes=True)) as writable:
        page = open_page("/?q=caption&mode=words", writable)
        page.wait_for_selector("[role=status]:has-text('100+')")
        page.locator("[data-at='3']").focus()
        with page.expect_response("**/v1/hide"):
            page.keyboard.press("x")
        page.wait_for_selector(".notice button")

        links = walk_to_the_end(page)

        assert len(set(links)) == len(links) == 149
        assert page.locator(".ended").count() == 0


def test_a_page_that_fails_is_asked_for_again_and_the_hits_stay(open_page: Any) -> None:
    page = open_page()
    answer_with_many(page, 1_000)
    page.fill("input[type=search]", "everything")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    page.unroute("**/v1/search")
    page.route("**/v1/search", lambda route: route.fulfill(status=503, json={"error": "come back later"}))

    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector("text=come back later")
    assert page.locator(".tile").count() > 0
    page.unroute("**/v1/search")
    answer_with_many(page, 1_000)
    page.click("text=Try again")

    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('600+')")
    assert page.locator("[role=alert]").count() == 0
