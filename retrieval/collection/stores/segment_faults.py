"""What is wrong with segments and accelerators, as ``doctor`` finds it: sizes, digests and rows, all read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, Row, select

from retrieval.collection import schema
from retrieval.collection.accelerators.opened import Accelerator, read_accelerators
from retrieval.collection.encoder_rows import read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.folder import SegmentsFolder, reading
from retrieval.collection.layout import ASIDE_PREFIX
from retrieval.collection.migrations import ACCELERATORS_SINCE
from retrieval.collection.stores.protocols import check_rows
from retrieval.collection.stores.segment_files import open_segment
from retrieval.errors import CollectionDamaged


def segment_faults(connection: Connection, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Examine all segments that the catalogue names: the id of each, and what is wrong with it."""
    segments = schema.segments
    for row in connection.execute(select(segments).order_by(segments.c.id)).all():
        faults = [
            *file_faults(path, row.vectors_name, row.vectors_size, row.vectors_sha256),
            *file_faults(path, row.ids_name, row.ids_size, row.ids_sha256),
        ]
        if not faults:
            faults += _row_faults(connection, path, row)
        yield row.id, faults


def accelerator_faults(connection: Connection, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Examine all accelerators that the catalogue names: the id of each, and what is wrong with it."""
    if schema.schema_version(connection) < ACCELERATORS_SINCE:
        return
    table = schema.accelerators
    for encoder_id in connection.execute(select(table.c.encoder_id).distinct()).scalars().all():
        for facts in read_accelerators(driver_connection(connection), encoder_id):
            faults = list(file_faults(path, facts.name, facts.size, facts.sha256))
            if not faults:
                try:
                    Accelerator(path, facts).inverted()
                except CollectionDamaged as error:
                    faults.append(error.fault)
            yield facts.id, faults


def file_faults(path: Path, name: str, size: int, digest: str) -> Iterator[str]:
    """Compare a segment's file with the size and sha256 in the catalogue."""
    try:
        with SegmentsFolder(path) as folder, reading(folder, name) as descriptor:
            found = os.fstat(descriptor).st_size
            if found != size:
                yield f"segments/{name} has {found} bytes, and should have {size}"
            elif _sha256(descriptor) != digest:
                yield f"segments/{name} is not what was written (its sha256 differs)"
    except FileNotFoundError:
        yield f"segments/{name} is missing{_advice(path, name)}"
    except CollectionDamaged as error:
        yield error.fault


def _advice(path: Path, name: str) -> str:
    """Say in a clause whether a writer has set the missing file aside."""
    with contextlib.suppress(FileNotFoundError), SegmentsFolder(path) as folder:
        if ASIDE_PREFIX + name in folder.files():
            return " (a writer set it aside under an older catalogue; --repair brings it back)"
    return ""


def _row_faults(connection: Connection, path: Path, row: Row[tuple[object, ...]]) -> Iterator[str]:
    """Check the rows of a segment whose files are those that were written."""
    encodings = schema.encodings
    try:
        segment = open_segment(path, row)
        identity = read_identity(driver_connection(connection), path, row.encoder_id)
        if segment.dimension != identity.dimension:
            yield f"segments/{row.vectors_name} has dimension {segment.dimension}, and its encoder {identity.dimension}"
        for _, block in segment.blocks():
            check_rows(block)
    except CollectionDamaged as error:
        yield error.fault
        return
    except ValueError as error:
        yield f"segments/{row.vectors_name}: {error}"
    named = connection.execute(
        select(encodings.c.id).where(encodings.c.segment_id == row.id).order_by(encodings.c.row)
    ).scalars()
    if not np.array_equal(np.fromiter(named, np.int64), segment.ids):
        yield f"segments/{row.ids_name} names other encodings than the catalogue"


def _sha256(descriptor: int) -> str:
    with open(descriptor, "rb", closefd=False) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
