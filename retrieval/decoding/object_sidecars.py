"""Sidecars that are objects of a store, as files for a worker process, which reaches no store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

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
    from retrieval.locations.temporary_folders import TemporaryFolder  # late: few pictures lie in a store

    with closing(TemporaryFolder()) as folder:
        files = []
        for number, at in enumerate(stored):
            if (at.size or 0) <= MOST_BYTES:
                suffix = at.name.rpartition(".")[2].lower()
                path = folder.path / f"{number}.{suffix if suffix == 'json' else 'xmp'}"
                path.write_bytes(read_bytes(ObjectBytes(at), limits))
                files.append(path)
        yield replace(described, sidecars=tuple(files))
