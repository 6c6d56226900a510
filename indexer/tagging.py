"""Tag the pictures of a collection with names of a vocabulary, from stored vectors: ``vlsearch tag`` as one call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.pipeline.bound_encoder import bound_encoder
from indexer.store.changes import Change
from indexer.store.writers import open_place
from retrieval.analysis.name_probabilities import name_probabilities
from retrieval.analysis.vocabulary import Vocabulary, VocabularyName, find_vocabulary
from retrieval.collection import Collection
from retrieval.collection.stored_values import parse_attributes
from retrieval.errors import CollectionEmpty, UsageError
from retrieval.machine_tags import (
    PROBABILITY,
    TAGGED_BY,
    TAGS,
    has_own_tags,
    machine_tags,
    without_machine_tags,
)
from retrieval.places import CollectionPlace
from retrieval.types import Attribute, OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.collection.kind_vectors import KindVectors
    from retrieval.encoders.base import Encoder
    from retrieval.expressions import Expression
    from retrieval.identity import Identity

PAGE_ITEMS = 1000  # read, and committed, together
DECIMALS = 3  # of a probability


@dataclass(frozen=True, slots=True)
class Tag:
    """A name that is likely to say what a picture shows, with its probability in (0, 1]."""

    name: VocabularyName
    probability: float


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """A picture that was looked at.

    Attributes:
        id: of the item.
        uri: its place.
        tags: the likely names, the likeliest first.
        has_own: it has tags that the tagger did not give, and keeps them instead.
    """

    id: int
    uri: str
    tags: tuple[Tag, ...]
    has_own: bool


@dataclass(frozen=True, slots=True)
class Tagged:
    """What a run has done.

    Attributes:
        images: pictures that were looked at.
        tagged: those that have tags now.
        untagged: those for which no name is likely.
        own: those that keep tags of their own.
        changed: those whose tags are others than before.
        names: how many pictures have each name, the most frequent first.
        tagged_by: the model and the vocabulary.
        seconds: wall time.
    """

    images: int
    tagged: int
    untagged: int
    own: int
    changed: int
    names: Mapping[VocabularyName, int]
    tagged_by: str
    seconds: float


def tag_items(
    collection: str | CollectionPlace,
    *,
    vocabulary: str | Path | Sequence[str] | None = None,
    min_probability: float = 0.5,
    most: int = 10,
    where: str | Expression | None = None,
    model: str | Path | Encoder = "auto",
    dry_run: bool = False,
    timeout: float = 0.0,
    on_image: Callable[[TaggedImage], None] | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Tagged:
    """Tag pictures with the names that are likely to say what they show, in place of tags of an earlier run.

    Stored vectors are used; no picture is read or encoded. The names are kept in the attribute ``tags``, each name's
    probability in ``tag:NAME``, and ``tagged_by`` says who gave them. Tags that a corpus, metadata or a program gave
    stay as they are. An image that is indexed again keeps its tags while its bytes stay the same. Every thousand
    pictures are one commit: killed, a run has tagged some.

    Args:
        collection: its folder, or its address on a server.
        vocabulary: a file with one name a line, with a tab and the same in another language if known (the first decides
            who gets the tag); or names; by default bundled ones, in English and Chinese.
        min_probability: of a name that is kept, above 0 and up to 1.
        most: names a picture, the likeliest, >= 1.
        where: which pictures, as :meth:`retrieval.SearchEngine.search` takes it; by default all that are not hidden.
        model: an encoder for the names, by default the collection's own.
        dry_run: change nothing.
        timeout: seconds to wait for another process that writes to the collection.
        on_image: called with each picture, in the order of ids.
        on_progress: called as pictures are looked at.

    Raises:
        UsageError: an argument cannot be used.
        FilterError: ``where`` cannot be read, or names a field that no item has.
        CollectionNotFound: there is none.
        CollectionEmpty: nothing was indexed.
        CollectionLocked: another process writes to it.
        IdentityMismatch: ``model`` is not the collection's.
    """
    if not 0 < min_probability <= 1:
        raise UsageError(
            f"a least probability of {min_probability} cannot be met; give one above 0 and up to 1"
        )
    if most < 1:
        raise UsageError(f"{most} tags a picture are none; give 1 or more")
    started, names = time.monotonic(), find_vocabulary(vocabulary)
    with open_place(collection, timeout, make=False) as writer, Collection.open(writer.place) as opened:
        identity = writer.identity
        if identity is None:
            raise CollectionEmpty(writer.place)
        found = _vectors(opened, where)
        rule = _Rule(names, identity, min_probability, most, found, bound_encoder(writer, model))
        counts = Counter[str]()
        frequent = Counter[VocabularyName]()
        for change in _changes(opened, found, rule, counts, frequent, on_image or _ignore, on_progress):
            if change and not dry_run:
                writer.commit_rows(change)
    return Tagged(
        images=len(found.ids),
        tagged=counts["tagged"],
        untagged=counts["untagged"],
        own=counts["own"],
        changed=counts["changed"],
        names=dict(frequent.most_common()),
        tagged_by=rule.tagged_by,
        seconds=round(time.monotonic() - started, 3),
    )


def untag_items(
    collection: str | CollectionPlace,
    *,
    where: str | Expression | None = None,
    dry_run: bool = False,
    timeout: float = 0.0,
) -> int:
    """Take the tags of :func:`tag_items` off pictures, all or those that meet a condition; give how many had some.

    Raises:
        FilterError: ``where`` cannot be read, or names a field that no item has.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    removed = 0
    with open_place(collection, timeout, make=False) as writer, Collection.open(writer.place) as opened:
        wanted = _wanted(opened, where)
        for attributes in _pages(opened, wanted):
            change = Change()
            for uri, known in attributes.values():
                if machine_tags(known):
                    change.attributes[uri] = without_machine_tags(known)
            removed += len(change.attributes)
            if change and not dry_run:
                writer.commit_rows(change)
    return removed


class _Rule:
    """Which names a picture gets, and the attributes that they become."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        identity: Identity,
        min_probability: float,
        most: int,
        found: KindVectors,
        encoder: Encoder,
    ) -> None:
        self.tagged_by = f"{identity.revision or identity.name}, {vocabulary.called}"
        self._names, self._least, self._most = vocabulary.names, min_probability, most
        self.probabilities = name_probabilities(vocabulary, found.vectors, encoder)

    def tags(self, probabilities: NDArray[np.float32]) -> tuple[Tag, ...]:
        """Choose the names of a picture by the probabilities of all, (names,)."""
        order = np.argsort(-probabilities, kind="stable")[: self._most]
        kept = [at for at in order.tolist() if probabilities[at] >= self._least]
        return tuple(Tag(self._names[at], round(float(probabilities[at]), DECIMALS)) for at in kept)

    def attributes(self, tags: Sequence[Tag]) -> dict[str, Attribute]:
        """Give what an item keeps of its tags."""
        if not tags:
            return {}
        names: list[str] = list(dict.fromkeys(text for tag in tags for text in tag.name.texts))
        each = {f"{PROBABILITY}{tag.name.name}": tag.probability for tag in tags}
        return {TAGS: names, TAGGED_BY: self.tagged_by, **each}


def _changes(
    opened: Collection,
    found: KindVectors,
    rule: _Rule,
    counts: Counter[str],
    frequent: Counter[VocabularyName],
    on_image: Callable[[TaggedImage], None],
    on_progress: OnProgress,
) -> Iterator[Change]:
    """Give what the tags of each page of items change, and count."""
    of_content = [rule.tags(row) for chunk in rule.probabilities for row in chunk]
    tags_of = {
        item: of_content[row] for item, row in zip(found.ids.tolist(), found.rows.tolist(), strict=True)
    }
    done = 0
    for page in _pages(opened, found.ids):
        change = Change()
        for item, (uri, known) in page.items():
            tags, own = tags_of[item], has_own_tags(known)
            on_image(TaggedImage(item, uri, tags, own))
            counts["own" if own else "tagged" if tags else "untagged"] += 1
            if own:
                continue
            frequent.update(tag.name for tag in tags)
            wanted = {**without_machine_tags(known), **rule.attributes(tags)}
            if wanted != known:
                change.attributes[uri] = wanted
        counts["changed"] += len(change.attributes)
        done += len(page)
        on_progress(Progress("tagging", done, len(found.ids), 0))
        yield change


def _vectors(opened: Collection, where: str | Expression | None) -> KindVectors:
    with opened.reading() as view:
        return view.vectors_of_kind("image", _condition(where))


def _wanted(opened: Collection, where: str | Expression | None) -> NDArray[np.int64]:
    """Find the pictures that meet a condition; where there is none, the hidden ones too."""
    with opened.reading() as view:
        if where is not None:
            return view.where("image", _condition(where))
        return np.array([row.id for page in view.pages("image") for row in page], np.int64)


def _pages(
    opened: Collection, ids: NDArray[np.int64]
) -> Iterator[dict[int, tuple[str, dict[str, Attribute]]]]:
    """Read uris and attributes of items by id, a page at a time."""
    for start in range(0, len(ids), PAGE_ITEMS):
        with opened.reading() as view:
            rows = view.rows(ids[start : start + PAGE_ITEMS].tolist())
        yield {row.id: (row.uri, dict(parse_attributes(row.attributes))) for row in rows}


def _condition(where: str | Expression | None) -> Expression | None:
    if not isinstance(where, str):
        return where
    from retrieval.collection.filters.parse import parse_where  # late: few runs have a condition

    return parse_where(where)


def _ignore(image: TaggedImage) -> None:
    """Do nothing with a picture."""
