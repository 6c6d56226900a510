"""What the page changes on a server that lets clients write: hiding, decisions on duplicates, indexing, adding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from retrieval.server.settings import ServerSettings
from tests.browser.conftest import axe_violations
from tests.browser.test_duplicates_in_a_browser import collection_with_copies
from tests.serving import Serving, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def writable(tmp_path: Path) -> Iterator[Serving]:
    settings = ServerSettings(port=0, writes=True, add_to=tmp_path / "added")
    with serving([collection_with_copies(tmp_path)], tmp_path / "cache", settings) as found:
        yield found


def pictures(served: Serving) -> int:
    return len(served.client.get("/v1/items", params={"k": 1000}).json()["hits"])


def test_x_hides_a_result_which_can_be_undone(open_page: Any, writable: Serving) -> None:
    page = open_page("/?q=caption+1", writable)
    before = pictures(writable)
    page.locator("[data-at='0']").focus()
    first = page.locator("[data-at='0']").get_attribute("aria-label")

    with page.expect_response("**/v1/hide"):
        page.keyboard.press("x")
    page.wait_for_selector(".notice button")

    assert pictures(writable) == before - 1
    assert page.locator(f"[aria-label='{first}']").count() == 0
    assert axe_violations(page) == []
    with page.expect_response("**/v1/unhide"):
        page.click("text=Undo")
    page.wait_for_selector(f"[aria-label='{first}']")
    assert pictures(writable) == before


def test_x_in_the_large_view_hides_and_goes_on(open_page: Any, writable: Serving) -> None:
    page = open_page("/", writable)
    page.locator("[data-at='0']").click()
    page.wait_for_selector("dialog[open]")
    name = page.inner_text(".facts h2")

    with page.expect_response("**/v1/hide"):
        page.keyboard.press("x")

    page.wait_for_function("name => document.querySelector('.facts h2').innerText !== name", arg=name)
    assert page.locator("dialog[open]").count() == 1
    with page.expect_response("**/v1/unhide"):
        page.locator("dialog .notice button").click()  # which a modal dialog would cover elsewhere


def test_duplicates_are_settled_by_keys_alone_and_undone(open_page: Any, writable: Serving) -> None:
    page = open_page("/?view=duplicates&class=bytes", writable, ".group")
    before = pictures(writable)
    assert axe_violations(page) == []
    page.locator(".copy").first.focus()

    with page.expect_response("**/v1/hide"):
        page.keyboard.press("o")  # the group of three
    page.wait_for_function("() => document.querySelectorAll('.group').length === 2")
    assert pictures(writable) == before - 2
    page.wait_for_function("() => document.activeElement.classList.contains('copy')")
    with page.expect_response("**/v1/duplicates/keep"):
        page.keyboard.press("k")
    page.wait_for_function("() => document.querySelectorAll('.group').length === 1")
    with page.expect_response("**/v1/duplicates/forget"):
        page.click("text=Undo")
    page.wait_for_function("() => document.querySelectorAll('.group').length === 2")
    page.locator(".copy").nth(1).focus()
    with page.expect_response("**/v1/hide"):
        page.keyboard.press("x")
    page.wait_for_function("() => document.querySelectorAll('.group').length === 1")

    page.reload()
    page.wait_for_selector(".group")
    assert page.locator(".group").count() == 1


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_corpora_are_indexed_again_and_pictures_added_with_progress(
    open_page: Any, tmp_path: Path, model: Path, locale: str
) -> None:
    path = tmp_path / "c"
    collection_with_copies(tmp_path)
    indexer.build(tmp_path / "album", path.with_name("real"), model=model)
    picture = tmp_path / "sea.jpg"
    picture.write_bytes((tmp_path / "album/picture 1.jpg").read_bytes() + b"other bytes")
    settings = ServerSettings(port=0, writes=True, add_to=tmp_path / "added")
    with serving([path.with_name("real")], tmp_path / "cache", settings, hashes=False) as real:
        page = open_page("/?view=index", real, ".corpora li", locale=locale)
        assert axe_violations(page) == []

        page.set_input_files(".adding input", picture)
        page.wait_for_selector(".run li", timeout=60_000)

        assert [path.name[:4] for path in (tmp_path / "added").iterdir()] == ["sea-"]
        page.wait_for_function("() => document.querySelectorAll('.corpora li').length === 2")
        page.locator(".choices button").click()
        page.wait_for_function("() => document.querySelectorAll('.run li').length === 2", timeout=60_000)
        assert axe_violations(page) == []
    with retrieval.open(path.with_name("real")) as engine:
        assert any("sea-" in item.uri for item in engine.items("image"))


def test_what_may_not_be_started_says_why(open_page: Any, writable: Serving) -> None:
    page = open_page("/?view=index", writable, ".corpora li")
    page.route("**/v1/index", lambda route: route.fulfill(status=409, json={"error": "a run is under way"}))

    page.locator(".corpora button").first.click()

    assert page.wait_for_selector("[role=alert]").inner_text() == "a run is under way"


def test_a_server_that_only_reads_offers_no_changes(open_page: Any) -> None:
    page = open_page()

    page.locator("[data-at='0']").focus()
    page.keyboard.press("x")

    assert page.locator(".notice p").count() == 0
    assert page.locator(".views a", has_text="Update").count() == 0
