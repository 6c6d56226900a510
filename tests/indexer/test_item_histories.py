"""Any history of calls of the Python API leaves what a model in plain dicts says: items, links, hits and scores."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import indexer
import retrieval
from retrieval.collection import Collection
from retrieval.errors import CollectionError, IdentityMismatch, UsageError
from retrieval.types import KINDS, Attribute, Kind
from tests.builders import unit_rows
from tests.indexer.item_model import Given, ItemModel, Pixels, VectorAlone, Words, key_uri, salted

PICTURES, TEXTS = ["p1", "p2", "p3"], ["t1", "t2"]
KEYS = st.sampled_from([*PICTURES, *TEXTS])
SOME_KEYS = st.lists(KEYS, min_size=1, max_size=2, unique=True)
QUERIES = unit_rows(2, seed=7)
WORDS = st.sampled_from(["one", " one\n", "two", "cafe\u0301", "caf\u00e9"]).map(Words)
IMAGES: st.SearchStrategy[Given] = st.one_of(
    st.sampled_from([(1, 2, 3), (200, 0, 0), (0, 9, 90)]).map(Pixels), st.integers(0, 2).map(VectorAlone)
)
ATTRIBUTES: st.SearchStrategy[dict[str, Attribute]] = st.dictionaries(
    st.sampled_from(["n", "tags"]), st.none() | st.integers(-3, 3) | st.lists(st.text(max_size=2), max_size=2)
)


@dataclass(frozen=True)
class Put:
    """The arguments of one ``add`` or ``upsert``."""

    key: str
    content: Given
    uri: str | None
    lang: str | None
    attributes: dict[str, Attribute]
    describes: list[str]
    replacing: bool


@st.composite
def puts(draw: st.DrawFn) -> Put:
    """Mostly pictures under keys of pictures and texts that describe some of them; now and then a mistake."""
    key = draw(KEYS)
    mistaken = draw(st.integers(0, 9)) == 9
    content = draw(IMAGES if (key in PICTURES) != mistaken else WORDS)
    describes = st.lists(st.sampled_from(PICTURES), max_size=2) if content.kind == "text" else st.just([])
    uri = draw(st.none() | st.sampled_from(["x:1", "x:2"])) if draw(st.booleans()) else None
    lang = draw(st.sampled_from([None, "en"]))
    return Put(key, content, uri, lang, draw(ATTRIBUTES), draw(describes), draw(st.integers(0, 3)) > 0)


class ItemHistory(RuleBasedStateMachine):
    """A collection and its model; ``pending`` is what the next commit makes of the model."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "collection"
        self.encoder, self.other = salted("first"), salted("second")
        self.committed, self.pending = ItemModel(), ItemModel()
        self.changed = False
        self.writer = self.opened()

    def opened(self) -> indexer.ItemWriter:
        return indexer.open_writer(self.path, model=self.encoder)

    def commit_model(self) -> None:
        self.pending.commit()
        self.committed, self.changed = self.pending.copy(), True

    def close(self) -> None:
        self.writer.__exit__(None, None, None)
        self.commit_model()

    @rule(several=st.lists(puts(), min_size=1, max_size=6))
    def put_several(self, several: list[Put]) -> None:
        for put in several:
            if self.refuses(put):
                with pytest.raises(UsageError):
                    self.put(put)
            else:
                self.put(put)
                self.put_in_model(put)

    def put(self, put: Put) -> None:
        call = self.writer.upsert if put.replacing else self.writer.add
        content = put.content
        vector = content.vector if isinstance(content, VectorAlone) else None
        value = content.image if isinstance(content, Pixels) else None
        call(
            put.key,
            content.given if isinstance(content, Words) else value,
            vector=vector,
            uri=put.uri,
            lang=put.lang,
            attributes=put.attributes,
            describes=put.describes,
        )

    def put_in_model(self, put: Put) -> None:
        place = self.place_of(put)
        old = self.pending.items.get(put.key)
        if old is not None and place != old.uri:
            self.pending.move(put.key, place)
        self.pending.put(put.key, place, put.content, put.lang, put.attributes)
        if put.describes:
            self.pending.link(put.key, put.describes)

    def place_of(self, put: Put) -> str:
        old = self.pending.items.get(put.key)
        return put.uri or (key_uri(put.key) if old is None else old.uri)

    def refuses(self, put: Put) -> bool:
        items, place = self.pending.items, self.place_of(put)
        old, before = items.get(put.key), self.committed.items.get(put.key)
        images = {key for key, item in items.items() if item.content.kind == "image"}
        owners = {put.key, self.pending.owner(place), self.committed.owner(place)} - {None}
        return (
            not set(put.describes) <= images
            or (old is not None and not put.replacing)
            or (old is not None and old.content.kind != put.content.kind)
            or len(owners) > 1
            or (old is not None and place != old.uri and (before is None or put.key in self.pending.staged))
        )

    @rule(key=KEYS, attributes=ATTRIBUTES)
    def set_attributes(self, key: str, attributes: dict[str, Attribute]) -> None:
        if key not in self.pending.items:
            with pytest.raises(UsageError, match="add it first"):
                self.writer.set_attributes(key, attributes)
            return
        self.writer.set_attributes(key, attributes)
        self.pending.set_attributes(key, attributes)

    @rule(keys=SOME_KEYS, what=st.sampled_from(["delete", "hide", "unhide"]))
    def change_by_key(self, keys: list[str], what: str) -> None:
        """Each commits what was added before, and counts the items that there are."""
        there = [key for key in keys if key in self.pending.items]

        assert getattr(self.writer, what)(*keys) == len(there)

        self.pending.commit()
        for key in there:
            uri = self.pending.items[key].uri
            if what == "delete":
                self.pending.remove(key)
            elif what == "hide":
                self.pending.hidden.setdefault(uri, None)
            else:
                self.pending.hidden.pop(uri, None)
        self.commit_model()

    @rule(how=st.sampled_from(["commit", "close", "fail", "optimize"]))
    def end_a_commit(self, how: str) -> None:
        if how == "commit":
            self.writer.commit()
            self.commit_model()
            return
        if how == "fail":
            self.writer.__exit__(KeyError, KeyError(), None)
            self.pending = self.committed.copy()
        else:
            self.close()
        if how == "optimize" and self.committed.serials:
            indexer.optimize(self.path)
        self.writer = self.opened()

    @precondition(lambda self: self.committed.items)
    @rule()
    def reindex(self) -> None:
        """Switch to the other encoder, under which images that lie nowhere have no vector."""
        self.close()
        if any(item.content.kind == "image" for item in self.committed.items.values()):
            with pytest.raises(CollectionError, match="cannot be read again"):
                indexer.reindex(self.path, self.other, workers=1)
        indexer.reindex(self.path, self.other, workers=1, skip_unreadable=True)
        self.encoder, self.other = self.other, self.encoder
        self.pending.lose_vectors_of_images()
        self.commit_model()
        with pytest.raises(IdentityMismatch):
            indexer.open_writer(self.path, model=self.other)
        self.writer = self.opened()

    @invariant()
    def the_collection_is_what_the_model_is(self) -> None:
        if self.changed:
            self.changed = False
            with Collection.open(self.path) as collection:
                self.compare_items(collection)
                self.compare_hits(collection)

    def compare_items(self, collection: Collection) -> None:
        model = self.committed
        for kind in KINDS:
            shown = model.visible(kind)
            assert (collection.count(kind), collection.has(kind)) == (len(shown), bool(shown))
            for key, item in shown.items():
                found = collection.get(key)
                assert found is not None
                assert (found.kind, found.uri, found.lang) == (kind, item.uri, item.lang)
                assert found.attributes == item.attributes
                captions = [model.items[text].uri for text in model.shown_captions(key)]
                assert [text.uri for text in found.captions] == captions
        everything = {**model.visible("image"), **model.visible("text")}
        assert list(collection.keys()) == sorted(everything, key=lambda key: everything[key].serial)
        assert list(collection.hidden()) == model.hidden_items()
        info = collection.info()
        assert info.images + info.texts == len(model.items)
        assert info.links == sum(map(len, model.captions.values()))

    def compare_hits(self, collection: Collection) -> None:
        model = self.committed
        for kind in KINDS if model.items else ():
            for distinct in (False, True):
                ranked = [model.rank(query, kind, self.encoder, distinct=distinct) for query in QUERIES]
                for k in (2, 100):
                    hits = collection.search(QUERIES, kind, k, distinct=distinct)
                    found = [[(hit.key, hit.score) for hit in of_query] for of_query in hits]
                    assert found == [expected[:k] for expected in ranked]

    @precondition(lambda self: self.committed.items)
    @rule(key=KEYS, kind=st.sampled_from(KINDS))
    def search_by_key(self, key: str, kind: Kind) -> None:
        """What is like an item is ranked by the item's stored vector, or it is said why not."""
        model, item = self.committed, self.committed.items.get(key)
        with retrieval.open(self.path, encoder=self.encoder) as engine:
            known = item is not None and item.uri not in model.hidden
            if item is None or not known or item.content.digest in model.unencoded or not model.visible(kind):
                with pytest.raises((retrieval.QueryError, CollectionError)):
                    engine.search(key=key, find=kind)
                return
            hits = engine.search(key=key, find=kind, k=3, offset=1)
        query = item.content.row(self.encoder).astype(np.float32)
        assert [(hit.key, hit.score) for hit in hits] == model.rank(query, kind, self.encoder)[1:4]

    @precondition(lambda self: self.committed.items)
    @rule(number=st.integers(0, 10**9))
    def move_through_files(self, number: int) -> None:
        """A collection that is exported and imported answers as the first one; what has no vector stays behind."""
        model, folder = self.committed, Path(self.folder.name)
        left_behind = [item for item in model.items.values() if item.content.digest in model.unencoded]
        out, back = folder / f"out{number}", folder / f"back{number}"
        if out.exists():
            return
        exported = indexer.export_collection(self.path, out, hidden=True)
        assert exported.left_out == len(left_behind)
        if not exported.rows:
            return
        indexer.import_collection(out, back)
        with Collection.open(self.path) as one, Collection.open(back) as other:
            for kind in KINDS:
                found = [
                    {
                        # a language is a text's; what somebody says of a picture's is not exported
                        (hit.key, hit.score, hit.text and hit.lang, str(hit.attributes))
                        for hit in collection.search(QUERIES[:1], kind, 100)[0]
                    }
                    for collection in (one, other)
                ]
                assert found[0] == found[1]

    def teardown(self) -> None:
        if not hasattr(self, "writer"):
            return
        try:
            self.close()
            self.the_collection_is_what_the_model_is()
            indexer.optimize(self.path)
            assert indexer.doctor(self.path) == indexer.Diagnosis((), ())
            with Collection.open(self.path) as collection:
                self.compare_hits(collection)
        finally:
            self.folder.cleanup()


def test_any_history_of_calls_leaves_what_the_model_says() -> None:
    run_state_machine_as_test(ItemHistory, settings=settings(max_examples=12, stateful_step_count=10))


@pytest.mark.slow
def test_any_long_history_of_calls_leaves_what_the_model_says() -> None:
    run_state_machine_as_test(ItemHistory, settings=settings(max_examples=150, stateful_step_count=40))
