"""Before a writer opens a catalogue: whose folder it may take, how long it waits, and on what file systems."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.store import file_systems
from indexer.store.file_systems import check_local
from indexer.store.lock import LONGEST_WAIT_S, take_lock
from indexer.store.noted_files import note_shared, note_sweepable, shared, sweepable
from indexer.store.writer import Writer
from retrieval.collection.layout import SEGMENTS, WRITER_LOCK
from retrieval.errors import CollectionError, CollectionLocked, UsageError
from tests.builders import collection_of, unit_rows


@given(st.floats() | st.integers(-5, -1) | st.just(LONGEST_WAIT_S))
def test_a_wait_is_a_number_of_seconds(timeout: float) -> None:
    if not 0 <= timeout < LONGEST_WAIT_S:
        with pytest.raises(UsageError, match="give seconds to wait for another writer, 0 or more"):
            take_lock(Path("/nonexistent/below/nothing"), timeout)


def test_nan_and_minus_one_never_mean_for_ever(tmp_path: Path) -> None:
    for timeout in (math.nan, -1.0, math.inf):
        with pytest.raises(UsageError):
            Writer(tmp_path / "collection", timeout)


@pytest.mark.parametrize("name", [".hidden", WRITER_LOCK, "decoding.journal"])
def test_a_folder_with_nothing_of_somebody_else_becomes_a_collection(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    with Writer(tmp_path) as writer:
        assert writer.identity is None


@pytest.mark.parametrize("name", ["holiday.jpg", "notes", "catalogue.sqlite.bak"])
def test_a_folder_with_files_of_somebody_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    with pytest.raises(
        UsageError, match=f"holds other files \\({name}\\); give a new collection a folder of its own"
    ):
        Writer(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    with Writer(path), pytest.raises(CollectionLocked, match="another process is writing"):
        Writer(path)

    with Writer(path) as second:
        assert second.identity is not None


HOLD_FORK_AND_DIE = """
import os, signal, sys, time
from pathlib import Path
from indexer.store.lock import take_lock
lock = take_lock(Path(sys.argv[1]), 0)
if os.fork() == 0:
    time.sleep(0.2)  # has not become another program yet
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_writer_killed_while_it_starts_a_child_locks_nobody_out(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    done = subprocess.run([sys.executable, "-c", HOLD_FORK_AND_DIE, path], check=False)
    assert done.returncode == -signal.SIGKILL

    with Writer(path) as second:
        assert second.identity is not None


def test_a_file_in_the_place_of_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "collection").mkdir()
    (tmp_path / "collection" / SEGMENTS).touch()

    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "collection"):
        with pytest.raises(CollectionError):
            Writer(path)


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /net nfs4 rw 0 0
//nas/photos /mnt/my\\040nas cifs rw 0 0
/dev/sdb1 /net/local ext4 rw 0 0
me@host:/ /home/me/remote fuse.sshfs rw 0 0
tmpfs /netbook tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me/c", None), ("/net", "nfs4"), ("/net/a/b", "nfs4"), ("/net/local/a", None), ("/netbook/a", None),
        ("/mnt/my nas/a", "cifs"), ("/mnt/my", None), ("/home/me/remote/x", "fuse.sshfs"), ("/", None),
    ],
)  # fmt: skip
def test_a_network_file_system_is_refused_by_its_nearest_mount(
    folder: str, kind: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    monkeypatch.setattr(
        file_systems, "Path", lambda path: mounts if path == "/proc/self/mounts" else Path(path)
    )

    if kind is None:
        check_local(Path(folder))
    else:
        with pytest.raises(CollectionError, match=f"network file system \\({kind}\\).*--collection"):
            check_local(Path(folder))


NAMES = st.sets(
    st.builds(
        lambda n, suffix: f"{n}-{n:016x}{suffix}", st.integers(0, 99), st.sampled_from([".faiss", ".ids.npy"])
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    with Writer(tmp_path_factory.mktemp("noted") / "collection") as opened:
        yield opened


@given(NAMES, NAMES, st.sets(st.text("ab/. ", max_size=4), max_size=3))
def test_names_that_are_noted_add_up_and_only_names_of_segments_count(
    writer: Writer, first: set[str], second: set[str], others: set[str]
) -> None:
    with writer.catalogue.without_generation() as connection:
        before, before_shared = sweepable(connection), shared(connection)
        note_sweepable(connection, first | {name for name in others if " " not in name})
        note_sweepable(connection, second)
        note_shared(connection, first)

        assert sweepable(connection) == before | first | second
        assert shared(connection) == before_shared | first
