"""Which runtime computes a tower, in which precision: asked for by name, or chosen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from retrieval.errors import UsageError

Runtime = Literal["auto", "torch", "openvino"]
"""``auto`` takes OpenVINO where it is installed and gives torch's rows on the processor, else torch."""

Precision = Literal["auto", "float32", "bfloat16", "int8"]
"""``auto`` takes bfloat16 for towers that OpenVINO computes on a processor that multiplies it, else float32;
int8 is for who asks for it, of image towers that OpenVINO computes."""

RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
VARIABLE, PRECISION_VARIABLE = "VLSEARCH_RUNTIME", "VLSEARCH_PRECISION"

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class Computation:
    """What was asked to compute a model's towers."""

    runtime: Runtime = "torch"
    precision: Precision = "float32"


def chosen_computation(runtime: str | None, precision: str | None) -> Computation:
    """Resolve names; None is the environment's choice, and ``auto`` where it makes none.

    Raises:
        UsageError: no runtime or no precision has that name.
    """
    return Computation(
        _resolved(runtime, "runtime", VARIABLE, RUNTIMES),
        _resolved(precision, "precision", PRECISION_VARIABLE, PRECISIONS),
    )


def _resolved(name: str | None, what: str, variable: str, known: Sequence[Name]) -> Name:
    asked = name if name is not None else os.environ.get(variable) or "auto"
    for one in known:
        if asked == one:
            return one
    source = f"{variable} is" if name is None else f"{what} is"
    raise UsageError(f"{source} {asked!r}, and must be one of {', '.join(known)}")
