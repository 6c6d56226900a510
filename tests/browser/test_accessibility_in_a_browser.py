"""Every screen in every look: axe-core finds nothing, and nothing is wider than the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from retrieval.postgres_address import require_folder
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder
from tests.browser.conftest import axe_violations
from tests.browser.test_duplicates_in_a_browser import collection_with_copies
from tests.serving import Serving, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDE, NARROW = {"width": 1200, "height": 800}, {"width": 320, "height": 640}
LOOKS = {"en-GB": [("light", WIDE), ("dark", NARROW)], "zh-CN": [("dark", WIDE), ("light", NARROW)]}
LONG = "An album with a name that goes on and on, as names do that people write when nobody stops them " * 2
OVERFLOW = """() => [document.documentElement, ...document.querySelectorAll("dialog")]
  .map((one) => one.scrollWidth - one.clientWidth).filter((more) => more > 0)"""


@dataclass(frozen=True)
class Screen:
    """A screen: its address, what is there when it is, and what is done to come to it."""

    path: str
    wait_for: str
    act: Callable[[Any], object] | None = None
    then: str | None = None  # what is there after that
    asked: str = ""  # requests that are answered otherwise
    answer: Callable[[Any], None] | None = None  # by this


def press(selector: str, key: str) -> Callable[[Any], object]:
    return lambda page: page.locator(selector).first.press(key)


def click(selector: str) -> Callable[[Any], object]:
    return lambda page: page.locator(selector).first.click()


def save_where_it_is_taken(page: Any) -> None:
    page.click("[aria-controls=saving]")
    page.fill("#album-name", "Sea")
    page.keyboard.press("Enter")


def given(facts: dict[str, Any], status: int = 200) -> Callable[[Any], None]:
    """Answer with facts in the place of the server."""
    return lambda route: route.fulfill(status=status, json=facts)


def nothing_likely(route: Any) -> None:
    route.fulfill(json=route.fetch().json() | {"verdict": "probably nothing"})


def ended(route: Any) -> None:
    """Answer with a first page, and with no second one."""
    if "cursor" in route.request.post_data_json:
        route.fulfill(status=409, json={"error": "begin at the first page"})
    else:
        route.fulfill(json=route.fetch().json() | {"cursor": "x", "mode": "vector"})


NONE: dict[str, Any] = {"hits": [], "next": None, "cursor": None, "generation": 1, "readings": []}
GONE = {"error": "the collection cannot answer this now; the log of the server says why"}
RUNNING = {
    "state": "running", "corpus": {"id": 1, "name": "album"}, "done": 3, "total": 9, "failed": 1, "error": None,
    "reports": [{"corpus": {"id": 1, "name": "album"}, "encoded": 3, "removed": 0, "failed": 1, "error": None}],
}  # fmt: skip
MAKING = {"status": "running", "done": 3, "total": 9}
RESULTS = "[data-at='0'][aria-label^='1. ']"
NO_COPIES: dict[str, Any] = {
    "groups": [],
    "next": None,
    "total": 0,
    "images": 9,
    "failed": 1,
    "classes": {},
    "current": False,
}


def read_in_it(route: Any) -> None:
    """Let the first hit be a page of a document, with a text longer than the screen."""
    facts = route.fetch().json()
    text = {"origin": "read", "maker": "ocr", "text": "a line that was read in the picture\n" * 60}
    facts["hits"][0] |= {"texts": [text], "missing": True}
    route.fulfill(json=facts)


SCREENS = {
    "the newest": Screen("/", ".tile.shown"),
    "an empty collection": Screen("/", ".empty", asked="**/v1/items?*", answer=given(NONE)),
    "results": Screen("/?q=a+dog+without+a+ball", RESULTS),
    "a result that has the focus": Screen("/?q=caption+1", RESULTS, press(".tile", "ArrowRight")),
    "nothing is likely": Screen("/?q=x", ".tile", asked="**/v1/search", answer=nothing_likely),
    "filters": Screen("/?q=caption&f=camera~Camera+A&t=2020-05..2021-05", RESULTS, None, ".timebar .bars"),
    "nothing meets the filters": Screen("/?q=x&where=width+%3E+99999", ".empty"),
    "a mistake in a condition": Screen("/?q=x&where=wdith+%3E+9", ".empty[role=alert]"),
    "a sum": Screen("/?q=caption&p=-0.5~i~1&p=1~t~" + "long+words+" * 30, ".chip img"),
    "captions": Screen("/?q=caption&find=text", ".tile.words"),
    "a list that ended": Screen("/?q=x", ".ended", asked="**/v1/search", answer=ended),
    "a result, large": Screen("/?q=caption+1", RESULTS, press(".tile", "Enter"), "dialog[open] .stage.shown"),
    "a page of a document, large": Screen(
        "/?q=caption+1", RESULTS, press(".tile", "Enter"), ".other-text", "**/v1/search", read_in_it
    ),
    "a caption, large": Screen("/?q=caption+1&find=text", RESULTS, press(".tile", "Enter"), "dialog blockquote"),
    "an explanation": Screen("/?q=caption+1&literal=1", RESULTS, press(".tile", "e"), ".shares"),
    "what was hidden": Screen("/?q=caption+1", RESULTS, press(".tile", "x"), ".notice button"),
    "saving": Screen("/?q=caption", RESULTS, click("[aria-controls=saving]"), "#saving"),
    "saving where the name is taken": Screen(
        "/?q=caption", RESULTS, save_where_it_is_taken, "#saving [role=alert]"
    ),
    "the map": Screen("/?view=map", "canvas"),
    "the map is being made": Screen("/?view=map", "progress", asked="**/v1/map?*", answer=given(MAKING, 202)),
    "copies": Screen("/?view=duplicates&class=bytes", ".group"),
    "no copies": Screen("/?view=duplicates", ".empty", asked="**/v1/duplicates*", answer=given(NO_COPIES)),
    "albums": Screen("/?view=albums", ".covers img"),
    "an album is renamed": Screen("/?view=albums", ".covers img", click(".albums .actions button"), ".saving"),
    "an album is deleted": Screen(
        "/?view=albums", ".covers img", click(".albums .actions button:last-child"), ".saving"
    ),
    "no albums": Screen("/?view=albums", ".empty", asked="**/v1/albums", answer=given({"albums": []})),
    "the corpora": Screen("/?view=index", ".corpora li"),
    "an index run": Screen("/?view=index", ".run progress", asked="**/v1/index", answer=given(RUNNING)),
    "a screen that failed": Screen(
        "/?view=albums", ".empty[role=alert]", asked="**/v1/albums", answer=given(GONE, 503)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("everything")
    path = collection_with_copies(folder)
    outside = folder / "elsewhere.jpg"
    outside.write_bytes((folder / "album/picture 1.jpg").read_bytes() + b"other bytes")
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        for name, query in (("Sea", "caption 1"), (LONG, "caption 2"), ("a file", outside)):
            indexer.save_album(path, engine.make_album(name[:200].strip(), query))
    settings = ServerSettings(port=0, writes=True, add_to=folder / "added")
    with serving([path], folder / "cache", settings) as found:
        yield found


@pytest.mark.parametrize("locale", LOOKS)
def test_axe_finds_nothing_on_any_screen_and_none_is_wider_than_the_window(
    open_page: Any, everything: Serving, locale: str
) -> None:
    page = open_page("/", everything, locale=locale, reduced_motion="reduce")
    found = list[str]()

    for name, screen in SCREENS.items():
        page.set_viewport_size(WIDE)
        reach(page, everything, screen)
        for look, size in LOOKS[locale]:
            page.emulate_media(color_scheme=look)
            page.set_viewport_size(size)
            found += [f"{name}, {look}, {size['width']}: {one}" for one in axe_violations(page)]
            found += [f"{name}, {size['width']}: {more} pixels too wide" for more in page.evaluate(OVERFLOW)]
        page.unroute_all()

    assert found == [], "\n".join(found)


def reach(page: Any, served: Serving, screen: Screen) -> None:
    if screen.answer is not None:
        page.route(screen.asked, screen.answer)
    page.goto(served.url + screen.path)
    page.wait_for_selector(screen.wait_for)
    if screen.act is not None:
        screen.act(page)
    if screen.then is not None:
        page.wait_for_selector(screen.then)


def test_axe_finds_nothing_while_a_picture_is_dragged_over_the_page(
    open_page: Any, everything: Serving
) -> None:
    page = open_page("/", everything)

    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["x"], "x.jpg", { type: "image/jpeg" }));
            document.body.dispatchEvent(new DragEvent("dragover", { bubbles: true, cancelable: true, dataTransfer }));
        }"""
    )
    page.wait_for_selector(".drop")

    assert axe_violations(page) == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_axe_finds_nothing_on_the_page_that_asks_for_the_token(
    open_page: Any, everything: Serving, tmp_path: Path, look: str
) -> None:
    settings = ServerSettings(port=0, token="correct-horse-battery-staple")
    with serving(
        [require_folder(everything.server.context.served(None).engine.collection.path)], tmp_path, settings
    ) as locked:
        page = open_page("/", locked, "#token", color_scheme=look, viewport=NARROW)

        assert axe_violations(page) == []
        assert page.evaluate(OVERFLOW) == []
