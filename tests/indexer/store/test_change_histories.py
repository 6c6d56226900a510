"""Any history of commits leaves what dicts would hold: items, who lists them, links in their order, and failures."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

import indexer
from indexer.store.changes import Change, NewContent, NewFailure, NewItem, NewLink
from indexer.store.known import find_listings
from indexer.store.maintenance import compact_if_due, merge_small
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.types import KINDS, Kind
from tests.builders import IDENTITY, unit_rows

CORPORA = 2
PICTURES, TEXTS = ["p1", "p2", "p3"], ["t1", "t2", "t3"]
URIS = st.sampled_from(PICTURES + TEXTS)
CORPUS = st.integers(1, CORPORA)
CONTENTS = st.sampled_from(["a", "b", "c", "d"])
VECTORS = unit_rows(8, seed=2)
QUERY = unit_rows(1, seed=3)


def kind_of(uri: str) -> Kind:
    return "image" if uri in PICTURES else "text"


def digest_of(kind: Kind, content: str) -> bytes:
    return hashlib.sha256(f"{kind} {content}".encode()).digest()


def vector_of(kind: Kind, content: str) -> NDArray[np.float32]:
    row: NDArray[np.float32] = VECTORS["abcd".index(content) + (4 if kind == "text" else 0)]
    return row


@dataclass
class Row:
    """An item; ``serial`` stands for its id."""

    serial: int
    content: str
    corpus: int
    attributes: dict[str, int]


@dataclass
class Model:
    """Items by uri, listings by further corpora, links with their corpus and rank, failures in order."""

    items: dict[str, Row] = field(default_factory=dict)
    listings: set[tuple[str, int]] = field(default_factory=set)
    links: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    failures: dict[str, tuple[str, int]] = field(default_factory=dict)
    serials: int = 0

    def put(self, uri: str, content: str, corpus: int, attributes: dict[str, int]) -> None:
        row = self.items.get(uri)
        if row is None:
            self.serials += 1
            self.items[uri] = Row(self.serials, content, corpus, attributes)
            return
        row.content, row.attributes = content, attributes
        if row.corpus != corpus:
            self.listings.add((uri, corpus))

    def link(self, pairs: list[tuple[str, str]], corpus: int) -> None:
        texts = {text for _, text in pairs}
        self.links = {
            pair: link for pair, link in self.links.items() if not (pair[1] in texts and link[0] == corpus)
        }
        for image, text in pairs:
            rank = max((link[1] for pair, link in self.links.items() if pair[0] == image), default=-1) + 1
            self.links.setdefault((image, text), (corpus, rank))

    def remove(self, uri: str) -> None:
        del self.items[uri]
        self.listings = {one for one in self.listings if one[0] != uri}
        self.links = {pair: link for pair, link in self.links.items() if uri not in pair}

    def withdraw(self, uri: str, corpus: int) -> None:
        self.listings.discard((uri, corpus))
        others = sorted(other for one, other in self.listings if one == uri)
        if self.items[uri].corpus == corpus and others:
            self.items[uri].corpus = others[0]
        self.listings.discard((uri, self.items[uri].corpus))

    def captions(self, image: str) -> list[str]:
        of_image = [
            (link[1], self.items[pair[1]].serial, pair[1])
            for pair, link in self.links.items()
            if pair[0] == image
        ]
        return [text for _, _, text in sorted(of_image)]

    def rank(self, kind: Kind) -> list[tuple[str, float]]:
        scored = []
        for uri, row in self.items.items():
            if kind_of(uri) == kind:
                products = vector_of(kind, row.content).astype(np.float64) * QUERY[0].astype(np.float64)
                scored.append((-float(np.float32(products.sum())), row.serial, uri))
        return [(uri, -score) for score, _, uri in sorted(scored)]


@dataclass(frozen=True)
class Stated:
    """What one corpus says in one commit."""

    corpus: int
    items: dict[str, tuple[str, dict[str, int]]]
    links: list[tuple[str, str]]
    failed: dict[str, str]


STATED = st.builds(
    Stated,
    CORPUS,
    st.dictionaries(URIS, st.tuples(CONTENTS, st.dictionaries(st.just("n"), st.integers(0, 3))), max_size=4),
    st.lists(st.tuples(st.sampled_from(PICTURES), st.sampled_from(TEXTS)), max_size=4, unique=True),
    st.dictionaries(
        st.sampled_from(["f1", "f2", *PICTURES]), st.sampled_from(["is damaged", "is empty"]), max_size=2
    ),
)


class ChangeHistory(RuleBasedStateMachine):
    """A collection under one writer, and its model."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "collection"
        self.model = Model()
        self.writer = Writer(self.path)
        self.corpora = [self.writer.ensure_corpus(f"test:{number}", "test") for number in range(CORPORA)]
        self.changed = False

    def ids(self) -> dict[str, int]:
        with Collection.open(self.path) as collection:
            return {item.uri: item.id for item in collection.items(range(1, 10**4))}

    @rule(stated=STATED)
    def commit(self, stated: Stated) -> None:
        corpus, change = self.corpora[stated.corpus - 1], Change()
        encoded = self.encoded()
        for uri, (content, attributes) in stated.items.items():
            kind, digest = kind_of(uri), digest_of(kind_of(uri), content)
            change.items[uri] = NewItem(uri, kind, digest, corpus, attributes=attributes)
            if (kind, content) not in encoded:
                text = content if kind == "text" else None
                change.contents[kind, digest] = NewContent(kind, digest, vector_of(kind, content), text)
        known = self.model.items.keys() | stated.items.keys()
        links = [pair for pair in stated.links if set(pair) <= known]
        for image, text in links:
            change.links[image, text] = NewLink(image, text, corpus)
        for uri, reason in stated.failed.items():
            change.failures[uri] = NewFailure(uri, reason, corpus)

        self.writer.commit(change, IDENTITY)

        for uri, (content, attributes) in stated.items.items():
            self.model.put(uri, content, stated.corpus, attributes)
            self.model.failures.pop(uri, None)
        self.model.link(links, stated.corpus)
        for uri, reason in stated.failed.items():
            self.model.failures[uri] = reason, stated.corpus
        self.changed = True

    def encoded(self) -> set[tuple[Kind, str]]:
        """Contents that have a vector, those without an item that wait for compaction included."""
        with self.writer.look_up() as connection:
            held = connection.exec_driver_sql(
                "SELECT kind, sha256 FROM contents JOIN encodings ON content_id = contents.id"
            ).fetchall()
        of = {digest_of(kind, content): content for kind in KINDS for content in "abcd"}
        return {(kind, of[digest]) for kind, digest in held}

    @rule(uris=st.lists(URIS, min_size=1, max_size=3, unique=True))
    def remove(self, uris: list[str]) -> None:
        there = [uri for uri in uris if uri in self.model.items]
        ids = self.ids()
        self.writer.commit_rows(Change(removed=[ids[uri] for uri in there]))
        for uri in there:
            self.model.remove(uri)
        self.changed = True

    @rule(uri=URIS, corpus=CORPUS, listing=st.booleans())
    def list_or_withdraw(self, uri: str, corpus: int, listing: bool) -> None:
        """A corpus says that it lists an item too, or no longer, while another does."""
        row = self.model.items.get(uri)
        if row is None:
            return
        pair = [(self.ids()[uri], self.corpora[corpus - 1])]
        others = {other for one, other in self.model.listings if one == uri} | {row.corpus}
        if listing and corpus != row.corpus:
            self.writer.commit_rows(Change(listed=pair))
            self.model.listings.add((uri, corpus))
        elif not listing and others - {corpus}:
            self.writer.commit_rows(Change(withdrawn=pair))
            self.model.withdraw(uri, corpus)
        self.changed = True

    @rule(uris=st.lists(st.sampled_from(["f1", "f2", "p1"]), max_size=2))
    def settle(self, uris: list[str]) -> None:
        self.writer.commit_rows(Change(settled=uris))
        for uri in uris:
            self.model.failures.pop(uri, None)
        self.changed = True

    @rule(uri=URIS, value=st.integers(0, 9))
    def replace_attributes(self, uri: str, value: int) -> None:
        self.writer.commit_rows(Change(attributes={uri: {"m": value}}))
        if uri in self.model.items:
            self.model.items[uri].attributes = {"m": value}
        self.changed = True

    @rule(how=st.sampled_from(["compact", "merge", "reopen"]))
    def maintain(self, how: str) -> None:
        if how == "compact":
            compact_if_due(self.writer, everything=True)
        elif how == "merge":
            merge_small(self.writer)
        else:
            self.writer.close()
            self.writer = Writer(self.path)
        self.changed = True

    @invariant()
    def the_collection_is_what_the_model_is(self) -> None:
        if not self.changed:
            return
        self.changed = False
        model = self.model
        in_order = sorted(model.items, key=lambda uri: model.items[uri].serial)
        with Collection.open(self.path) as collection, collection.reading() as view:
            items = view.items(range(1, 10**4))
            assert [item.uri for item in items] == in_order
            for item in items:
                assert item.attributes == model.items[item.uri].attributes
                assert [text.uri for text in item.captions] == model.captions(item.uri)
            assert [(f.uri, f.reason) for f in view.failures()] == [
                (u, r) for u, (r, _) in model.failures.items()
            ]
            for number in range(CORPORA):
                of_corpus = {u for u, (_, corpus) in model.failures.items() if corpus == number + 1}
                assert {f.uri for f in view.failures(f"test:{number}")} == of_corpus
            for kind in KINDS if items else ():
                hits = collection.search(QUERY, kind, 100)[0]
                assert [(hit.uri, hit.score) for hit in hits] == model.rank(kind)
            contents = {(kind_of(uri), row.content) for uri, row in model.items.items()}
            assert view.info().rows - view.info().dead == len(contents)
        self.compare_listings()

    def compare_listings(self) -> None:
        ids = self.ids()
        with self.writer.look_up() as connection:
            listed = {one.uri: one.corpora for one in find_listings(connection, sorted(ids.values()))}
        numbers = {number: corpus + 1 for corpus, number in enumerate(self.corpora)}
        for uri, row in self.model.items.items():
            expected = {row.corpus} | {corpus for one, corpus in self.model.listings if one == uri}
            assert {numbers[number] for number in listed[uri]} == expected

    def teardown(self) -> None:
        if not hasattr(self, "writer"):
            return
        try:
            self.writer.close()
            assert indexer.doctor(self.path) == indexer.Diagnosis((), ())
        finally:
            self.folder.cleanup()


def test_any_history_of_commits_leaves_what_the_model_says() -> None:
    run_state_machine_as_test(ChangeHistory, settings=settings(max_examples=12, stateful_step_count=10))


@pytest.mark.slow
def test_any_long_history_of_commits_leaves_what_the_model_says() -> None:
    run_state_machine_as_test(ChangeHistory, settings=settings(max_examples=150, stateful_step_count=40))
