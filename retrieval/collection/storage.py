"""How much room a collection takes."""

from __future__ import annotations

from typing import NamedTuple

from retrieval.collection.statement import Number, ReadConnection, Select


class Storage(NamedTuple):
    """Segments of the active encoder, and bytes of its vectors and of the catalogue."""

    segments: int
    vector_bytes: int
    catalogue_bytes: int


class _Segments(NamedTuple):
    segments: int
    vector_bytes: int


def storage_of_folder(connection: ReadConnection, encoder_id: int | None) -> Storage:
    """Measure a collection in a folder, as the catalogue has it."""
    segments = _SEGMENTS.rows(connection, encoder_id)[0]
    pages, page_bytes = (pragma.rows(connection)[0].number for pragma in (_PAGE_COUNT, _PAGE_SIZE))
    return Storage(segments.segments, segments.vector_bytes, pages * page_bytes)


_SEGMENTS = Select(
    _Segments, "SELECT count(*), coalesce(sum(vectors_size), 0) FROM segments WHERE encoder_id = ?"
)
_PAGE_COUNT = Select(Number, "PRAGMA page_count")
_PAGE_SIZE = Select(Number, "PRAGMA page_size")
