"""Entry point of the command line; imports no module and runs no program from the working directory.

A folder of a stranger's may hold a ``json.py`` or a ``matplotlib/``, and commands are typed in it. ``python -m`` puts
the working directory in front of all packages, and so does a ``PYTHONPATH`` with an empty entry; a ``PATH`` with one
has programs found there. This module, and the packages above it, import only what Python has loaded by itself.
"""

import gc
import os
import sys

_SOURCE = os.path.realpath(f"{__file__}/../../..")
# Between two collections of garbage. Importing makes 100,000 objects and no garbage: with Python's 700, looking for it
# took a fifteenth of the time of a query in a new process.
_OBJECTS = 20_000


def main() -> None:
    """Run ``vlsearch``, for the installed command and for ``python -m retrieval.cli``."""
    _leave_out_working_directory()
    gc.set_threshold(_OBJECTS)
    from retrieval.cli.group import main as group  # only now: it imports click

    group(prog_name="vlsearch")


def _leave_out_working_directory() -> None:
    """Remove the working directory from the paths of modules (unless vlsearch is in it) and of programs."""
    try:
        here = os.path.realpath(os.getcwd())  # noqa: PTH109 - pathlib is not loaded yet
    except OSError:  # it has been removed
        here = ""
    if here != _SOURCE:
        sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != here]
    if "PATH" in os.environ:
        programs = os.environ["PATH"].split(os.pathsep)
        os.environ["PATH"] = os.pathsep.join(entry for entry in programs if os.path.isabs(entry))  # noqa: PTH117
