"""Videos of a store are files while they are read, few at a time, and gone when the pool is closed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from retrieval.decoding import fetched_videos
from retrieval.decoding.fetched_videos import FetchedVideos
from retrieval.errors import ImageUnreadable
from retrieval.locations.object_store import find_object
from retrieval.types import Limits, StoredObject
from tests.s3_server import Bucket, requests_counted


def stored(bucket: Bucket, name: str, size: int = 10) -> StoredObject:
    bucket.put(name, name[:1] * size)
    found = find_object(bucket.name, name)
    assert found is not None
    return found


def test_each_is_fetched_once_and_the_oldest_that_nobody_reads_makes_room(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetched_videos, "_KEPT_BYTES", 25)
    a, b, c = (stored(bucket, name) for name in ("a.mp4", "b.mp4", "c.mp4"))
    videos, paths = FetchedVideos(), dict[str, Path]()
    with requests_counted() as asked, ExitStack() as reading:
        for at in (a, b, a, c, c):
            paths[at.key] = reading.enter_context(videos.file(at, Limits()))
        assert all(path.read_text() == key[:1] * 10 for key, path in paths.items())
    with videos.file(stored(bucket, "d.mp4", 15), Limits()) as newest:
        there = {key for key, path in paths.items() if path.exists()}

    assert [key for name, key in asked if name == "GetObject"] == ["a.mp4", "b.mp4", "c.mp4"]
    assert there == {"c.mp4"}
    videos.close()
    assert not newest.parent.exists()


def test_an_object_of_which_only_the_name_is_known_is_found_first_and_one_that_changed_is_refused(
    bucket: Bucket,
) -> None:
    videos, before = FetchedVideos(), stored(bucket, "a.mp4")
    with (
        videos.file(StoredObject(bucket.name, "a.mp4"), Limits()) as path,
        videos.file(before, Limits()) as same,
    ):
        assert path == same
    bucket.put("a.mp4", "another")

    with (
        pytest.raises(ImageUnreadable, match="it has changed since it was listed"),
        FetchedVideos().file(before, Limits()),
    ):
        pass
    videos.close()
