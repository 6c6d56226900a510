"""Earlier commits of the repository, to measure beside the present one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.provenance import ROOT


def unpack(commit: str, folder: Path) -> Path:
    """Unpack the files of a commit into a new folder, and give it.

    Raises:
        SystemExit: git knows no such commit.
    """
    folder.mkdir()
    with subprocess.Popen(["git", "-C", ROOT, "archive", commit], stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout, check=True)
    if archive.returncode:
        raise SystemExit(f"git knows no commit {commit}")
    return folder
