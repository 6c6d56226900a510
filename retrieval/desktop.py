"""The desktop of this machine, if there is one: what opens files on it, and the folder of a file. No shell runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from retrieval.errors import VlsearchError

WAIT_S = 5.0  # for a program to fail; it may also stay as long as its window


def opener() -> list[str]:
    """Give the command that opens a file or a folder on this desktop.

    Raises:
        VlsearchError: there is none.
    """
    if sys.platform == "win32":
        return ["explorer"]
    name = "open" if sys.platform == "darwin" else "xdg-open"
    program = shutil.which(name)
    if program is None:
        raise VlsearchError(f"there is no {name} on this machine")
    if sys.platform != "darwin" and not any(os.environ.get(one) for one in ("DISPLAY", "WAYLAND_DISPLAY")):
        raise VlsearchError("there is no desktop here")
    return [program]


def has_desktop() -> bool:
    """Whether files and folders can be opened here."""
    try:
        return bool(opener())
    except VlsearchError:
        return False


def run_opener(command: Sequence[str]) -> int:
    """Run an opener, which may go on as long as its window does; give its exit code, 0 where it goes on."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=null, stdout=null, stderr=null, start_new_session=True)
    try:
        code = process.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        return 0
    return 0 if sys.platform == "win32" else code  # explorer's code says nothing


def open_folder_of(path: Path) -> None:
    """Show the folder of a file in the desktop's file manager.

    What is opened is a folder and nothing that runs: a macOS program is a folder as well, so that there the file
    is shown in its folder instead.

    Raises:
        VlsearchError: there is no desktop, the folder is not there, or no program shows it.
    """
    command, path = opener(), path.absolute()
    if not path.parent.is_dir() or (sys.platform == "darwin" and not path.exists()):
        raise VlsearchError(f"the folder of {path.name} is not there now")
    target = ["-R", str(path)] if sys.platform == "darwin" else [str(path.parent)]
    if code := run_opener([*command, *target]):
        raise VlsearchError(f"{Path(command[0]).name} found no program that shows folders (exit code {code})")
