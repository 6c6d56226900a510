"""Filters as chips, and the bar of time, by the mouse and by the keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import axe_violations

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def wait_for_count(page: Any, number: int) -> None:
    """Wait until so many hits are told of; a full page may be followed by others (``100+``)."""
    page.wait_for_function(
        "number => parseInt(document.querySelector('[role=status]').textContent) === number", arg=number
    )


def test_a_drag_over_the_bars_chooses_a_span_which_stands_in_the_address_and_is_a_chip(
    open_page: Any,
) -> None:
    page = open_page()
    page.click("text=Filter")
    bars = page.wait_for_selector(".bars")
    bars.scroll_into_view_if_needed()
    box = bars.bounding_box()
    middle = box["y"] + box["height"] / 2

    page.mouse.move(box["x"] + 0.4 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, middle, steps=3)
    page.mouse.up()

    page.wait_for_function("() => location.search === '?t=2021-03..2022-05'")
    assert page.inner_text(".timebar p") == "Mar 2021 – May 2022: 100 pictures"
    wait_for_count(page, 100)
    page.reload()
    page.wait_for_selector(".bars")
    page.click("text=Filter (1)")
    assert page.inner_text(".conditions li").strip().endswith("May 2022")
    page.click(".conditions button")
    page.wait_for_function("() => location.search === ''")


def test_the_handles_choose_a_span_by_keys_alone_and_never_pass_each_other(open_page: Any) -> None:
    page = open_page()
    page.click("text=Filter")
    handle = page.locator("input[aria-label='From']")
    handle.wait_for()
    assert handle.get_attribute("aria-valuetext") == "May 2020"

    handle.press("ArrowRight")

    page.wait_for_function("() => location.search === '?t=2020-06..2022-05'")
    wait_for_count(page, 100)  # those of May 2020 are gone
    assert handle.get_attribute("aria-valuetext") == "Jun 2020"
    page.locator("input[aria-label='To']").press("Home")
    page.wait_for_function("() => location.search === '?t=2020-06..2020-06'")
    page.wait_for_selector(".empty")
    assert page.inner_text(".timebar p") == "Jun 2020: 0 pictures"
    assert axe_violations(page) == []


def test_the_bars_follow_the_other_filters(open_page: Any) -> None:
    page = open_page("/?f=camera~Camera+A")

    page.wait_for_selector(".timebar p")

    assert page.inner_text(".timebar p").endswith(": 75 pictures")


def test_each_year_stands_below_its_bars_also_one_that_begins_in_its_midst(open_page: Any) -> None:
    page = open_page("/?f=camera~Camera+A")

    page.wait_for_selector(".timebar .marks span")

    assert page.locator(".timebar .marks span").all_inner_texts() == ["2020", "2021", "2022"]


@pytest.mark.parametrize(("locale", "said"), [("en-GB", "Remove Camera A"), ("zh-CN", "移除Camera A")])
def test_each_chosen_value_is_a_chip_that_takes_it_away(open_page: Any, locale: str, said: str) -> None:
    page = open_page("/?f=camera~Camera+A&f=year~2021&q=caption", locale=locale)
    page.locator("[aria-controls=filters]").click()

    with page.expect_request("**/v1/search") as asked:
        page.click(f"[aria-label='{said}']")

    assert asked.value.post_data_json["where"] == "taken in (2021)"
    assert page.locator(".conditions .chip").count() == 1
    assert axe_violations(page) == []
