"""Which items a run has met, and what it counts of them for its report."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.pipeline.report import Failures, Report, SeenItems
from indexer.store.changes import Change
from retrieval.types import Kind


class MetItems:
    """The items of the collection that a run has met, and the parts of the corpus that it could not read.

    Attributes:
        images: ids of the images that the corpus holds.
        texts: ids of its texts.
        kept: ids of images that are in the collection, though their files could not be taken this time.
        unread: uris of the parts of the corpus that its reader could not read.
    """

    def __init__(self) -> None:
        self.images, self.texts, self.kept = SeenItems(), SeenItems(), SeenItems()
        self.unread: set[str] = set()

    def __contains__(self, item: int) -> bool:
        return item in self.images or item in self.texts or item in self.kept

    def add(self, kind: Kind, item: int) -> None:
        """Note that the corpus holds an item."""
        (self.images if kind == "image" else self.texts).add(item)

    @property
    def count(self) -> int:
        """How many items the corpus holds."""
        return self.images.count + self.texts.count


class Counts:
    """The counts of a run.

    Attributes:
        met: items that the run has met.
        changed: ids of items that are new, or whose content is.
        encoded: ids of items that count as encoded, one a content.
        failures: items that could not be taken.
        links: image-text links of the corpus that the collection holds.
        fresh: uris that the next commit makes new items of, or gives new contents.
        restored: contents of unchanged items that had lost their vector, and get one with the next commit.
    """

    def __init__(self) -> None:
        self.met = MetItems()
        self.changed, self.encoded = SeenItems(), SeenItems()
        self.failures = Failures()
        self.links = 0
        self.fresh: set[str] = set()
        self.restored: dict[tuple[Kind, bytes], int] = {}

    def add_commit(self, ids: Mapping[str, int], change: Change, links: int) -> None:
        """Count what a commit has done; each content that it encoded counts for one item, the first that has it.

        Args:
            ids: of the items that it wrote, by uri.
            change: what it wrote.
            links: that it found or wrote.
        """
        unclaimed = set(change.contents)
        for uri, item in ids.items():
            new = change.items[uri]
            self.met.add(new.kind, item)
            if uri in self.fresh:
                self.changed.add(item)
            if (new.kind, new.sha256) in unclaimed:
                unclaimed.discard((new.kind, new.sha256))
                self.encoded.add(item)
        for content in unclaimed & self.restored.keys():
            self.encoded.add(self.restored[content])
        self.links += links
        self.fresh, self.restored = set(), {}

    def report(
        self, *, left_out: Mapping[str, int], removed: int, vanished: int, interrupted: bool, seconds: float
    ) -> Report:
        """Give the counts so far, with what others have counted; arguments as in :class:`Report`."""
        known = self.changed.count_without(self.encoded)
        return Report(
            images=self.met.images.count,
            captions=self.met.texts.count,
            links=self.links,
            encoded=self.encoded.count,
            known=known,
            unchanged=self.met.count - self.encoded.count - known,
            failed=len(self.failures),
            removed=removed,
            seconds=seconds,
            interrupted=interrupted,
            vanished=vanished,
            left_out=left_out,
            reasons=self.failures.groups(),
        )
