"""Which runtime computes a tower: asked for by name, or chosen."""

from __future__ import annotations

import os
from typing import Literal, get_args

from retrieval.errors import UsageError

Runtime = Literal["auto", "torch", "openvino"]
"""``auto`` takes OpenVINO where it is installed and a model brings a reference row that it reproduces, else torch."""

RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
VARIABLE = "VLSEARCH_RUNTIME"


def chosen_runtime(name: str | None) -> Runtime:
    """Resolve a runtime's name; None is the environment's choice, and ``auto`` where it makes none.

    Raises:
        UsageError: no runtime has that name.
    """
    asked = name if name is not None else os.environ.get(VARIABLE) or "auto"
    for runtime in RUNTIMES:
        if asked == runtime:
            return runtime
    source = f"{VARIABLE} is" if name is None else "runtime is"
    raise UsageError(f"{source} {asked!r}, and must be one of {', '.join(RUNTIMES)}")
