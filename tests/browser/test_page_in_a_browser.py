"""The page in a real browser: every use of it, with the mouse and with the keyboard alone, in both languages."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.desktops import desktop
from tests.serving import Serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def names(page: Any) -> list[str]:
    """Labels of the tiles in the document, in the order of their places."""
    found = page.eval_on_selector_all(
        ".tile", "tiles => tiles.map(tile => [Number(tile.dataset.at), tile.getAttribute('aria-label')])"
    )
    return [label for _, label in sorted(found)]


def search_for(page: Any, words: str) -> None:
    page.fill("input[type=search]", words)
    with page.expect_response("**/v1/search"):
        page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('[role=status]').textContent.includes('first') "
        "|| document.querySelector('[role=status]').textContent.includes('在前')"
    )


def wait_for_first(page: Any, label: str) -> None:
    page.wait_for_selector(f"[data-at='0'][aria-label='{label}']")


def drop(page: Any, picture: Path) -> None:
    """Drop a file on the page, as a browser tells it of one."""
    page.evaluate(
        """([data, name]) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
            for (const kind of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, options));
        }""",
        [base64.b64encode(picture.read_bytes()).decode(), picture.name],
    )


def picture_of(album: Path, number: int) -> Path:
    return album.parent / "album" / f"picture {number}.jpg"


def test_the_newest_pictures_stand_there_before_anything_is_asked(open_page: Any) -> None:
    page = open_page()

    assert names(page)[0] in ("old.bmp", "caption 149", "caption 99")
    page.wait_for_selector("[role=status]:has-text('151 pictures, the newest first')")
    page.wait_for_selector(".tile.shown")


def test_typed_words_find_and_stand_in_the_address_bar(open_page: Any) -> None:
    page = open_page()

    search_for(page, "caption 7")

    assert page.url.endswith("/?q=caption+7")
    assert page.title() == "caption 7 – vlsearch"
    assert names(page)[0].startswith("1. ")


def test_typed_chinese_finds_and_the_reading_of_what_it_excludes_is_shown_and_can_be_undone(
    open_page: Any,
) -> None:
    page = open_page(locale="zh-CN")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"

    search_for(page, "没有汽车的街道")

    assert page.inner_text(".reading b.avoided") == "汽车"
    with page.expect_response("**/v1/search") as answer:
        page.click(".reading button")
    assert answer.value.json()["readings"] == []
    assert "literal=1" in page.url


def test_a_dropped_picture_finds_itself_first_and_survives_a_reload(
    open_page: Any, album_of_many: Path
) -> None:
    page = open_page()

    with page.expect_response("**/v1/search"):
        drop(page, picture_of(album_of_many, 5))
    page.wait_for_selector(".chip img")
    wait_for_first(page, "1. caption 5")
    page.reload()
    page.wait_for_selector(".chip img")

    wait_for_first(page, "1. caption 5")


def test_a_chosen_picture_finds_as_a_dropped_one_does(open_page: Any, album_of_many: Path) -> None:
    page = open_page()

    page.set_input_files("input[type=file]", picture_of(album_of_many, 9))

    wait_for_first(page, "1. caption 9")


def test_a_file_that_is_not_a_picture_is_refused_with_a_sentence(open_page: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    page = open_page()

    page.set_input_files("input[type=file]", tmp_path / "notes.jpg")

    said = page.wait_for_selector("[role=alert]").inner_text()
    assert said.startswith("cannot search with what was sent")


def test_the_keyboard_alone_walks_looks_goes_on_and_comes_back(open_page: Any) -> None:
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("caption 3")
    with page.expect_response("**/v1/search"):
        page.keyboard.press("Enter")
    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")

    page.locator("[data-at='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("() => document.activeElement.dataset.at === '1'")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text(".steps").startswith("2 of ")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.steps').innerText.startsWith('3 of ')")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_function("() => document.activeElement.dataset.at === '2'")
    with page.expect_response("**/v1/search"):
        page.keyboard.press("s")
    page.wait_for_function("() => document.activeElement.dataset.at === '0'")


def test_whoever_closes_a_picture_in_haste_is_at_the_tile_of_the_one_that_was_shown(open_page: Any) -> None:
    page = open_page()
    search_for(page, "caption 3")
    page.locator("[data-at='0']").focus()

    for at in range(1, 9):
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        page.wait_for_function(f"() => document.activeElement.dataset.at === '{at}'", timeout=5000)


def test_back_undoes_and_an_address_that_is_shared_shows_the_same(open_page: Any) -> None:
    page = open_page()
    search_for(page, "caption 1")
    first = names(page)[:5]
    search_for(page, "caption 2")
    page.locator(".tile").first.click()
    page.wait_for_selector("dialog[open]")
    shared = page.url

    page.go_back()
    page.wait_for_selector("dialog", state="detached")
    page.go_back()
    wait_for_first(page, first[0])

    assert names(page)[:5] == first
    other = open_page(shared[shared.index("/?") :])
    other.wait_for_selector("dialog[open]")
    assert other.input_value("input[type=search]") == "caption 2"


def test_the_detail_view_goes_on_to_sums_with_weights(open_page: Any) -> None:
    page = open_page()
    search_for(page, "caption 1")
    page.locator(".tile").first.click()
    page.click("text=Less like this")
    page.wait_for_selector(".chip.avoided")
    page.fill(".sum form input", "-people")
    with page.expect_request("**/v1/search") as asked:
        page.keyboard.press("Enter")

    parts = asked.value.post_data_json["parts"]
    assert [part.get("weight") for part in parts] == [None, -0.5, -0.5]
    assert parts[2]["text"] == "people"
    with page.expect_request("**/v1/search") as asked:
        page.locator(".chip select").first.select_option("2")
    assert asked.value.post_data_json["parts"][1]["weight"] == 2


def test_the_detail_view_shows_the_original_at_its_size_and_a_caption_is_a_search(open_page: Any) -> None:
    page = open_page()
    search_for(page, "caption 1")
    page.locator(".tile").first.click()

    with page.expect_response("**/picture?*"):
        page.click(".stage .zoom")
    assert page.get_attribute(".stage .zoom", "aria-pressed") == "true"
    page.locator(".captions button").first.click()

    page.wait_for_selector("dialog", state="detached")
    assert page.input_value("input[type=search]").startswith("caption ")


@pytest.mark.parametrize("size", [(900, 260), (390, 420)], ids=str)
def test_a_picture_higher_than_the_window_is_shown_whole(open_page: Any, size: tuple[int, int]) -> None:
    page = open_page(viewport={"width": size[0], "height": size[1]})
    page.locator(".tile").first.click()
    page.wait_for_selector(".stage.shown")

    stage, picture = (page.locator(one).bounding_box() for one in (".stage", ".stage img"))

    assert picture["y"] >= stage["y"]
    assert picture["y"] + picture["height"] <= stage["y"] + stage["height"]
    assert picture["x"] + picture["width"] <= stage["x"] + stage["width"]


def test_who_sits_at_the_machine_copies_the_path_and_opens_the_folder(
    open_page: Any, album_of_many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = desktop(tmp_path, monkeypatch)
    page = open_page("/?q=caption+1", permissions=["clipboard-read", "clipboard-write"])
    page.locator(".tile").first.click()
    path = page.inner_text("dd.path")

    page.click("text=Copy the path")
    page.wait_for_selector("text=Copied")
    with page.expect_response("**/open-folder"):
        page.click("text=Open its folder")

    assert page.evaluate("() => navigator.clipboard.readText()") == path
    assert opened.read_text(encoding="utf-8") == f"{album_of_many.parent / 'album'}\0"


def test_who_is_elsewhere_sees_no_path_and_opens_nothing(
    open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop(tmp_path, monkeypatch)
    page = open_page("/?q=caption+1", extra_http_headers={"X-Forwarded-For": "203.0.113.7"})

    page.locator(".tile").first.click()
    page.wait_for_selector("dialog[open]")

    shown = page.inner_text(".facts")
    assert page.locator("dd.path").count() == 0
    assert "Copy the path" not in shown
    assert "Open its folder" not in shown


def test_a_folder_that_cannot_be_opened_is_told_above_the_picture(
    open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop(tmp_path, monkeypatch)
    monkeypatch.setenv("VIEWER_CODE", "3")
    page = open_page("/?q=caption+1")
    page.locator(".tile").first.click()

    page.click("text=Open its folder")

    said = page.wait_for_selector("dialog .notice p").inner_text()
    assert "found no program that shows folders" in said


def test_all_hits_can_be_scrolled_through_and_few_are_in_the_document_at_a_time(open_page: Any) -> None:
    page = open_page()
    search_for(page, "caption 1")

    seen: set[str] = set()
    for _ in range(40):
        seen |= set(names(page))
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(60)
        assert page.locator(".tile").count() < 120
    assert len(seen) == 151


def test_filters_are_chosen_typed_kept_in_the_address_and_cleared(open_page: Any) -> None:
    page = open_page()
    page.click("text=Filter")
    page.locator(".filters label", has_text="2021").click()
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('50 ')")

    page.locator(".filters label", has_text="Camera A").click()
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('25 ')")
    page.locator(".filters label", has_text="2020").click()
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('50 ')")
    page.fill("#where", "width > 700")
    page.click("text=Apply")
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('12 ')")
    page.reload()
    page.wait_for_selector("text=Filter (4)")
    assert page.input_value("#where") == "width > 700"
    page.fill("#where", "wdith > 800")
    page.click("text=Apply")
    assert "wdith" in page.wait_for_selector("[role=alert]").inner_text()

    page.click("text=Clear all")
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('1')")
    assert page.url.endswith("/")


def test_hits_can_be_put_in_another_order(open_page: Any) -> None:
    page = open_page()
    search_for(page, "caption 1")

    with page.expect_response("**/v1/search") as answer:
        page.locator(".choices select").select_option("taken")

    taken = [str(hit["attributes"].get("taken", "")) for hit in answer.value.json()["hits"]]
    assert taken == sorted(taken, reverse=True)
    assert "sort=taken" in page.url


def test_captions_are_found_where_they_are_asked_for(open_page: Any) -> None:
    page = open_page()
    search_for(page, "caption 12")

    with page.expect_response("**/v1/search"):
        page.locator("label", has_text="Captions").click()

    page.wait_for_selector(".tile.words")
    assert names(page)[0] == "1. caption 12"
    assert "find=text" in page.url


def test_language_and_colours_can_be_changed_and_are_remembered(open_page: Any) -> None:
    page = open_page()

    page.click("text=中文")
    page.wait_for_selector("input[type=search][placeholder='图片里有什么？']")
    page.click("[aria-label='颜色：跟随系统']")
    page.click("[aria-label='颜色：浅色']")
    page.reload()

    page.wait_for_selector("[aria-label='颜色：深色']")
    assert page.evaluate("() => getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_a_server_that_has_gone_is_told_and_can_be_asked_again(open_page: Any, site: Serving) -> None:
    page = open_page()
    page.route("**/v1/search", lambda route: route.fulfill(status=503, json={"error": "come back later"}))
    page.fill("input[type=search]", "caption 1")
    page.keyboard.press("Enter")
    assert "come back later" in page.wait_for_selector("[role=alert]").inner_text()

    page.unroute("**/v1/search")
    page.click("text=Try again")

    page.wait_for_selector(".tile")


@pytest.mark.parametrize("width", [390, 768])
def test_nothing_is_wider_than_a_narrow_screen(open_page: Any, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 700})
    search_for(page, "a dog without a ball")
    overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0

    page.locator(".tile").first.click()
    page.wait_for_selector("dialog[open]")

    assert page.eval_on_selector("dialog", "dialog => dialog.scrollWidth - dialog.clientWidth") == 0


@pytest.mark.parametrize(("mode", "scores"), [("hybrid", 1), ("vector", 1), ("words", 0)])
def test_a_score_is_shown_where_it_means_something_to_people(open_page: Any, mode: str, scores: int) -> None:
    page = open_page(f"/?q=caption+7&mode={mode}")
    page.wait_for_selector("[data-at='0'][aria-label^='1. ']")
    page.locator("[data-at='0']").press("Enter")
    page.wait_for_selector("dialog dl")

    assert page.locator("dialog dt", has_text="Score").count() == scores
    assert (page.locator("dialog dt", has_text="Rank by").count() > 0) == (mode == "hybrid")
    assert page.locator("[data-at='0'] .score").count() == scores
