"""Make one collection of the shards of a corpus: what ``vlsearch merge`` does, as one call.

The corpus is listed again, because its order decides ids, and goes through the pipeline of an ordinary run; only that
shards say what each picture is, and give the vectors. So the outcome is that of a single run by construction, and a
killed merge goes on as a killed run does.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from indexer.pipeline.bound_encoder import encode_with
from indexer.pipeline.commits import Commits
from indexer.pipeline.counts import Counts
from indexer.pipeline.entries import EntryStager
from indexer.pipeline.held import Held, HeldEntries, must_be_asked
from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.look_up import LookedUp, LookUp
from indexer.pipeline.pace import IMPORT_PACE, CommitPace
from indexer.pipeline.report import Report
from indexer.pipeline.shards import OpenedShards, open_shards
from indexer.pipeline.unchanged_objects import ObjectsOfRun
from indexer.pipeline.vanished import VanishedItems, forget_settled
from indexer.store.acceleration import accelerate_if_due
from indexer.store.maintenance import compact_if_due
from indexer.store.shard_note import claim_shard
from indexer.store.text_rows import note_reads_text
from indexer.store.writer import Writer
from indexer.store.writers import open_place, writable_place
from indexer.stored_shards import StoredShards
from retrieval.corpora import Corpus, open_corpus
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError, UsageError
from retrieval.identity import Identity
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.types import Limits, OnProgress, Progress
from retrieval.uris import is_object_uri

_BATCH = 256  # entries that shards are asked for at once


def merge(
    shards: str | Path | Sequence[str | Path],
    collection: str | CollectionPlace,
    *,
    timeout: float = 0.0,
    pace: CommitPace = IMPORT_PACE,
    on_progress: OnProgress | None = None,
) -> Report:
    """Merge the shards of a corpus into a collection, as a single run over the corpus would have made it.

    Nothing is decoded or encoded: items come in the order of the corpus, which is listed again; what each picture is,
    why others failed, and all vectors come from the shards, which are only read. Run again, it takes over nothing
    twice. Killed at any moment, it has lost nothing committed and goes on from there. Ctrl-C commits what is done.

    Args:
        shards: folders of all the shards of a corpus, each indexed to its end, in any order; or the address in an S3
            store that :func:`indexer.send_shard` sent them to. Those are fetched into ``NAME.fetched`` beside the
            collection (in the working folder for one on a server), checked by size and hash, and removed when they
            are merged.
        collection: folder of the collection, or its address on a server; made if it is not there.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        pace: how much work a commit takes.
        on_progress: called after each entry.

    Returns:
        The counts of a single run; ``encoded`` are contents whose vectors were taken over.

    Raises:
        UsageError: a shard is missing, named twice, not indexed to its end, of another corpus or with another model; or
            the corpus holds what its shard does not.
        CorpusFormatError: the corpus cannot be listed.
        CollectionNotFound: there is no collection where a shard is named.
        IdentityMismatch: the collection is there, and was built with another model.
        CollectionLocked: another process writes to it.
        ClusterError: shards cannot be fetched, or are not what was sent.
    """
    started = time.monotonic()
    target = writable_place(collection)
    fetched = _place_of_fetched(target)
    given = [shards] if isinstance(shards, (str, Path)) else shards
    paths = list(_on_this_machine(given, fetched, on_progress))
    if isinstance(target, Path) and target.resolve() in [path.resolve() for path in paths]:
        raise UsageError(f"{target} is one of the shards; merge them into another collection")
    with open_shards(paths) as opened:
        corpus = open_corpus(opened.spec.source, opened.spec.options)
        if corpus.uri != opened.corpus.uri:
            raise UsageError(
                f"{opened.spec.source} leads to {corpus.uri} now, and led to {opened.corpus.uri} when its shards were "
                "indexed; mount it as it was"
            )
        with open_place(target, timeout) as writer:
            claim_shard(writer, corpus.uri, None)
            merging = _Merging(writer, opened, corpus, pace)
            whole = merging.take(on_progress)
            report = merging.finished(whole, started)
    if whole and any(path.parent == fetched for path in paths):
        shutil.rmtree(fetched)
    return report


def _place_of_fetched(target: CollectionPlace) -> Path:
    if isinstance(target, ServerAddress):
        return Path(f"{target.schema}.fetched")
    return target.with_name(f"{target.name}.fetched")


def _on_this_machine(
    shards: Sequence[str | Path], folder: Path, on_progress: OnProgress | None
) -> Iterator[Path]:
    """Give the folders of shards, those in a store once they are fetched into a folder."""
    for shard in shards:
        if is_object_uri(str(shard)):
            yield from StoredShards(str(shard)).fetch(folder, on_progress)
        else:
            yield Path(shard)


class _Merging:
    """One merge into a collection."""

    def __init__(self, writer: Writer, shards: OpenedShards, corpus: Corpus, pace: CommitPace) -> None:
        self._writer, self._shards, self._corpus = writer, shards, corpus
        self._encoder = _StoredVectors(shards.identity)
        writer.check_identity(shards.identity)
        self._corpus_id = writer.ensure_corpus(corpus.uri, corpus.format)
        self._counts = Counts()
        self._left_out: Counter[str] = Counter()
        self._commits = Commits(writer, self._encoder, self._corpus_id, self._counts, pace)
        self._objects = ObjectsOfRun(writer, corpus, self._corpus_id, self._commits.encoder_id, self._counts)
        self._held = HeldEntries(shards)
        self._look_up = LookUp(
            writer, self._commits.encoder_id, self._corpus_id, Limits(), retry_failed=False
        )
        self._stager = EntryStager(
            self._encoder,
            self._corpus_id,
            self._counts,
            lambda entry: self._held.failure_stamps.get(entry.uri),
        )

    def take(self, on_progress: OnProgress | None) -> bool:
        """Take all entries over, committing on the way; False: Ctrl-C came and work is committed."""
        done = 0
        with interrupts_noted() as interrupted:
            entries = self._held.entries(self._objects.entries(self._left_out))
            try:
                for batch in _batches(self._look_up.entries(entries)):
                    held = self._held.held(batch)
                    for entry in batch:
                        self._stage(entry, held)
                        done += 1
                        if on_progress is not None:
                            failed = len(self._counts.failures)
                            on_progress(Progress("merging", done, self._corpus.total, failed))
                        self._commits.commit_if_due()
                    if interrupted.is_set():
                        break
            finally:
                self._commits.commit()  # also where an entry is in no shard: the next merge goes on from there
            if interrupted.is_set():
                return False
            forget_settled(self._writer, self._shards.identity, self._corpus_id, self._counts.failures)
            return not interrupted.is_set()

    def finished(self, whole: bool, started: float) -> Report:
        """Note that the corpus was read, as a single run does, and count."""
        writer, corpus = self._writer, self._corpus
        left_out, remaining = dict(sorted(self._left_out.items())), 0
        if whole:
            met = self._counts.met
            remaining = VanishedItems(writer, self._corpus_id, corpus.uri, corpus.format, met).count()
            writer.note_run(self._corpus_id, left_out, corpus.spec, self._objects.note())
            if self._shards.reads_text:
                with writer.catalogue.without_generation() as connection:
                    note_reads_text(connection, on=True)
            compact_if_due(writer)
            if isinstance(writer.place, Path):  # a server scans all vectors
                accelerate_if_due(writer, encode_with(self._shards.identity))
        return self._counts.report(
            left_out=left_out,
            removed=0,
            vanished=remaining,
            interrupted=not whole,
            seconds=round(time.monotonic() - started, 3),
        )

    def _stage(self, entry: LookedUp, held: Held) -> None:
        staged = self._commits.staged
        for text in entry.texts:
            if not text.encoded:
                staged.add_vector(held.contents["text", text.digest])
        read: PreparedImage | ImageError | None = None
        if must_be_asked(entry):
            entry.failure = None
            failed = held.failures.get(entry.uri)
            read = held.images[entry.uri] if failed is None else ImageError(failed.reason)
            if isinstance(read, PreparedImage):
                staged.add_vector(held.contents["image", read.digest])
                texts = held.texts.get(read.digest, {})
                staged.change.texts |= {(read.digest, origin): text for origin, text in texts.items()}
        self._stager.stage(staged, entry, read)


def _batches(entries: Iterable[LookedUp]) -> Iterator[list[LookedUp]]:
    batch: list[LookedUp] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


class _StoredVectors:
    """Stands in for the encoder of shards, whose vectors are all there.

    Attributes:
        identity: of the encoder.
        image_size: nothing is prepared.
    """

    image_size = 0

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def prepare_image(self, image: object) -> NoReturn:
        """Refuse: a merge decodes nothing."""
        raise AssertionError("a merge decodes nothing")

    def encode_prepared(self, prepared: object, batch_size: int | None = None) -> NoReturn:
        """Refuse: a merge encodes nothing."""
        raise AssertionError("a merge encodes nothing")

    def encode_images(self, images: object, batch_size: int | None = None) -> NoReturn:
        """Refuse: a merge encodes nothing."""
        raise AssertionError("a merge encodes nothing")

    def encode_texts(self, texts: object, batch_size: int | None = None) -> NoReturn:
        """Refuse: a merge encodes nothing."""
        raise AssertionError("a merge encodes nothing")
