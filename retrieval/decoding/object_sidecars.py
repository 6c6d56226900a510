"""Sidecars that are objects of a store, as files for a worker process, which reaches no store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from retrieval.locations.fetch import read_bytes
from retrieval.metadata.sidecars import Described
from retrieval.metadata.xmp import MOST_BYTES
from retrieval.types import Limits, ObjectBytes, StoredObject


@contextmanager
def sidecars_as_files(described: Described | None, limits: Limits) -> Iterator[Described | None]:
    """Give what describes an image with its sidecars on this machine, for the length of a block.

    One that is larger than any program writes is left out, as of files.

    Raises:
        ImageUnreadable: the store does not give one of them now.
    """
    stored = [one for one in described.sidecars if isinstance(one, StoredObject)] if described else []
    if described is None or not stored:
        yield described
        return
    with tempfile.TemporaryDirectory(prefix="vlsearch-s3-") as folder:
        files = []
        for number, at in enumerate(stored):
            if (at.size or 0) <= MOST_BYTES:
                suffix = at.name.rpartition(".")[2].lower()
                path = Path(folder) / f"{number}.{suffix if suffix == 'json' else 'xmp'}"
                path.write_bytes(read_bytes(ObjectBytes(at), limits))
                files.append(path)
        yield replace(described, sidecars=tuple(files))
