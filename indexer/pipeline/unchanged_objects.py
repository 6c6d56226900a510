"""Objects of a store that are as the last whole run noted them: not fetched, and their items count as unchanged.

An object is noted when a run has met every item that the collection has of it, and no failure in it that another run
would try again. With it goes a digest of those items: whatever changes one of them (a deletion, another program)
makes the next run fetch the object. A digest of failures goes with it too.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from indexer.pipeline.counts import Counts
from indexer.pipeline.described import files_of
from indexer.pipeline.look_up import LookUp
from indexer.pipeline.vanished import ITEMS_INSIDE
from indexer.store.many_rows import SelectAmong
from indexer.store.writer import Writer
from retrieval.collection.engine import driver_connection
from retrieval.collection.known_corpora import read_noted_objects
from retrieval.collection.statement import Select, SelectIds
from retrieval.collection.stored_values import parse_attributes
from retrieval.corpora.corpus import Corpus, CorpusObject, Entries, LeftOut
from retrieval.corpora.noted_objects import NotedObject, NotedObjects, this_program
from retrieval.machine_tags import TAGGED_BY, without_machine_tags
from retrieval.types import Failure, Kind
from retrieval.uris import is_url

_DIGESTS = 2**256


@dataclass(slots=True)
class _Held:
    """What the collection holds of an object.

    Attributes:
        digest: sum of the digests of its items and failures.
        images: ids, and texts likewise.
        links: of its texts.
        failures: in it.
        kept: ids of images that are there although they fail now.
        is_as_it_was: every content has a vector, and every picture beside the object is as it was.
    """

    digest: int = 0
    images: array[int] = field(default_factory=lambda: array("q"))
    texts: array[int] = field(default_factory=lambda: array("q"))
    links: int = 0
    failures: list[_Failure] = field(default_factory=list)
    kept: set[int] = field(default_factory=set)
    is_as_it_was: bool = True

    def add(self, facts: tuple[object, ...]) -> None:
        """Add what a run would compare of an item or a failure to the digest."""
        added = sha256(repr(tuple(facts)).encode(errors="backslashreplace")).digest()
        self.digest = (self.digest + int.from_bytes(added, "big")) % _DIGESTS


class ObjectsOfRun:
    """The objects that a corpus is read from, in one run; of other corpora there are none.

    Args:
        writer: of the collection.
        corpus: that is read.
        corpus_id: catalogue id of the corpus.
        encoder_id: catalogue id of the encoder.
        counts: of the run.
    """

    def __init__(
        self, writer: Writer, corpus: Corpus, corpus_id: int, encoder_id: int, counts: Counts
    ) -> None:
        self._writer, self._corpus, self._counts = writer, corpus, counts
        self._corpus_id, self._encoder_id = corpus_id, encoder_id
        self._objects = {one.uri: one for one in corpus.objects}
        self._unchanged: dict[str, NotedObject] = {}
        self._left_out: dict[str, Mapping[str, int]] = {}

    def skip_unchanged(self, look_up: LookUp) -> None:
        """Find the objects that are as they were noted, and count their items as met; ``look_up`` judges failures."""
        noted = self._noted()
        candidates = {uri: one for uri, one in self._objects.items() if noted and noted.has(uri, one.stamp)}
        if noted is None or not candidates:
            return
        for uri, held in self._held(candidates).items():
            again = any(one.stamp is not None and not look_up.fails_again(one.stamp) for one in held.failures)
            if held.is_as_it_was and not again and f"{held.digest:064x}" == noted.objects[uri].items:
                self._unchanged[uri] = noted.objects[uri]
                self._count(held)

    def entries(self, left_out: LeftOut) -> Entries:
        """Stream what is in the objects that are not skipped, or in a corpus that is not read from objects."""
        if not self._objects:
            yield from self._corpus.entries(left_out)
        for uri, one in self._objects.items():
            if uri in self._unchanged:
                left_out.update(self._unchanged[uri].left_out)
                continue
            counted: LeftOut = Counter()
            yield from one.entries(counted)
            self._left_out[uri] = dict(counted)
            left_out.update(counted)

    def note(self) -> NotedObjects | None:
        """Give what a whole run notes of the objects; None where there are none."""
        spec = self._corpus.spec
        if not self._objects or spec is None:
            return None
        noted = dict(self._unchanged)
        read = {uri: one for uri, one in self._objects.items() if uri not in noted}
        for uri, held in self._held(read, are_read=True).items() if read else ():
            if uri in self._left_out and self._is_settled(uri, held):
                noted[uri] = NotedObject(read[uri].stamp, f"{held.digest:064x}", self._left_out[uri])
        return NotedObjects(this_program(), spec.to_json(), self._corpus.format, noted)

    def _noted(self) -> NotedObjects | None:
        if not self._objects or self._corpus.spec is None:
            return None
        with self._writer.look_up() as connection:
            return read_noted_objects(driver_connection(connection), self._corpus.spec)

    def _count(self, held: _Held) -> None:
        for failure in held.failures:
            self._counts.failures.add(Failure(failure.uri, failure.reason))
        met = self._counts.met
        for item in held.images:
            (met.kept if item in held.kept else met.images).add(item)
        for item in held.texts:
            met.texts.add(item)
        self._counts.links += held.links

    def _is_settled(self, uri: str, held: _Held) -> bool:
        """Whether another run over the same bytes would find what the collection holds, and nothing to try again."""
        met = self._counts.met
        if uri in met.unread or not all(item in met for ids in (held.images, held.texts) for item in ids):
            return False
        # What the reader of a tar cannot take lies in its bytes; a row of a table may name what cannot be listed now.
        in_the_bytes = met.unread if self._corpus.format in ITEMS_INSIDE else frozenset[str]()
        return all(one.stamp is not None or one.uri in in_the_bytes for one in held.failures)

    def _held(self, objects: Mapping[str, CorpusObject], are_read: bool = False) -> dict[str, _Held]:
        """Read what the collection holds of objects; ``are_read``: pictures beside them need not be asked for."""
        found = {uri: _Held() for uri in objects}
        with self._writer.look_up() as connection:
            driver = driver_connection(connection)
            failures: dict[str, _Failure] = {}
            for failure in _FAILURES.rows(driver, self._corpus_id):
                if (uri := self._object_of(failure.uri)) in found:
                    failures[failure.uri] = failure
                    found[uri].failures.append(failure)
                    found[uri].add(failure)
                    found[uri].is_as_it_was &= are_read or _is_as_it_was(objects[uri], failure)
            ids = _ITEM_IDS.array(driver, self._corpus_id, self._corpus_id)
            for item in _ITEMS.rows(connection, ids.tolist(), self._encoder_id):
                if (uri := self._object_of(item.uri)) not in found:
                    continue
                held = found[uri]
                held.add(_compared(item))
                held.is_as_it_was &= item.encoding_id is not None
                held.is_as_it_was &= are_read or _is_as_it_was(objects[uri], item)
                held.links += item.links
                (held.images if item.kind == "image" else held.texts).append(item.id)
                if item.uri in failures and failures[item.uri].stamp is not None:
                    held.kept.add(item.id)
        return found

    def _object_of(self, uri: str) -> str:
        """Give the object that a place is in; a corpus of one object is all of it, wherever its pictures lie."""
        return self._corpus.objects[0].uri if len(self._objects) == 1 else uri.partition("#")[0]


def _is_as_it_was(one: CorpusObject, kept: _Item | _Failure) -> bool:
    """Whether a picture is as the catalogue has it: inside the object, whose stamp is compared apart, or beside it."""
    if kept.uri.partition("#")[0] == one.uri or is_url(kept.uri):
        return True
    now, before = one.stamp_of(kept.uri), files_of(kept.stamp)
    return now is not None and f"{before}:".startswith(f"{now}:")


def _compared(item: _Item) -> tuple[object, ...]:
    """Give what a run would compare of an item; tags that ``vlsearch tag`` gave are not from the corpus."""
    attributes = item.attributes
    if TAGGED_BY in attributes:
        attributes = json.dumps(without_machine_tags(parse_attributes(attributes)), sort_keys=True)
    return item.uri, item.kind, item.key, item.lang, attributes, item.stamp, item.sha256, item.links


class _Item(NamedTuple):
    """An item with the sha256 of its content, the encoding of that, and the number of links of a text."""

    id: int
    uri: str
    kind: Kind
    key: str | None
    lang: str | None
    attributes: str
    stamp: str | None
    sha256: bytes
    encoding_id: int | None
    links: int


class _Failure(NamedTuple):
    """A failure of the corpus."""

    uri: str
    reason: str
    stamp: str | None


_FAILURES = Select(_Failure, "SELECT uri, reason, stamp FROM failures WHERE source_id = ?")
_ITEM_IDS = SelectIds(
    "SELECT id FROM items WHERE source_id = ? UNION SELECT item_id FROM listings WHERE source_id = ?"
)
_ITEMS = SelectAmong(
    _Item,
    "SELECT items.id, items.uri, items.kind, items.key, items.lang, items.attributes, items.stamp, contents.sha256,"
    " encodings.id, (SELECT count(*) FROM links WHERE text_item = items.id)"
    " FROM items JOIN contents ON contents.id = items.content_id"
    " LEFT JOIN encodings ON encodings.content_id = contents.id AND encodings.encoder_id = ? AND encodings.part = 0",
    "items.id",
)
