"""Messages between a run and its workers: what is sent arrives, and what no worker sends is not believed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.decoding.frames import (
    SHARED_BYTES,
    Reply,
    Request,
    Status,
    read_reply,
    read_request,
    write_reply,
    write_request,
)
from retrieval.types import CellBytes, FileBytes, InlineBytes, Limits, Location, MemberBytes, UrlBytes

NAMES = st.binary(min_size=1, max_size=8).filter(
    lambda name: not set(name) & {0, 47} and name not in (b".", b"..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: Path("/", *map(os.fsdecode, names)))
SIZES = st.integers(0, 2**63 - 1)
LOCATIONS: st.SearchStrategy[Location] = st.one_of(
    st.builds(FileBytes, PATHS),
    st.builds(MemberBytes, PATHS, st.just(""), SIZES, SIZES),
    st.builds(InlineBytes, st.binary(max_size=40)),
)
LEAST_ONE = st.integers(1, 2**63 - 1)
LIMITS = st.builds(Limits, LEAST_ONE, LEAST_ONE, st.floats(0, 1e9, exclude_min=True))
REQUESTS = st.builds(Request, LOCATIONS, st.text(max_size=20), LIMITS, SIZES, SIZES, st.booleans())
SIDES = st.integers(0, 200)
REASONS = st.text("ab cäö.", max_size=30).map(lambda text: " ".join(text.split()))
REPLIES = st.builds(
    Reply,
    st.sampled_from(Status),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    SIZES,
    st.lists(SIDES, max_size=3).map(tuple),
    REASONS,
)


@given(st.lists(REQUESTS, max_size=3))
def test_requests_arrive_as_they_were_sent_one_after_the_other(requests: list[Request]) -> None:
    stream = io.BytesIO()
    for request in requests:
        write_request(stream, request)
    stream.seek(0)

    assert [read_request(stream) for _ in requests] == requests
    assert read_request(stream) is None


@given(st.lists(REPLIES, max_size=3))
def test_replies_arrive_as_they_were_sent_one_after_the_other(replies: list[Reply]) -> None:
    stream = io.BytesIO()
    for reply in replies:
        write_reply(stream, reply)
    stream.seek(0)

    assert [read_reply(stream) for _ in replies] == replies
    assert read_reply(stream) is None


def test_the_name_of_a_member_and_a_relative_path_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO()
    write_request(stream, Request(MemberBytes(Path("a.tar"), "b.jpg", 5, 6), "", Limits(), 1, 1, False))
    stream.seek(0)

    received = read_request(stream)

    assert received is not None
    assert received.location == MemberBytes(tmp_path / "a.tar", "", 5, 6)


@pytest.mark.parametrize("location", [UrlBytes("http://a.org"), CellBytes(Path("a"), "b", 1)])
def test_a_worker_is_never_asked_to_read_a_url_or_a_table(location: Location) -> None:
    with pytest.raises(TypeError, match=type(location).__name__):
        write_request(io.BytesIO(), Request(location, "", Limits(), 1, 1, False))


@settings(max_examples=200)
@given(st.binary(max_size=140))
def test_any_bytes_from_a_worker_are_a_sound_reply_or_none(raw: bytes) -> None:
    reply = read_reply(io.BytesIO(raw))

    if reply is not None:
        count = 1
        for side in reply.shape:
            count *= side
        assert count <= SHARED_BYTES
        assert len(reply.shape) <= 4
        assert reply.reason == " ".join(reply.reason.split())


@given(REPLIES, st.integers(0, 400))
def test_a_reply_that_is_cut_short_is_no_reply_or_has_a_shorter_reason(reply: Reply, length: int) -> None:
    whole = io.BytesIO()
    write_reply(whole, reply)

    found = read_reply(io.BytesIO(whole.getvalue()[:length]))

    assert found is None or (found.status, found.digest, found.shape) == (
        reply.status,
        reply.digest,
        reply.shape,
    )


@pytest.mark.parametrize("shape", [(SHARED_BYTES + 1,), (2**20, 2**20), (2**31, 2**31, 2**31, 2**31)])
def test_an_array_larger_than_the_shared_memory_is_not_believed(shape: tuple[int, ...]) -> None:
    stream = io.BytesIO()
    write_reply(stream, Reply(Status.DONE, shape=shape))
    stream.seek(0)

    assert read_reply(stream) is None


def test_a_reason_is_one_line_of_bounded_length() -> None:
    stream = io.BytesIO()
    write_reply(stream, Reply(Status.REFUSED, reason="a\n\tb " + "ä" * 5000))
    stream.seek(0)

    reply = read_reply(stream)

    assert reply is not None
    assert reply.reason.startswith("a b ")
    assert len(reply.reason) <= 2000
