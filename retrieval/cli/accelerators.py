"""How an accelerator is described to people: ``info`` and ``optimize`` say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.collection.accelerators.measurement import Measurement


def described(measured: Measurement) -> str:
    """Describe an accelerator's measured recall and speed in one line."""
    times = measured.exact_milliseconds / max(measured.milliseconds, 1e-3)
    return (
        f"{measured.recall:.1%} of the exact 10 best ({measured.queries} {measured.queried_with}), "
        f"{measured.milliseconds:.2g} ms a query where a scan takes {measured.exact_milliseconds:.2g} ms "
        f"({times:.0f} times), {measured.bytes_per_vector:g} bytes a vector in memory"
    )
