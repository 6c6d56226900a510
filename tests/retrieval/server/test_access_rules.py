"""Who may ask a server: rules about hosts, origins, tokens and links, for headers of any content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import UsageError
from retrieval.server.access import Hosts, Tokens, cookies, is_from_elsewhere, is_local, new_token
from retrieval.server.settings import LEAST_TOKEN, ServerSettings, is_everywhere, is_loopback

TOKEN = "t" * 40
ANY = st.text(st.characters(exclude_categories=[]), max_size=20) | st.text(
    "abhtps:/@?#[]%. 0.1localhost", max_size=24
)
PORT = 8642
HERE = Hosts(ServerSettings(), PORT)
EVERYWHERE = Hosts(ServerSettings(host="0.0.0.0", token=TOKEN, names=("photos.example",)), PORT)


@given(ANY)
def test_any_host_header_names_this_server_or_does_not(host: str) -> None:
    for hosts in (HERE, EVERYWHERE):
        assert hosts.allow(host) in (True, False)


@given(ANY, ANY)
def test_any_origin_is_the_pages_own_or_is_not(origin: str, host: str) -> None:
    allowed = HERE.allow_origin(origin, host)

    if allowed:
        assert origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[::1", "http://a]b", "https://[v1.x]:80", "http://a:port"]
)
def test_an_origin_that_is_not_a_url_is_foreign(origin: str) -> None:
    assert not HERE.allow_origin(origin, "localhost:8642")


@given(st.sampled_from(["localhost", "127.0.0.1", "[::1]"]), st.integers(1, 65535), st.booleans())
def test_a_loopback_name_with_the_right_port_is_this_server(name: str, port: int, upper: bool) -> None:
    host = f"{name.upper() if upper else name}:{port}"

    assert HERE.allow(host) == (port == PORT)


@given(st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda address: f"[{address}]"))
def test_addresses_in_numbers_reach_a_server_on_all_addresses_and_no_other(address: str) -> None:
    assert EVERYWHERE.allow(f"{address}:{PORT}")
    assert HERE.allow(f"{address}:{PORT}") == (address in ("127.0.0.1", "[::1]"))


@given(st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,6}){1,2}", fullmatch=True))
def test_a_name_that_a_stranger_could_point_here_is_refused(name: str) -> None:
    assert not HERE.allow(f"{name}:{PORT}")
    assert EVERYWHERE.allow(name) == (name == "photos.example")


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8642/",
        "a@localhost:8642",
        "localhost:8642?x",
        "localhost :8642",
        "localhost:",
        "",
        "löcalhost:8642",
        "localhost:99999",
    ],
)
def test_a_malformed_host_is_refused(host: str) -> None:
    assert not HERE.allow(host)


@given(
    st.dictionaries(
        st.sampled_from(["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"]),
        ANY | st.sampled_from(["none", "same-origin", "cross-site", "navigate", "document"]),
    ),
    st.sampled_from(["GET", "POST"]),
    st.booleans(),
)
def test_another_site_may_open_the_page_by_a_link_and_do_nothing_else(
    headers: dict[str, str], method: str, opens_page: bool
) -> None:
    own = headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"

    assert is_from_elsewhere(headers, method, opens_page) == (
        not own and not (link and opens_page and method == "GET")
    )


@given(
    st.none() | st.ip_addresses().map(str) | ANY,
    ANY | st.just("localhost:1"),
    st.dictionaries(st.sampled_from(["x-forwarded-for", "forwarded", "x-real-ip", "accept"]), st.just("x")),
)
def test_only_who_sits_here_and_comes_by_no_proxy_is_local(
    client: str | None, host: str, headers: dict[str, str]
) -> None:
    if is_local(client, host, headers):
        assert client is not None
        assert is_loopback(client)
        assert set(headers) <= {"accept"}


# Tokens


@given(ANY)
def test_no_other_text_is_the_token(given_: str) -> None:
    tokens = Tokens(TOKEN)

    assert tokens.is_token(given_) == (given_ == TOKEN)
    assert tokens.allow({"authorization": f"Bearer {given_}"}, "c") == (given_.strip() == TOKEN)
    assert tokens.allow({"cookie": f"c={given_}"}, "c") == (
        given_.strip().partition(";")[0] == tokens.session
    )


@given(st.sampled_from(["Bearer", "bearer", "BEARER"]), st.text(" ", min_size=1, max_size=3))
def test_the_token_and_its_cookie_open_the_server(scheme: str, blank: str) -> None:
    tokens = Tokens(TOKEN)

    assert tokens.allow({"authorization": f"{scheme}{blank}{TOKEN}"}, "c")
    assert tokens.allow({"cookie": f"a=b; c={tokens.session}"}, "c")
    assert not tokens.allow({"cookie": f"other={tokens.session}"}, "c")
    assert not tokens.allow({"authorization": f"Basic {TOKEN}"}, "c")
    assert TOKEN not in tokens.session


@given(st.integers(0, 4), ANY)
def test_a_link_works_once(count: int, guess: str) -> None:
    tokens = Tokens(TOKEN)
    codes = [tokens.new_code() for _ in range(count)]

    assert tokens.use_code(guess) == (guess in codes)
    assert [tokens.use_code(code) for code in codes] == [True] * count
    assert [tokens.use_code(code) for code in codes] == [False] * count


def test_tokens_are_new_each_time_and_hard_to_guess() -> None:
    made = {new_token() for _ in range(50)}

    assert len(made) == 50
    assert min(map(len, made)) >= 40
    assert all(ServerSettings(token=token).token == token for token in made)


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=3), st.text("xyz=", max_size=4)), max_size=4))
def test_the_first_cookie_of_a_name_counts(pairs: list[tuple[str, str]]) -> None:
    found = cookies("; ".join(f"{name}={value}" for name, value in pairs))

    assert found == dict(reversed(pairs))


@given(ANY)
def test_any_cookie_header_is_read(header: str) -> None:
    assert isinstance(cookies(header), dict)


# Settings


@given(st.ip_addresses().map(str) | ANY)
def test_an_address_that_others_can_reach_needs_a_token(host: str) -> None:
    if is_loopback(host):
        assert ServerSettings(host=host).token is None
        assert not is_everywhere(host)
    else:
        with pytest.raises(UsageError, match="so a token is needed"):
            ServerSettings(host=host)
        assert ServerSettings(host=host, token=TOKEN).host == host


@pytest.mark.parametrize("token", ["", "t" * (LEAST_TOKEN - 1), "ü" * 40])
def test_a_token_that_is_short_or_cannot_stand_in_a_header_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="too easy to guess"):
        ServerSettings(token=token)
