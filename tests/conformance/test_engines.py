"""A client of a server gives what an engine gives: the same calls, values, bits, and classes of errors."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.client.faults import told
from retrieval.errors import CollectionLocked, FilterError, NothingOfKind, QueryError, VlsearchError
from retrieval.query.engine import SearchEngine
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder
from tests.serving import album_collection, serving

Engine = retrieval.SearchEngine | retrieval.RemoteEngine
numpy: Any = np  # whose numbers are not those of the signatures
TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    path = album_collection(folder)
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        Image.new("RGB", (60, 40), (7, 77, 177)).save(folder / "keyed.png")
        writer.add("sku-1", folder / "keyed.png", attributes={"price": 7.5})
        writer.add("sku-1/title", "a blue mug", lang="en", describes=["sku-1"])
        writer.commit()
        writer.set_text("sku-1", "SALE", origin="read", maker="reader 1", boxes=[(0, 0, 1, 0, 1, 1, 0, 1)])
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        request = retrieval.Request(k=4, find="image", where=retrieval.field("width") > 30)
        indexer.save_album(
            path, engine.make_album("sea / 海?", ["caption 1", retrieval.KeyPart("sku-1")], request)
        )
        query = [retrieval.TextPart("caption 1", 1000.0), retrieval.TextPart("caption 2", -300.0)]
        indexer.save_album(path, engine.make_album("much", query, retrieval.Request(k=5000, offset=1)))
    return path


@pytest.fixture(scope="module")
def engine(album: Path) -> Iterator[SearchEngine]:
    with retrieval.open(album, encoder=HashEncoder()) as found:
        yield found


@pytest.fixture(scope="module")
def client(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[retrieval.RemoteEngine]:
    settings = ServerSettings(port=0, token=TOKEN)
    with (
        serving([album], tmp_path_factory.mktemp("cache"), settings) as served,
        retrieval.connect(served.url, token=TOKEN) as found,
    ):
        yield found


def picture_of(album: Path) -> Path:
    return album.parent / "album" / "picture 3.jpg"


def first(engine: Engine) -> int:
    return engine.search("caption 3", k=1)[0].id


CALLS: dict[str, Callable[[Engine, Path], Any]] = {
    "words": lambda engine, _: engine.search("caption 1"),
    "k": lambda engine, _: engine.search("caption 1", 3, "image"),
    "texts": lambda engine, _: engine.search("caption 1", find="text", k=20),
    "offset": lambda engine, _: engine.search("caption 1", k=4, offset=5),
    "sum": lambda engine, _: engine.search(["caption 1", retrieval.TextPart("caption 2", -0.5)], k=30),
    "large weights": lambda engine, _: engine.search(
        [retrieval.TextPart("caption 1", 1e9), retrieval.TextPart("caption 2", -1e8)]
    ),
    "without": lambda engine, _: engine.search("a dog without a ball", k=5),
    "literal": lambda engine, _: engine.search("a dog without a ball", k=5, literal=True),
    "path": lambda engine, album: engine.search(picture_of(album), k=5),
    "bytes": lambda engine, album: engine.search(picture_of(album).read_bytes(), k=5),
    "decoded": lambda engine, _: engine.search(Image.new("RGB", (20, 20), (9, 8, 7)), k=5),
    "decoded, of print colours": lambda engine, _: engine.search(
        Image.new("CMYK", (20, 20), (9, 8, 7, 90)), k=5
    ),
    "crop": lambda engine, album: engine.search(
        retrieval.ImagePart(picture_of(album), 1.0, (0, 0, 0.5, 0.5)), k=3
    ),
    "picture and words": lambda engine, album: engine.search([picture_of(album), "caption 7"], k=5),
    "item": lambda engine, _: engine.search(retrieval.ItemPart(first(engine), 2.0), k=5),
    "key": lambda engine, _: engine.search(key="sku-1", k=5),
    "key in a sum": lambda engine, _: engine.search([retrieval.KeyPart("sku-1"), "caption 2"], k=5),
    "where": lambda engine, _: engine.search("caption 1", where="taken in 2021 and camera = 'Camera A'"),
    "built condition": lambda engine, _: engine.search("caption 1", where=retrieval.field("width") > 500),
    "sorted": lambda engine, _: engine.search("caption 1", k=8, sort="taken", find="image"),
    "least score": lambda engine, _: engine.search("caption 1", min_score=0.1),
    "words in texts": lambda engine, _: engine.search("mug", mode="words"),
    "hybrid": lambda engine, _: engine.search("blue mug", mode="hybrid", k=4),
    "distinct": lambda engine, _: engine.search("caption 1", distinct=True, exact=True),
    "each picture once": lambda engine, _: engine.search("caption 1", k=20, find="image", distinct="picture"),
    "whole pictures": lambda engine, _: engine.search("caption 1", k=20, regions=False),
    "behind a cursor": lambda engine, _: engine.search(
        "caption 1", k=9, cursor=engine.search("caption 1", k=3).cursor
    ),
    "similar": lambda engine, _: engine.similar(first(engine), k=5),
    "similar by a request": lambda engine, _: engine.answer_similar([1], [2], retrieval.Request(k=4)),
    "unlike": lambda engine, _: engine.similar(1, 2, unlike=[3], k=5, offset=1, where="width > 30"),
    "batch": lambda engine, album: engine.search_batch(["caption 1", "caption 2", picture_of(album)], k=3),
    "empty batch": lambda engine, _: engine.search_batch([]),
    "answer": lambda engine, _: engine.answer([retrieval.Query.of("a b")], retrieval.Request(k=2)),
    "album": lambda engine, _: engine.search_album("sea / 海?"),
    "album of more than a page": lambda engine, _: engine.search_album("much"),
    "numbers of numpy": lambda engine, _: engine.search(
        [
            retrieval.TextPart("caption 1", numpy.float32(2)),
            retrieval.ItemPart(numpy.int64(1), numpy.float64(0.5)),
        ],
        k=numpy.int64(3),
        offset=numpy.int32(1),
        min_score=numpy.float32(-0.5),
        exact=numpy.True_,
    ),
    "items by numbers of numpy": lambda engine, _: engine.similar(
        numpy.int64(1), unlike=[numpy.int64(2)], k=numpy.int64(4)
    ),
    "batch by numbers of numpy": lambda engine, _: engine.search_batch(
        ["a"], numpy.int64(4), offset=numpy.int64(2)
    ),
    "facets": lambda engine, _: engine.facets(where="taken in 2021"),
    "get": lambda engine, _: engine.get("sku-1"),
    "get NUL": lambda engine, _: (engine.get("a\0b"), engine.named("a\0b")),
    "get what is no text": lambda engine, _: (engine.get("\ud800"), engine.named("\ud800")),
    "get nothing": lambda engine, _: engine.get("nothing"),
    "named by odd bytes": lambda engine, _: engine.named("/nothing/\udcff.jpg"),
    "named": lambda engine, album: engine.named(str(picture_of(album))),
    "items": lambda engine, _: list(engine.items(where="width > 500", sort="name")),
    "some items": lambda engine, _: list(engine.items("text", offset=2, limit=3)),
    "keys": lambda engine, _: list(engine.keys()),
    "info": lambda engine, _: engine.info(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_client_answers_as_the_engine_does(
    call: str, engine: SearchEngine, client: retrieval.RemoteEngine, album: Path
) -> None:
    expected, found = CALLS[call](engine, album), CALLS[call](client, album)

    assert found == expected
    assert type(found) is type(expected)
    if isinstance(expected, retrieval.Hits):
        assert isinstance(found, retrieval.Hits)
        assert (found.probability, found.verdict, found.mode) == (
            expected.probability,
            expected.verdict,
            expected.mode,
        )
        assert (found.cursor is None) == (expected.cursor is None)


FAULTS: dict[str, Callable[[Engine, Path], Any]] = {
    "no query": lambda engine, _: engine.search(),
    "empty words": lambda engine, _: engine.search(" "),
    "k": lambda engine, _: engine.search("a", k=0),
    "wrong cursor": lambda engine, _: engine.search("a", cursor="x"),
    "no such item": lambda engine, _: engine.search(retrieval.ItemPart(10**9)),
    "no such key with NUL": lambda engine, _: engine.search(key="a\0b"),
    "no such album": lambda engine, _: engine.search_album("nothing"),
    "no album, but another address": lambda engine, _: engine.search_album("."),
    "no such key": lambda engine, _: engine.search(key="nothing"),
    "no such file": lambda engine, _: engine.search(Path("/nothing/here.jpg")),
    "not a picture": lambda engine, _: engine.search(b"<svg/>"),
    "cancelled": lambda engine, _: engine.search(["a", retrieval.TextPart("a", -1)]),
    "unknown field": lambda engine, _: engine.search("a", where="wdith > 3"),
    "unreadable condition": lambda engine, _: engine.search("a", where="width >"),
    "similar to nothing": lambda engine, _: engine.similar(),
    "similar to no item": lambda engine, _: engine.similar(10**9),
    "facets": lambda engine, _: engine.facets(["wdith"]),
    "verdict": lambda engine, _: engine.search("a", only="likely"),
    "in a batch": lambda engine, _: engine.search_batch(["a", retrieval.ItemPart(10**9)]),
    "items": lambda engine, _: list(engine.items(where="wdith > 3")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistake_raises_the_same_class_with_a_sentence(
    fault: str, engine: SearchEngine, client: retrieval.RemoteEngine, album: Path
) -> None:
    with pytest.raises(VlsearchError) as expected:
        FAULTS[fault](engine, album)
    with pytest.raises(VlsearchError) as found:
        FAULTS[fault](client, album)

    assert isinstance(found.value, QueryError) == isinstance(expected.value, QueryError)
    assert type(found.value).__name__ == type(expected.value).__name__
    assert str(found.value)
    assert "\n" not in str(found.value)


SHARED = (
    "answer", "answer_similar", "close", "explain", "facets", "get", "info", "items", "keys", "named", "search",
    "search_album", "search_batch", "similar",
)  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_a_method_takes_the_same_arguments_in_both(name: str) -> None:
    theirs, ours = (inspect.signature(getattr(kind, name)) for kind in (SearchEngine, retrieval.RemoteEngine))

    assert [(one.name, one.kind, one.default) for one in ours.parameters.values()] == [
        (one.name, one.kind, one.default) for one in theirs.parameters.values()
    ]


def test_all_hits_come_page_by_page_from_one_state(
    engine: SearchEngine, client: retrieval.RemoteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.client.engine.MOST_HITS", 4)

    found = client.search("caption 1", k=10_000, find="image")

    assert found == engine.search("caption 1", k=10_000, find="image")


def test_pictures_come_as_bytes(client: retrieval.RemoteEngine, album: Path) -> None:
    item = client.named(str(picture_of(album)))
    assert item is not None

    assert client.picture(item) == picture_of(album).read_bytes()
    assert client.thumbnail(item, 240)[8:12] == b"WEBP"
    with pytest.raises(retrieval.UsageError, match="there are no thumbnails of size 7"):
        client.thumbnail(item, 7)


@pytest.mark.parametrize("kind", [FilterError, NothingOfKind, CollectionLocked, QueryError])
def test_an_error_of_a_server_is_of_its_class_and_survives_a_pipe(kind: type[VlsearchError]) -> None:
    error = told(kind.__name__, "a sentence")

    back = pickle.loads(pickle.dumps(error))

    assert isinstance(back, kind)
    assert (str(back), back.in_shell()) == ("a sentence", "a sentence")


@pytest.mark.parametrize("name", ["SystemExit", "Path", "__doc__", "shell_word", "", None])
def test_a_server_cannot_name_a_class_that_is_not_an_error_of_ours(name: str | None) -> None:
    assert isinstance(told(name, "a sentence"), VlsearchError)


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1:8642", "ftp://host", "http://", "http://u:p@host", "http://host/?q=1", "file:///etc"],
)
def test_what_is_not_the_address_of_a_server_is_refused(address: str) -> None:
    with pytest.raises(retrieval.UsageError, match="is not the address of a server"):
        retrieval.connect(address)


def test_a_server_that_is_not_there_and_a_wrong_token_are_told_in_a_sentence(
    album: Path, tmp_path: Path
) -> None:
    with serving([album], tmp_path, ServerSettings(port=0, token=TOKEN)) as served:
        with (
            retrieval.connect(served.url, token="wrong-token-wrong-token") as wrong,
            pytest.raises(VlsearchError, match="a token is needed"),
        ):
            wrong.info()
        with (
            retrieval.connect(served.url, token=TOKEN, collection="other") as other,
            pytest.raises(VlsearchError, match="there is no collection of that name"),
        ):
            other.search("a")
    with (
        retrieval.connect(served.url) as gone,
        pytest.raises(retrieval.ServerError, match="check that vlsearch serve runs there"),
    ):
        gone.info()
