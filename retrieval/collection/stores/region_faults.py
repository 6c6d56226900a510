"""What is wrong with files of regions, as ``doctor`` finds it: sizes, digests and vectors, all read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from retrieval.collection import schema
from retrieval.collection.encoder_rows import read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.migrations import REGIONS_SINCE
from retrieval.collection.statement import SelectIds
from retrieval.collection.stores.region_file import (
    RegionFacts,
    RegionFile,
    open_region_file,
    read_region_facts,
    scales_of,
)
from retrieval.collection.stores.segment_faults import file_faults
from retrieval.errors import CollectionDamaged

_READ_ROWS = 4096  # whose vectors are looked at together


def region_faults(connection: Connection, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Examine all files of regions that the catalogue names: the id of each, and what is wrong with it."""
    if schema.schema_version(connection) < REGIONS_SINCE:
        return
    driver = driver_connection(connection)
    encoders = connection.exec_driver_sql("SELECT DISTINCT encoder_id FROM regions").scalars().all()
    for encoder_id in encoders:
        images, seen = IMAGE_ENCODINGS.array(driver, encoder_id), np.empty(0, np.int64)
        for facts in read_region_facts(driver, encoder_id):
            faults = list(file_faults(path, facts.name, facts.size, facts.sha256))
            if not faults:
                try:
                    dimension = read_identity(driver, path, encoder_id).dimension
                    file = open_region_file(path, facts, dimension)
                except CollectionDamaged as error:
                    faults.append(error.fault)
                else:
                    faults += _row_faults(facts, file, images, seen)
                    seen = np.concatenate([seen, file.ids])
            yield facts.id, faults


def _row_faults(
    facts: RegionFacts, file: RegionFile, images: NDArray[np.int64], seen: NDArray[np.int64]
) -> Iterator[str]:
    """Check the rows of a file that is the one that was written."""
    name = f"segments/{facts.name}"
    if (np.diff(file.ids) <= 0).any():
        yield f"{name} names its images in no order"
    if not np.isin(file.ids, images).all():
        yield f"{name} names images that have no vector in the catalogue"
    if np.isin(file.ids, seen).any():
        yield f"{name} names images whose regions another file has"
    boxes = file.boxes
    sound = (boxes[..., :2] >= 0).all() and (boxes[..., 2:] > 0).all()
    if not (sound and (boxes[..., :2] + boxes[..., 2:] <= 1 + 1e-6).all()):
        yield f"{name} holds regions that are not parts of an image"
    for start in range(0, len(file.ids), _READ_ROWS):
        at = slice(start, start + _READ_ROWS)
        scales = file.scales[at]
        if not (np.isfinite(scales).all() and (scales == scales_of(file.codes[at])).all()):
            yield f"{name} holds a vector that is not of unit length"
            return


IMAGE_ENCODINGS = SelectIds(
    "SELECT encodings.id FROM encodings JOIN contents ON contents.id = encodings.content_id "
    "WHERE contents.kind = 'image' AND encodings.encoder_id = ? AND encodings.part = 0 ORDER BY encodings.id"
)
"""The ids of an encoder's encodings of images, those of no item too."""
