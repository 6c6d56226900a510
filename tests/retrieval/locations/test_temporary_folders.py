"""Temporary folders of processes that were killed are removed by the next one, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.locations.temporary_folders import PREFIX, TemporaryFolder, remove_of_dead_processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no locks of this kind")

_HOLD = (
    "from retrieval.locations.temporary_folders import TemporaryFolder; import sys\n"
    "folder = TemporaryFolder(); (folder.path / '0').mkdir(); (folder.path / '0' / 'copy.tar').write_bytes(b'x')\n"
    "print(folder.path, flush=True); sys.stdin.read()"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary ones."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setenv("TMPDIR", str(place))
    return place


def holder() -> tuple[subprocess.Popen[str], Path]:
    """A process with a temporary folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    process.communicate()


def dead(place: Path, name: str = "dead", mode: int = 0o700) -> Path:
    """A folder as a killed process leaves it."""
    folder = place / f"{PREFIX}{name}"
    folder.mkdir(mode=mode)
    (folder / "lock").touch(0o600)
    (folder / "copy").write_bytes(b"x")
    return folder


def test_a_killed_process_leaves_a_folder_that_is_removed_and_a_live_one_keeps_its_own(place: Path) -> None:
    (killed, left), (living, kept) = holder(), holder()
    end(killed, signal.SIGKILL)
    assert (left / "0" / "copy.tar").exists()

    with_own = TemporaryFolder()
    remove_of_dead_processes(place)

    assert sorted(place.iterdir()) == sorted([kept, with_own.path])
    assert (kept / "0" / "copy.tar").exists()
    living.communicate()
    with_own.close()
    assert list(place.iterdir()) == []


def test_what_may_be_somebody_elses_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead(place, "open").chmod(0o755)
    dead(place)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    remove_of_dead_processes(place)
    assert {path.name for path in place.iterdir()} == {f"{PREFIX}dead", f"{PREFIX}open"}

    monkeypatch.undo()
    remove_of_dead_processes(place)
    assert {path.name for path in place.iterdir()} == {f"{PREFIX}open"}


def test_no_link_is_followed(place: Path, tmp_path: Path) -> None:
    elsewhere = dead(tmp_path, "elsewhere")
    (place / f"{PREFIX}link").symlink_to(elsewhere)
    linked = dead(place, "linked-lock")
    (linked / "lock").unlink()
    (linked / "lock").symlink_to(elsewhere / "lock")
    (dead(place, "inside") / "down").symlink_to(elsewhere)
    remove_of_dead_processes(place)

    assert {path.name for path in elsewhere.iterdir()} == {"lock", "copy"}
    assert {path.name for path in place.iterdir()} == {f"{PREFIX}link", f"{PREFIX}linked-lock"}


def test_what_has_no_lock_or_another_name_stays(place: Path) -> None:
    (place / f"{PREFIX}unlocked").mkdir(mode=0o700)
    os.mkfifo(dead(place, "fifo") / "pipe")
    (place / f"{PREFIX}file").touch()
    (place / "others").mkdir(mode=0o700)
    (place / "others" / "lock").touch(0o600)
    remove_of_dead_processes(place)
    remove_of_dead_processes(place / "nowhere")

    assert {path.name for path in place.iterdir()} == {f"{PREFIX}unlocked", f"{PREFIX}file", "others"}
