"""What the page consists of: light, readable, and nothing from elsewhere. How it behaves is in tests/browser."""

from __future__ import annotations

import hashlib
import re

import pytest

from retrieval.server.page_routes import FOLDER, page_files
from tests.serving import Serving

OURS = sorted(name for name in page_files() if not name.startswith("vendor/"))
VENDORED = {
    "vendor/htm-preact-standalone.js": "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
}
MOST_BYTES = 60_000
LANGUAGES = ("english.js", "chinese.js")


def imports(name: str, how: str) -> set[str]:
    """What a module imports: ``static`` at once, ``late`` when it is needed."""
    pattern = r'from "\./([^"]+)"' if how == "static" else r'import\("\./([^"]+)"\)'
    return set(re.findall(pattern, page_files()[name].data.decode()))


def first_load(language: str) -> set[str]:
    """The files that a browser asks for before anything is shown."""
    found, ahead = {"index.html", "app.css", "icon.svg"}, {"app.js", language}
    while ahead:
        found |= ahead
        ahead = {target for name in ahead for target in imports(name, "static")} - found
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_weighs_at_most_60_kilobytes_at_first_load_headers_included(
    served: Serving, language: str
) -> None:
    loaded = first_load(language)
    heads = [served.client.get(f"/page/{name}").headers for name in loaded]

    weights = [len(page_files()[name].packed) for name in loaded]
    head_bytes = [sum(len(key) + len(value) + 4 for key, value in head.items()) for head in heads]
    assert sum(weights) + sum(head_bytes) <= MOST_BYTES


def test_the_screens_other_than_the_search_are_loaded_when_they_are_looked_at() -> None:
    late = imports("views.js", "late")

    assert {"albums.js", "duplicates.js", "indexing.js", "map.js"} <= late
    assert late.isdisjoint(first_load("english.js"))
    assert {"detail.js", "explanation.js"}.isdisjoint(first_load("english.js"))


def test_one_language_is_loaded_at_a_time() -> None:
    assert imports("words.js", "late") == set(LANGUAGES)
    assert "chinese.js" not in first_load("english.js")


@pytest.mark.parametrize("name", VENDORED)
def test_a_vendored_file_is_the_released_one_and_its_licences_lie_beside_it(name: str) -> None:
    assert hashlib.sha256(page_files()[name].data).hexdigest() == VENDORED[name]
    assert {"htm-LICENSE.txt", "preact-LICENSE.txt"} <= {
        path.name for path in (FOLDER / name).parent.iterdir()
    }


@pytest.mark.parametrize("name", OURS)
def test_the_page_names_no_other_site_and_has_no_inline_script_or_style(name: str) -> None:
    text = page_files()[name].data.decode()

    urls = set(re.findall(r"""(?:https?:)?//[\w.]+""", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)))
    assert urls <= {"http://www.w3.org"}  # the name of a vocabulary, which nothing asks for
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=\"|\son\w+=\"", text)


def test_every_file_that_the_page_imports_is_there() -> None:
    for name in OURS:
        for target in imports(name, "static") | imports(name, "late"):
            assert target in page_files()


def test_both_languages_say_the_same_things() -> None:
    english, chinese = (
        re.findall(r"^  (\w+):", page_files()[name].data.decode(), re.MULTILINE) for name in LANGUAGES
    )

    assert english == chinese
    assert len(english) > 40


def test_the_page_is_sent_compressed_to_browsers_that_take_it_and_only_once(served: Serving) -> None:
    packed = served.client.get("/page/app.js")
    plain = served.client.get("/page/app.js", headers={"Accept-Encoding": "identity"})
    again = served.client.get("/page/app.js", headers={"If-None-Match": packed.headers["etag"]})

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert (again.status_code, again.content) == (304, b"")


def test_a_list_of_items_has_the_newest_first_and_pages_that_join(served: Serving) -> None:
    whole = [hit["id"] for hit in served.client.get("/v1/items", params={"k": 1000}).json()["hits"]]

    pages, before = [], None
    while True:
        params = {"k": 5} if before is None else {"k": 5, "before": before}
        page = served.client.get("/v1/items", params=params).json()
        pages += [hit["id"] for hit in page["hits"]]
        before = page["next"]
        if before is None:
            break

    assert pages == whole == sorted(whole, reverse=True)
