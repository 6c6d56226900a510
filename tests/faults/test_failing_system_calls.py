"""Disks that fail and descriptors that run out: a sentence each, and what was committed stays whole."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

import indexer
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.errors import CollectionError
from tests.builders import IDENTITY, collection_of, image_change, unit_rows
from tests.faults.killing import run_apart

SEGMENTS = 60


def fail(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("call", ["fsync", "rename", "write", "open"])
def test_a_disk_that_fails_under_a_writer_costs_the_commit_and_nothing_before_it(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    with Writer(path) as writer:
        source = writer.ensure_corpus("test:", "test")
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            if call == "write":  # files are written through descriptors of their own
                patch.setattr("retrieval.collection.stores.segment_writer.sync_file", fail)
            with pytest.raises(CollectionError, match="Input/output error"):
                writer.commit(image_change(source, ["b"], unit_rows(1, seed=1)), IDENTITY)

    assert indexer.doctor(path).faults == ()
    with Collection.open(path) as opened:
        assert opened.count("image") == 1


def outcome(act: Callable[[], object]) -> str:
    """What an act says of a failing disk, be it that it did not meet it."""
    try:
        act()
    except CollectionError as error:
        return os.strerror(errno.EIO) if os.strerror(errno.EIO) in str(error) else str(error)
    return "done"


@pytest.mark.parametrize("call", ["fsync", "open", "scandir", "listdir"])
def test_a_disk_that_fails_as_a_writer_or_a_reader_starts_is_a_sentence(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    with Writer(path) as writer:  # leaves files to sweep
        writer.vectors.write(9, np.arange(9, 10), [unit_rows(1)])

    for act in (
        lambda: Writer(path).close(),
        lambda: Collection.open(path).close(),
        lambda: indexer.doctor(path),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            assert outcome(act) in ("done", os.strerror(errno.EIO))

    assert indexer.doctor(path, repair=True) == indexer.Diagnosis((), ())


def with_few_descriptors(act: Callable[[Path], object], path: Path) -> None:
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 24, used + 24))
    act(path)


def search_and_be_told(path: Path) -> None:
    with pytest.raises(CollectionError, match=r"more files than this process may open.*vlsearch optimize"):
        Collection.open(path)


def test_more_segments_than_descriptors_is_a_sentence_whose_advice_helps(tmp_path: Path) -> None:
    rows = unit_rows(SEGMENTS)
    path = collection_of(tmp_path / "collection", *(([f"{n}"], rows[n : n + 1]) for n in range(SEGMENTS)))

    run_apart(with_few_descriptors, search_and_be_told, path)
    run_apart(with_few_descriptors, indexer.optimize, path)

    with Collection.open(path) as opened:
        assert opened.info().segments == 1
        assert len(opened.search(rows[:1], "image", SEGMENTS)[0]) == SEGMENTS
