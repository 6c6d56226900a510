"""Import matplotlib as its user has set it up, and as nobody else has."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from pathlib import Path

_SETTINGS = "matplotlibrc"


def import_matplotlib() -> None:
    """Import matplotlib, which would take its settings from a ``matplotlibrc`` in the working directory first.

    Such a file may come with a stranger's folder, and can have an image drawn by LaTeX. Where there is one, the import
    happens in a folder without: for other threads the working directory is another for that moment.

    Raises:
        ImportError: it is not installed.
    """
    if "matplotlib" not in sys.modules and os.path.lexists(_SETTINGS):
        with contextlib.chdir(Path(__file__).parent):
            import_module("matplotlib")
    import_module("matplotlib")
