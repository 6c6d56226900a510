"""A real browser, and a page of it that may ask nobody but the server under test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import Serving, album_collection, serving

WAIT_MS = 20_000
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium of the system, driven by Playwright, which downloads none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def album_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return album_collection(tmp_path_factory.mktemp("browser"), 150)


@pytest.fixture(scope="session")
def site(album_of_many: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving([album_of_many], tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture
def open_page(browser: Any, site: Serving) -> Iterator[Any]:
    """``open_page(path, **context)``: a page; the test fails if it asks anybody else, or if anything in it does.

    ``at``: another site than the usual one; ``wait_for``: what must be there, tiles if nothing is said.
    """
    contexts: list[Any] = []
    faults: list[str] = []

    def note(said: Any) -> None:
        is_answer = said.text.startswith("Failed to load resource")  # which some tests provoke
        if said.type == "error" and not is_answer:
            faults.append(said.text)

    def opened(path: str = "/", at: Serving | None = None, wait_for: str = ".tile", **options: Any) -> Any:
        url = (at or site).url
        context = browser.new_context(**({"viewport": {"width": 1200, "height": 800}} | options))
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", note)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((url, "blob:")) else faults.append(asked.url),
        )
        page.goto(url + path)
        page.wait_for_selector(wait_for)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def axe_violations(page: Any) -> list[str]:
    """What axe-core has against the page as it stands; it is put into each document once, for it is half a megabyte."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    if page.evaluate("() => window.axe === undefined"):
        page.evaluate(axe.AXE_FILE_PATH.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
