"""What becomes of each entry of a corpus: its image and texts are staged, counted, or noted as failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from indexer.pipeline.counts import Counts
from indexer.pipeline.described import by_metadata, joined, whole_stamp
from indexer.pipeline.look_up import LookedUp, LookedUpText
from indexer.pipeline.renames import is_gone
from indexer.pipeline.staging import Staged
from indexer.store.changes import NewFailure, NewItem
from indexer.store.known import KnownItem
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError, ImageGivenUp
from retrieval.locations.extents import extent_of
from retrieval.machine_tags import with_machine_tags
from retrieval.types import CorpusImage, Failure

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


class EntryStager:
    """Stages entries one after the other, in the order of the corpus."""

    def __init__(
        self,
        encoder: Encoder,
        corpus_id: int,
        counts: Counts,
        failure_stamp: Callable[[LookedUp], str | None],
    ) -> None:
        self._encoder, self._corpus_id, self._counts = encoder, corpus_id, counts
        self._failure_stamp = failure_stamp

    def stage(self, staged: Staged, entry: LookedUp, read: PreparedImage | ImageError | None) -> None:
        """Stage an entry.

        Args:
            staged: the work of the next commit.
            entry: with what the catalogue knows of it.
            read: its image, or why it could not be taken; None where there was nothing to read.
        """
        staged.characters += entry.weight
        failure = entry.failure
        if isinstance(read, ImageError):
            failure = Failure(entry.uri, str(read))
            entry.attempts = entry.attempts + 1 if isinstance(read, ImageGivenUp) else 0
            read = None
        if failure is not None:
            self._stage_failure(staged, entry, failure)
        elif entry.first is not None:
            entry.taken = entry.first.taken
        elif entry.image is not None:
            self._counts.failures.forget(entry.uri)
            self._stage_image(staged, entry, entry.image, read)
            entry.taken = True
        for text in entry.texts:
            self._stage_text(staged, text)
            if entry.taken:
                staged.add_link(entry.uri, text.text.uri, self._corpus_id)

    def _stage_failure(self, staged: Staged, entry: LookedUp, failure: Failure) -> None:
        met, known = self._counts.met, entry.known
        if known is not None and known.id in met.images:
            return  # this run has taken it already, from another place in the corpus
        self._counts.failures.add(failure)
        if entry.image is None or entry.unlisted is not None:
            met.unread.add(failure.uri)
        elif known is not None and not is_gone(entry.uri):
            met.kept.add(known.id)
        if not entry.repeated:
            stamp = self._failure_stamp(entry)
            staged.add_failure(NewFailure(failure.uri, failure.reason, self._corpus_id, stamp))

    def _stage_image(
        self, staged: Staged, entry: LookedUp, image: CorpusImage, read: PreparedImage | None
    ) -> None:
        known = entry.known
        if read is not None:
            staged.add_image(read, self._encoder)
            staged.add_page_text(read)
            digest, metadata = read.digest, read.metadata
        else:
            assert known is not None, f"{image.uri} is neither known nor read"
            digest, metadata = known.sha256, by_metadata(known.stamp, known.attributes)
        attributes, names = joined(image, metadata)
        if known is not None and known.sha256 == digest:
            attributes = with_machine_tags(attributes, known.attributes)
        if read is None and known is not None and dict(known.attributes) == attributes:
            self._keep(staged, known)
            self._counts.met.add("image", known.id)
            return
        if known is None or known.sha256 != digest:
            self._counts.fresh.add(image.uri)
        item = NewItem(
            uri=image.uri,
            kind="image",
            sha256=digest,
            corpus_id=self._corpus_id,
            key=image.key,
            attributes=attributes,
            stamp=whole_stamp(entry.stamp, names),
            extent=extent_of(image.location),
        )
        has_vector = read is None or read.array is None
        staged.add_item(item, may_be_renamed=known is None and has_vector)

    def _stage_text(self, staged: Staged, looked_up: LookedUpText) -> None:
        text, known, digest = looked_up.text, looked_up.known, looked_up.digest
        if not looked_up.encoded:
            staged.add_text(digest, looked_up.normalised, self._encoder)
        if known is not None and known.sha256 == digest and known.lang == text.lang:
            self._counts.met.add("text", known.id)
            if not looked_up.encoded:
                self._counts.restored["text", digest] = known.id
            if dict(known.attributes) == dict(text.attributes):
                self._keep(staged, known)
                return
        if known is None or known.sha256 != digest:
            self._counts.fresh.add(text.uri)
        item = NewItem(
            uri=text.uri,
            kind="text",
            sha256=digest,
            corpus_id=self._corpus_id,
            key=text.key,
            lang=text.lang,
            attributes=text.attributes,
        )
        staged.add_item(item, may_be_renamed=known is None and looked_up.encoded)

    def _keep(self, staged: Staged, known: KnownItem) -> None:
        """Leave an item as it is, and note that this corpus lists it if that is new."""
        if not known.listed:
            staged.change.listed.append((known.id, self._corpus_id))
