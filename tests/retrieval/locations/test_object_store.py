"""Objects of a store: bounded in bytes, time and tries, whatever it answers; a fault is one clause without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from retrieval.errors import ImageError, ImageGivenUp, ImageUnreadable
from retrieval.locations import object_store
from retrieval.locations.extents import extent_of, location_of
from retrieval.locations.fetch import read_bytes, stamp
from retrieval.locations.object_store import StoredFolder, StoreFault, find_object, list_folder
from retrieval.types import Limits, ObjectBytes, StoredObject
from retrieval.uris import object_uri, split_object_uri
from tests.hostile_s3 import HostileStore, Page, cut_off, hostile_store, refuse, trickle
from tests.s3_server import SECRET, Bucket, settings_of

PATIENT = Limits(file_bytes=2**20, seconds=600)
IMPATIENT = Limits(file_bytes=2**20, seconds=0.25)
AT = StoredObject("bucket", "p/a.png", 3, 0, '"1"')


@pytest.fixture(scope="module")
def running() -> Iterator[HostileStore]:
    with hostile_store() as server:
        yield server


@pytest.fixture
def store(running: HostileStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileStore]:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    running.asked.clear()
    with settings_of(running.url):
        yield running


def test_an_object_is_found_listed_and_read_in_whole_and_in_part(bucket: Bucket) -> None:
    bucket.put("p/a b#%.bin", b"0123456789")
    listed = list_folder(bucket.name, "p/").objects["a b#%.bin"]

    assert find_object(bucket.name, "p/a b#%.bin") == listed
    assert find_object(bucket.name, "p/") is None
    assert read_bytes(ObjectBytes(listed), PATIENT) == b"0123456789"
    assert read_bytes(ObjectBytes(listed, "m", 2, 3), PATIENT) == b"234"
    assert read_bytes(ObjectBytes(listed, "m", 2, 0), PATIENT) == b""


def test_a_listing_of_many_pages_is_whole(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_PAGE_NAMES", 4)
    names = {f"{number}.png" for number in range(9)}
    for name in names:
        bucket.put(f"p/{name}", b"")
    bucket.put("p/", b"")
    bucket.put("p/q/r", b"")

    found = list_folder(bucket.name, "p/")

    assert (set(found.objects), found.folders, found.faults) == (names, ["q"], {})


def test_an_object_that_changes_between_listing_and_reading_is_not_read(bucket: Bucket) -> None:
    bucket.put("a", b"old")
    listed = list_folder(bucket.name, "").objects["a"]
    bucket.put("a", b"new")

    with pytest.raises(ImageUnreadable, match="it has changed since it was listed"):
        read_bytes(ObjectBytes(listed), PATIENT)
    again = list_folder(bucket.name, "").objects["a"]
    assert stamp(ObjectBytes(again)) != stamp(ObjectBytes(listed))


def test_a_place_in_an_object_survives_the_way_through_the_catalogue() -> None:
    at = StoredObject("bucket", "p q/ä#%.tar")
    for location, fragment in (
        (ObjectBytes(at), None),
        (ObjectBytes(at, "in/x#.png", 512, 7), "in/x#.png"),
        (ObjectBytes(at, "x.tif", 512, 7, "page=2"), "x.tif#page=2"),
        (ObjectBytes(StoredObject("bucket", "x.tif"), part="page=2"), "page=2"),
    ):
        uri = object_uri(location.object.bucket, location.object.key, fragment)

        assert split_object_uri(uri) == (location.object.bucket, location.object.key, fragment)
        assert location_of(uri, extent_of(location)) == location
    assert location_of("s3://bucket/t.parquet#row%3D1", "row 1 of image") is None


def test_names_that_would_be_other_places_as_paths_are_faults(store: HostileStore) -> None:
    names = ["..", ".", "a\nb", "\x1b[2J", "\u202egnp.exe", "x" * 1025]
    store.respond = Page([f"p/{name}" for name in (*names, "fine.png")], ["p/../", "p//", "p/ok/"])

    found = list_folder("bucket", "p/")

    assert set(found.faults) == set(names)
    assert (list(found.objects), found.folders) == (["fine.png"], ["", "ok"])


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(["elsewhere/a.png"]), "the store lists what is not in the folder"),
        (Page(["p/a.png"], size="-1"), "has no size or no time"),
        (Page(["p/a.png"], size="many"), "could not be asked"),
        (Page(["p/a.png"], size=str(2**70)), "has no size or no time"),
        (Page(["p/a.png"], next="again"), "the store's listing does not go on"),
        (Page([f"p/{number}" for number in range(11)]), "it holds more than 10 names"),
        (lambda handler: handler.give(b"<not XML"), r"the store answered 500"),
        (lambda handler: handler.give(b""), None),
        (refuse(403, "AccessDenied"), r"the store answered AccessDenied \(403\)"),
        (refuse(404, "NoSuchBucket"), "there is no such bucket"),
    ],
)
def test_a_listing_that_lies_or_fails_is_one_fault(
    store: HostileStore, page: object, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "MOST_NAMES", 10)
    store.respond = page  # type: ignore[assignment]

    if reason is None:
        assert list_folder("bucket", "p/") == StoredFolder()
        return
    with pytest.raises(StoreFault, match=reason):
        list_folder("bucket", "p/")


def test_a_listing_without_end_is_given_up(store: HostileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "MOST_NAMES", 5)
    store.respond = lambda handler: Page(next=str(len(store.asked)))(handler)

    with pytest.raises(StoreFault, match="the store's listing has no end"):
        list_folder("bucket", "p/")
    assert len(store.asked) == 5


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (refuse(403, "AccessDenied", SECRET), r"the store answered AccessDenied \(403\)"),
        (refuse(400, f"{SECRET} ", SECRET), "the store answered 400"),
        (refuse(400, f"<b>{SECRET}</b>", SECRET), "the store could not be asked"),
        (refuse(404, "NoSuchKey"), "there is no such object"),
        (refuse(412, "PreconditionFailed"), "it has changed since it was listed"),
        (lambda handler: handler.give(b"four"), "the store listed 3 bytes and gave more"),
        (lambda handler: handler.give(b"2b"), "the store listed 3 bytes and gave 2"),
        (cut_off, "the store listed 3 bytes and gave more"),
    ],
)
def test_an_object_that_is_not_given_as_listed_is_a_reason_that_repeats_no_words_of_the_store(
    store: HostileStore, respond: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.respond = respond  # type: ignore[assignment]

    with caplog.at_level(logging.INFO), pytest.raises(ImageUnreadable, match=reason) as caught:
        read_bytes(ObjectBytes(AT), PATIENT)

    assert SECRET not in f"{caught.value}{caplog.text}"


def test_a_redirect_is_followed_to_no_address_that_the_store_names(store: HostileStore) -> None:
    with hostile_store() as inside:
        for status in (301, 302, 307):
            store.respond = refuse(
                status, "PermanentRedirect", Location=f"{inside.url}/secret", x_amz_bucket_region=inside.url
            )
            with pytest.raises(ImageError):
                read_bytes(ObjectBytes(AT), PATIENT)

        assert not inside.asked


def test_a_store_that_is_overloaded_is_asked_a_few_times(store: HostileStore) -> None:
    store.respond = refuse(503, "SlowDown")

    with pytest.raises(ImageUnreadable, match=r"the store answered SlowDown \(503\)"):
        read_bytes(ObjectBytes(AT), PATIENT)
    assert len(store.asked) == 3


def test_a_store_that_breaks_off_once_is_asked_again(store: HostileStore) -> None:
    def respond(handler: object) -> None:
        (cut_off if len(store.asked) == 1 else lambda one: one.give(b"abc"))(handler)  # type: ignore[arg-type]

    store.respond = respond

    assert read_bytes(ObjectBytes(StoredObject("bucket", "a")), PATIENT) == b"abc"


def test_a_store_that_never_comes_to_an_end_is_given_up_after_the_time_allowed() -> None:
    with hostile_store() as alone, settings_of(alone.url):  # the thread that is left behind asks once more
        alone.respond = trickle

        with pytest.raises(ImageGivenUp, match=r"the download took longer than 0\.25 s"):
            read_bytes(ObjectBytes(StoredObject("bucket", "a")), IMPATIENT)


def test_a_store_that_is_not_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    nowhere = settings_of("http://someone:password@127.0.0.1:9")
    with nowhere, pytest.raises(ImageUnreadable, match="no connection to the store can be made") as caught:
        read_bytes(ObjectBytes(AT), PATIENT)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("size", [2**20 + 1, None])
def test_an_object_over_the_limit_is_not_read_whatever_was_listed(
    store: HostileStore, size: int | None
) -> None:
    store.respond = lambda handler: handler.give(bytes(2**20 + 1))

    with pytest.raises(ImageError, match=r"over the limit of 1,048,576 \(--max-bytes\)"):
        read_bytes(ObjectBytes(StoredObject("bucket", "a", size)), PATIENT)
    assert len(store.asked) == (size is None)


def test_a_range_that_is_not_given_as_one_is_refused(store: HostileStore) -> None:
    store.respond = lambda handler: handler.give(b"abc")

    with pytest.raises(ImageUnreadable, match="gives no parts of objects"):
        read_bytes(ObjectBytes(AT, "m", 1, 3), PATIENT)
