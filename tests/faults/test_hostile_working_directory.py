"""Inside a folder that is hostile in every way, every command works, runs nothing of it and touches nothing outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.hostile_folders import (
    catalogue_nowhere,
    lock_link,
    own_files,
    segments_link,
    shared_memory_hard_link,
)
from tests.faults.hostile_places import link_outside, plant
from tests.fuzz.harness import seal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
INSTALLED = (str(Path(sys.executable).with_name("vlsearch")),)
AS_A_MODULE = (sys.executable, "-m", "retrieval.cli")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


class Place:
    """A hostile working directory, a user's own files beside it, and the traces of what has run."""

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "trace"
        self.own = own_files(folder / "own")
        self.folder = plant(folder / "hostile", self.trace)
        link_outside(self.folder, self.own)
        self.before = seal(self.own)

    def run(self, start: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command in the folder, where PATH begins with the folder itself."""
        environment = os.environ | {
            "PATH": f".{os.pathsep}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder.parent),
            "XDG_CACHE_HOME": str(self.folder.parent / "cache"),
            "HF_HUB_OFFLINE": "1",
        }
        return subprocess.run(
            [*start, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def check(self, done: subprocess.CompletedProcess[str], *codes: int) -> None:
        """Nothing of the folder has run, nothing outside is another, and the command ended as it should."""
        assert not self.trace.exists(), f"{done.args}: {self.trace.read_text()}"
        assert seal(self.own) == self.before, done.args
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in codes, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.skipif(not Path(INSTALLED[0]).exists(), reason="the command is not installed beside this Python")
def test_every_command_works_inside_a_hostile_folder_and_runs_nothing_of_it(
    place: Place, model: Path
) -> None:
    at = ("--collection", "collection")
    for arguments in (
        ("--version",),
        ("index", ".", *at, "--model", str(model)),
        ("index", "a.txt", *at),
        ("query", "picture a", *at),
        ("query", "./a.png", *at),
        ("optimize", *at),
        ("info", "--failures", *at),
        ("doctor", "--repair", *at),
        ("delete", "./b.png", *at),
        ("export", "exported", *at),
        ("import", "exported", "--collection", "second"),
        ("models",),
        ("eval", "sound", "--model", str(model), "--report", "report"),
    ):
        done = place.run(INSTALLED, *arguments)
        place.check(done, 0)
        if arguments == ("--version",):
            assert "9.9" not in done.stdout
    assert (place.folder / "report" / "report.html").exists()


def test_as_a_module_too_nothing_is_imported_from_the_working_directory(place: Place, model: Path) -> None:
    place.run((sys.executable, "-m", "no_such_module"))
    if (
        place.trace.exists()
    ):  # where no package of the environment has imported it at the start, as pip's links do
        pytest.skip(f"this Python itself imports {place.trace.read_text().split()[-1]} from there for -m")

    for arguments in (
        ("--version",),
        ("index", ".", "--collection", "c", "--model", str(model)),
        ("query", "a", "--collection", "c"),
    ):
        place.check(place.run(AS_A_MODULE, *arguments), 0)


@pytest.mark.parametrize(
    "trick",
    [segments_link, lock_link, shared_memory_hard_link, catalogue_nowhere],
    ids=lambda trick: trick.__name__,
)
def test_a_hostile_collection_in_a_hostile_folder_reaches_nothing(
    trick: Callable[[Path, Path], object], place: Place, model: Path
) -> None:
    at = ("--collection", "collection")
    place.check(place.run(INSTALLED, "index", ".", *at, "--model", str(model)), 0)
    trick(place.folder / "collection", place.own)
    place.before = seal(place.own)

    for arguments in (("index", "."), ("optimize",), ("doctor", "--repair"), ("query", "picture a")):
        place.check(place.run(INSTALLED, *arguments, *at), 0, 1)


def test_an_emptied_catalogue_and_a_journal_that_is_a_link_change_nothing(place: Place, model: Path) -> None:
    at = ("--collection", "collection")
    place.check(place.run(INSTALLED, "index", ".", *at, "--model", str(model)), 0)
    collection = place.folder / "collection"
    (collection / "catalogue.sqlite").write_bytes(b"")
    segments = seal(collection / "segments")

    for arguments in (("index", "."), ("optimize",), ("doctor", "--repair"), ("query", "picture a")):
        done = place.run(INSTALLED, *arguments, *at)
        place.check(done, 1)
        assert "backup" in done.stdout + done.stderr
    assert seal(collection / "segments") == segments
