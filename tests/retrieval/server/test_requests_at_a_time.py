"""Requests beyond what the server does at a time are told when to ask again."""

from __future__ import annotations

import contextlib
from pathlib import Path

from retrieval.server.settings import ServerSettings
from retrieval.server.uploads import RECEIVED_AT_A_TIME
from tests.serving import serving


def test_requests_beyond_the_queue_are_turned_away_and_told_when_to_ask_again(
    album: Path, tmp_path: Path
) -> None:
    settings = ServerSettings(port=0, searching=1, waiting=0)
    with serving([album], tmp_path, settings) as busy:
        with busy.server.context.searches._lock:
            busy.server.context.searches._inside += 1  # as if one were under way

        answer = busy.client.get("/v1/search?text=a")
        with busy.server.context.searches._lock:
            busy.server.context.searches._inside -= 1
        after = busy.client.get("/v1/search?text=a")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert after.status_code == 200


def test_so_many_uploads_at_a_time_are_received_and_others_told_when_to_send_again(
    album: Path, tmp_path: Path
) -> None:
    picture = (album.parent / "album/picture 1.jpg").read_bytes()
    with serving([album], tmp_path) as busy, contextlib.ExitStack() as slow:
        for _ in range(RECEIVED_AT_A_TIME):
            slow.enter_context(busy.server.context.uploads.receiving())

        refused = busy.client.post("/v1/uploads", content=picture)
        slow.close()
        taken = busy.client.post("/v1/uploads", content=picture)

    assert (refused.status_code, taken.status_code) == (429, 201)
