"""The token: without it nothing is answered, and it cannot be guessed."""

from __future__ import annotations

import statistics
import time

import httpx
import pytest

from retrieval.errors import UsageError
from retrieval.server.access import Tokens
from retrieval.server.settings import ServerSettings
from tests.retrieval.server.conftest import TOKEN
from tests.retrieval.server.raw_requests import ROUTES
from tests.serving import Serving


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in ("/", "/page/app.css")])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": f"vlsearch-1={TOKEN}"},
    ],
    ids=range(7),
)
def test_without_the_token_nothing_is_answered(locked: Serving, route: str, headers: dict[str, str]) -> None:
    answer = locked.client.get(route, headers=headers)

    assert answer.status_code == 401
    assert list(answer.json()) == ["error"]


def test_without_the_token_the_page_asks_for_it_and_says_nothing_else(locked: Serving) -> None:
    answer = locked.client.get("/")

    assert answer.status_code == 401
    assert "photos" not in answer.text
    assert "<form" in answer.text


def test_the_token_opens_the_api(locked: Serving) -> None:
    answer = locked.client.get("/v1/search?text=a", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 200


def test_the_link_that_is_printed_works_once_and_its_cookie_opens_the_page(locked: Serving) -> None:
    assert locked.server.tokens is not None
    link = f"/open/{locked.server.tokens.new_code()}"

    with httpx.Client(base_url=locked.url, trust_env=False) as browser:
        first = browser.get(link)
        page = browser.get("/")
    second = locked.client.get(link)

    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert 'id="app"' in page.text
    assert second.status_code == 403
    assert "set-cookie" not in second.headers


def test_the_login_page_takes_the_token_and_nothing_near_it(locked: Serving) -> None:
    with httpx.Client(base_url=locked.url, trust_env=False) as browser:
        wrong = browser.post("/login", data={"token": TOKEN.upper()})
        right = browser.post("/login", data={"token": TOKEN})
        page = browser.get("/v1/info")

    assert (wrong.status_code, right.status_code, page.status_code) == (403, 303, 200)


def test_a_login_from_another_site_is_refused(locked: Serving) -> None:
    answer = locked.client.post("/login", data={"token": TOKEN}, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_tokens_are_compared_in_a_time_that_does_not_tell_where_they_differ() -> None:
    tokens = Tokens("t" * 4096)
    near, far = "t" * 4095 + "x", "x" + "t" * 4095

    def nanoseconds(given: str) -> float:
        began = time.perf_counter_ns()
        for _ in range(200):
            tokens.is_token(given)
        return (time.perf_counter_ns() - began) / 200

    pairs = [(nanoseconds(near), nanoseconds(far)) for _ in range(21)]
    assert 0.5 < statistics.median(one / other for one, other in pairs) < 2


def test_an_address_that_others_can_reach_needs_a_token_that_is_not_easy_to_guess() -> None:
    with pytest.raises(UsageError, match="a token is needed"):
        ServerSettings("0.0.0.0")
    with pytest.raises(UsageError, match="too easy to guess"):
        ServerSettings("0.0.0.0", token="secret")
