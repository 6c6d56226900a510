"""The first lines of a worker process: ``python -I child.py``, so that nothing but what is installed can be imported.

Isolated mode (-I) leaves out the working directory, PYTHONPATH, the user's own site-packages and all PYTHON*
variables; a script's folder is not added either. ``retrieval`` is then found by the path given, and by no other; the
decoders by the folders of installed packages given, which are those that the run itself imports them from.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

DECODERS = {
    "PIL", "numpy", "pillow_heif", "_pillow_heif",
    "pypdfium2", "pypdfium2_cfg", "pypdfium2_raw",
    "rawpy", "pillow_jxl", "packaging",
    "av",
}  # fmt: skip
"""Packages that decode; those of :mod:`retrieval.images.decoders` as its records say."""


class _Installed(importlib.abc.MetaPathFinder):
    """Finds ``retrieval`` and the decoders in these folders, and nothing else."""

    def __init__(self, package: str, folders: list[str]) -> None:
        self.package, self.folders = package, folders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "retrieval":
            place = os.path.join(self.package, "__init__.py")  # noqa: PTH118 - pathlib costs a start 5 ms
            return importlib.util.spec_from_file_location(
                fullname, place, submodule_search_locations=[self.package]
            )
        if fullname in DECODERS:
            return importlib.machinery.PathFinder.find_spec(fullname, self.folders)
        return None


def main() -> None:
    """Import the worker from the folders given, and serve requests."""
    package, folders, numbers = sys.argv[1:]
    sys.meta_path.insert(0, _Installed(package, json.loads(folders)))
    from retrieval.decoding.worker import serve

    serve(*json.loads(numbers))


if __name__ == "__main__":
    main()
