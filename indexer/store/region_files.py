"""Files of regions in the commit protocol: added, merged, dropped; and whether a collection keeps regions at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from indexer.store.segment_plan import plan_compaction
from indexer.store.settings import drop_settings, set_settings
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.stores.region_faults import IMAGE_ENCODINGS
from retrieval.collection.stores.region_file import (
    RegionFacts,
    RegionFile,
    merged_pieces,
    new_pieces,
    open_region_file,
    read_region_facts,
)
from retrieval.collection.stores.region_rows import add_regions, drop_regions
from retrieval.collection.stores.segment_rows import SegmentLoad
from retrieval.errors import CollectionError

_KEPT = "regions"  # the setting; there where a collection keeps regions


def keeps_regions(writer: Writer) -> bool:
    """Whether the images of a collection get regions, those to come too."""
    settings = schema.settings
    with writer.look_up() as connection:
        found = connection.execute(select(settings.c.value).where(settings.c.name == _KEPT)).scalar()
    return found is not None


def keep_regions(writer: Writer) -> None:
    """Note that the images of a collection get regions; no new generation."""
    with writer.catalogue.without_generation() as connection:
        set_settings(connection, {_KEPT: "1"})


def drop_all_regions(writer: Writer) -> int:
    """Take all regions out of a collection, which keeps none from then on; give how many files they were in."""
    with writer.catalogue.switch(writer.catalogue.next_generation()) as connection:
        drop_settings(connection, [_KEPT])
        numbers = connection.execute(select(schema.regions.c.id)).scalars().all()
        drop_regions(connection, numbers)
    writer.sweep()
    return len(numbers)


def drop_region_files(writer: Writer, numbers: Sequence[int]) -> None:
    """Take damaged files of regions out of the catalogue; the next run makes the regions again."""
    if numbers:
        with writer.catalogue.switch(writer.catalogue.next_generation()) as connection:
            drop_regions(connection, numbers)


def encodings_without_regions(writer: Writer, encoder_id: int, rule: str) -> NDArray[np.int64]:
    """Find the encodings of images in use that have no regions, ascending int64.

    Raises:
        CollectionError: other images have regions by another rule.
    """
    files = _open_files(writer, encoder_id)
    if other := next((one.facts.rule for one in files if one.facts.rule != rule), None):
        raise CollectionError(
            f"collection {writer.path} has regions that were made by another rule ({other}, not {rule}); drop them "
            "with index --no-regions, and make them again with --regions"
        )
    with writer.look_up() as connection:
        live = np.setdiff1d(
            IMAGE_ENCODINGS.array(driver_connection(connection), encoder_id), writer.masked(connection)
        )
    return np.setdiff1d(live, np.concatenate([one.ids for one in files] or [np.empty(0, np.int64)]))


def commit_regions(
    writer: Writer,
    encoder_id: int,
    rule: str,
    ids: NDArray[np.int64],
    boxes: NDArray[np.float32],
    vectors: NDArray[np.float32],
) -> None:
    """Make regions of images part of a collection.

    Args:
        writer: of the collection.
        encoder_id: of the vectors.
        rule: by which they were made.
        ids: (n,) encoding ids of the whole images, ascending, n >= 1.
        boxes: (n, w, 4) float32 shares.
        vectors: (n, w, d) float32 unit vectors.

    Raises:
        CollectionError: the disk is full or fails; nothing of this is there.
    """
    generation = writer.catalogue.next_generation()
    with writer.new_files():
        pieces = new_pieces(ids, boxes, vectors)
        written = writer.vectors.write_file(generation, "regions", len(ids), pieces)
        with writer.catalogue.switch(generation) as connection:
            add_regions(connection, encoder_id, rule, vectors.shape[1], written)


def compact_regions(
    writer: Writer,
    everything: bool = False,
    going: Callable[[], NDArray[np.int64]] | None = None,
    encoder_id: int | None = None,
) -> int:
    """Merge small files of regions where there are many, and drop the regions of masked encodings; give how many went.

    Args:
        writer: of the collection.
        everything: as of :func:`indexer.store.maintenance.plan_compaction`.
        going: gives encodings that leave the catalogue next, all masked: no file may have regions of them then.
        encoder_id: of the vectors; by default of the active encoder.
    """
    with writer.look_up() as connection:
        encoder_id = encoder_id or active_encoder_id(driver_connection(connection))
        dead = writer.masked(connection)
    files = {one.facts.id: one for one in _open_files(writer, encoder_id)}
    loads = {number: _load(one, dead) for number, one in files.items()}
    groups: list[list[int]] = []
    for _, same in groupby(files, lambda number: (files[number].facts.rule, files[number].facts.windows)):
        groups += plan_compaction([loads[number] for number in same], everything)
    leaving = going() if going is not None and files else np.empty(0, np.int64)
    due = {number for group in groups for number in group}
    groups += [[n] for n, one in files.items() if n not in due and np.isin(leaving, one.ids).any()]
    for group in groups:
        _replace(writer, [files[number] for number in group], dead)
    return sum(map(len, groups))


def _replace(writer: Writer, old: Sequence[RegionFile], gone: NDArray[np.int64]) -> None:
    """Put one file in the place of several, in one commit."""
    facts = old[0].facts
    generation = writer.catalogue.next_generation()
    left, pieces = merged_pieces(old, gone)
    with writer.new_files():
        written = writer.vectors.write_file(generation, "regions", left, pieces) if left else None
        with writer.catalogue.switch(generation) as connection:
            drop_regions(connection, [one.facts.id for one in old])
            if written is not None:
                add_regions(connection, facts.encoder_id, facts.rule, facts.windows, written)


def _open_files(writer: Writer, encoder_id: int | None) -> list[RegionFile]:
    if encoder_id is None:
        return []
    with writer.look_up() as connection:
        driver = driver_connection(connection)
        dimension = read_identity(driver, writer.path, encoder_id).dimension
        found: Iterable[RegionFacts] = read_region_facts(driver, encoder_id)
    return [open_region_file(writer.path, facts, dimension) for facts in found]


def _load(file: RegionFile, dead: NDArray[np.int64]) -> SegmentLoad:
    facts = file.facts
    return SegmentLoad(facts.id, facts.rows, int(np.isin(file.ids, dead).sum()), facts.size // facts.rows)
