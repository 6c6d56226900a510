"""Albums on the page: links to what their searches find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder
from tests.browser.conftest import axe_violations
from tests.serving import Serving, album_collection, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ASKED = "() => document.activeElement.closest('.albums .saving') !== null"
"""Whether the question before an album is deleted has the focus, and so the keys."""


@pytest.fixture(scope="module")
def with_albums(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("albums")
    path = album_collection(folder, 12)
    elsewhere = folder / "elsewhere.jpg"
    elsewhere.write_bytes((folder / "album/picture 1.jpg").read_bytes() + b"other bytes")
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        where = retrieval.parse_where("taken in 2021")
        liked = next(iter(engine.items("image")))
        made = [
            engine.make_album("captions of 2021", "caption 4", retrieval.Request(where=where, sort="taken")),
            engine.make_album("like the first", [retrieval.ItemPart(liked.id), "caption 2"]),
            engine.make_album("exactly", "caption 5", retrieval.Request(mode="words")),
            engine.make_album("a file", elsewhere),
        ]
    for album in made:
        indexer.save_album(path, album)
    with serving([path], folder / "cache") as found:
        yield found


def is_search_of_the_page(request: Any) -> bool:
    """Whether a request is a search of the page, and not one for the pictures of an album."""
    return bool(request.url.endswith("/v1/search") and request.post_data_json["k"] > 10)


def test_albums_are_listed_with_pictures_of_what_they_find(open_page: Any, with_albums: Serving) -> None:
    page = open_page("/?view=albums", with_albums, ".covers img")

    assert sorted(page.locator(".albums h2").all_inner_texts()) == [
        "a file", "captions of 2021", "exactly", "like the first",
    ]  # fmt: skip
    assert page.locator("a.album").count() == 3  # a file elsewhere can only be asked with on the command line
    assert "elsewhere.jpg" in page.inner_text(".albums .warning")


def test_an_album_opens_the_search_that_it_is(open_page: Any, with_albums: Serving) -> None:
    page = open_page("/", with_albums)
    page.click("text=Albums")

    page.wait_for_selector(".covers img")
    with page.expect_request(is_search_of_the_page) as asked:
        page.locator("a.album", has_text="captions of 2021").focus()
        page.keyboard.press("Enter")

    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    body = asked.value.post_data_json
    assert body["parts"] == [{"text": "caption 4"}]
    assert (body["sort"], "2021" in body["where"]) == ("taken", True)
    assert page.input_value("input[type=search]") == "caption 4"
    page.reload()
    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    page.go_back()
    page.wait_for_selector("a.album")


def test_how_an_album_ranks_is_a_chip(open_page: Any, with_albums: Serving) -> None:
    page = open_page("/?view=albums", with_albums, "a.album")

    with page.expect_request(is_search_of_the_page) as asked:
        page.locator("a.album", has_text="exactly").click()

    assert asked.value.post_data_json["mode"] == "words"
    page.wait_for_function("() => location.search.includes('mode=words')")
    page.click("[aria-controls=filters]")
    with page.expect_request("**/v1/search") as asked:
        page.click("[aria-label='Remove All words, exactly']")
    assert "mode" not in asked.value.post_data_json


def test_a_collection_without_albums_says_how_to_save_one(open_page: Any) -> None:
    page = open_page("/?view=albums", wait_for=".empty code")

    assert "vlsearch album save" in page.inner_text(".empty code")
    assert axe_violations(page) == []


@pytest.fixture
def writable(tmp_path: Path) -> Iterator[Serving]:
    settings = ServerSettings(port=0, writes=True)
    with serving([album_collection(tmp_path, 4)], tmp_path / "cache", settings) as found:
        yield found


def albums_of(served: Serving) -> dict[str, Any]:
    return {one["name"]: one["search"] for one in served.client.get("/v1/albums").json()["albums"]}


def test_a_search_is_saved_as_an_album_with_its_filters_by_keys_alone(
    open_page: Any, writable: Serving
) -> None:
    page = open_page("/?q=caption+1&f=camera~Camera+A&sort=taken", writable)
    page.locator("button[aria-controls=saving]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.id === 'album-name'")
    assert page.input_value("#album-name") == "caption 1"
    page.keyboard.type("By the sea/海")
    page.keyboard.press("Enter")

    assert page.wait_for_selector(".notice p").inner_text() == "Saved as album By the sea/海."
    page.wait_for_function("() => document.activeElement.getAttribute('aria-controls') === 'saving'")
    kept = albums_of(writable)["By the sea/海"]
    assert kept["parts"] == [{"text": "caption 1", "weight": 1.0}]
    assert (kept["sort"], "Camera A" in kept["where"], kept["distinct"]) == ("taken", True, True)


def test_a_name_that_is_taken_is_replaced_only_when_it_is_said_again(
    open_page: Any, writable: Serving
) -> None:
    writable.client.put("/v1/albums/Sea", json={"parts": [{"text": "old"}]})
    page = open_page("/?q=new", writable)
    page.click("text=Save as album")
    page.fill("#album-name", "Sea")
    page.keyboard.press("Enter")
    assert "called Sea already" in page.wait_for_selector("[role=alert]").inner_text()
    assert albums_of(writable)["Sea"]["parts"][0]["text"] == "old"

    page.click("text=Replace it")

    page.wait_for_selector(".notice p")
    assert albums_of(writable)["Sea"]["parts"][0]["text"] == "new"


@pytest.mark.parametrize("name", [".", " .. "])
def test_a_name_that_no_address_can_hold_is_refused_before_it_is_sent(
    open_page: Any, writable: Serving, name: str
) -> None:
    page = open_page("/?q=new", writable)
    page.click("text=Save as album")
    page.fill("#album-name", name)
    page.keyboard.press("Enter")
    assert not page.evaluate("() => document.querySelector('#album-name').validity.valid")
    assert albums_of(writable) == {}

    page.fill("#album-name", "...")
    page.keyboard.press("Enter")

    page.wait_for_selector(".notice p")
    assert list(albums_of(writable)) == ["..."]


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_an_album_is_renamed_and_deleted_after_a_question(
    open_page: Any, writable: Serving, locale: str
) -> None:
    for name in ("Sea", "Taken"):
        writable.client.put(f"/v1/albums/{name}", json={"parts": [{"text": "sea"}]})
    page = open_page("/?view=albums", writable, "a.album", locale=locale)
    card = page.locator(".albums li", has_text="Sea")
    card.locator(".actions button").first.click()
    page.wait_for_function("() => document.activeElement.value === 'Sea'")
    page.keyboard.type("Taken")
    page.keyboard.press("Enter")
    page.wait_for_selector(".albums [role=alert]")
    page.fill(".albums .saving input", "海")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.albums').innerText.includes('海')")
    assert sorted(albums_of(writable)) == ["Taken", "海"]

    card = page.locator(".albums li", has_text="海")
    card.locator(".actions button").last.click()
    page.wait_for_function(ASKED)
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement.closest('.albums li .actions') !== null")
    assert sorted(albums_of(writable)) == ["Taken", "海"]
    card.locator(".actions button").last.click()
    page.wait_for_function(ASKED)
    page.keyboard.press("Enter")

    page.wait_for_function("() => document.querySelectorAll('.albums li').length === 1")
    assert sorted(albums_of(writable)) == ["Taken"]


def test_what_an_album_cannot_keep_is_said_before_it_is_named(open_page: Any, writable: Serving) -> None:
    page = open_page("/?q=caption&area=0,0,4095,4095", writable, ".choices", reduced_motion="reduce")

    page.click("text=Save as album")

    assert "area of the map" in page.wait_for_selector("#saving").inner_text()


def test_a_server_that_only_reads_offers_to_change_no_album(open_page: Any, with_albums: Serving) -> None:
    page = open_page("/?view=albums", with_albums, "a.album")

    assert page.locator(".albums button").count() == 0
    page.locator("a.album", has_text="exactly").click()
    page.wait_for_selector(".tile")
    assert page.locator("[aria-controls=saving]").count() == 0
