"""A desktop for tests: an ``xdg-open`` that writes down what it is given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def desktop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an ``xdg-open`` first on the PATH; give the file to which it writes its arguments, each ended by a NUL.

    It fails with the code that ``VIEWER_CODE`` has. The working directory is ``folder``.
    """
    if sys.platform in ("win32", "darwin"):
        pytest.skip("this desktop has a viewer of its own")
    program = folder / "bin" / "xdg-open"
    program.parent.mkdir()
    script = f"#!/bin/sh\nprintf '%s\\0' \"$@\" >> '{folder}/opened'\nexit ${{VIEWER_CODE:-0}}\n"
    program.write_text(script, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.chdir(folder)
    return folder / "opened"
