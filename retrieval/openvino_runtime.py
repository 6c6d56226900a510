"""OpenVINO, imported at its first use, and the one core of a process that compiles its graphs."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from retrieval import extras
from retrieval.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

_MAKING_CORE = threading.Lock()


def is_installed() -> bool:
    """Whether OpenVINO can be imported; does not import it."""
    return extras.is_installed("openvino")


def check_installed() -> None:
    """Refuse to go on without OpenVINO.

    Raises:
        MissingExtra: it is not installed.
    """
    if not is_installed():
        raise MissingExtra("encoding images with OpenVINO", "openvino")


def import_openvino() -> ModuleType:
    """Import OpenVINO.

    Raises:
        MissingExtra: it is not installed.
        ImportError: it cannot run on this machine.
    """
    check_installed()
    with _without_telemetry():
        import openvino
    return openvino  # type: ignore[no-any-return]  # its types are not read


def openvino_core() -> Any:
    """Give the process's ``openvino.Core``, which is never deleted.

    The first graph that a core compiles gives its thread a stack for signals, which the core takes away with itself,
    also where a later core's has come to stand on top of it: with two cores in turn, Ctrl-C was a segmentation fault.

    Raises:
        MissingExtra: OpenVINO is not installed.
        ImportError: it cannot run on this machine.
    """
    with _MAKING_CORE:
        return _the_core()


@functools.cache
def _the_core() -> Any:
    return import_openvino().Core()


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Import OpenVINO without its conversion tools, which report each import to their makers over the network."""
    blocked = [name for name in ("openvino.tools",) if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked, None))  # type: ignore[arg-type]  # None: importing it fails
    try:
        yield
    finally:
        for name in blocked:
            sys.modules.pop(name, None)
