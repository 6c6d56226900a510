"""The map in a real browser: by the mouse and by the keyboard alone."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

INK = """canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
  .reduce((sum, byte, at) => sum + (at % 4 === 3 && byte > 0), 0)"""


def open_map(open_page: Any, **options: Any) -> Any:
    page = open_page("/?view=map", wait_for="canvas", **options)
    page.wait_for_function(f"() => ({INK})(document.querySelector('canvas')) > 0")
    return page


def test_all_pictures_are_points(open_page: Any) -> None:
    page = open_map(open_page)

    assert page.inner_text("[role=status]").startswith("151 ")


def test_the_keyboard_alone_zooms_in_and_lists_what_is_seen(open_page: Any) -> None:
    page = open_map(open_page)
    page.locator("canvas").focus()

    for key in ("+", "+", "+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.includes(' of 151 ')")
    seen = int(page.inner_text("[role=status]").split()[0])
    page.keyboard.press("0")
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.startsWith('151 ')")
    for key in ("+", "+", "+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_function(
        "seen => document.querySelector('[role=status]').textContent.startsWith(`${seen} of`)", arg=seen
    )
    page.keyboard.press("Enter")

    page.wait_for_function("() => location.search.startsWith('?area=')")
    page.wait_for_function(
        "seen => document.querySelector('[role=status]').textContent.startsWith(`${Math.min(seen, 100)}`)",
        arg=seen,
    )
    page.click("text=Map")
    page.wait_for_selector("text=Back to the pictures of the area")


def test_a_drag_with_shift_chooses_an_area_which_is_a_chip_and_survives_a_reload(open_page: Any) -> None:
    page = open_map(open_page)
    box = page.locator("canvas").bounding_box()

    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")

    page.wait_for_function("() => location.search.startsWith('?area=')")
    page.wait_for_selector(".tile")
    page.reload()
    page.wait_for_selector(".tile")
    page.click("[aria-controls=filters]")
    page.click("[aria-label='Remove Area of the map']")
    page.wait_for_function("() => location.search === ''")


def test_the_wheel_zooms_a_drag_moves_and_a_click_opens_a_picture(open_page: Any) -> None:
    page = open_map(open_page)
    place = page.evaluate(
        """() => {
            const canvas = document.querySelector('canvas');
            const { data, width } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const at = data.findIndex((byte, index) => index % 4 === 3 && byte > 0) >> 2;
            const box = canvas.getBoundingClientRect();
            return [box.left + (at % width) / devicePixelRatio, box.top + Math.floor(at / width) / devicePixelRatio];
        }"""
    )

    page.mouse.move(*place)
    page.wait_for_selector(".pointed")
    page.mouse.click(*place)
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_selector("canvas")
    page.mouse.wheel(0, -600)

    page.wait_for_function("() => document.querySelector('[role=status]').textContent.includes(' of 151 ')")


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_is_wider_than_a_narrow_screen(open_page: Any, width: int) -> None:
    page = open_map(open_page, viewport={"width": width, "height": 700})

    overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
