"""Make a row's bits depend on its own content alone: which mode torch's kernels need, and whether they have it.

A forward pass of fixed shape is deterministic, and no row's value enters another's. Yet its last bits may depend
on the row's *place*: MKL, which multiplies matrices for torch on x86, chooses its kernel by how the operands lie
in memory and cuts rows to threads wherever their number falls. Measured on an AMD EPYC (Zen 4) with torch 2.14 and
two threads: the same image in place 0 and in place 4 of a batch of 8 differed in the last bit through a tiny CLIP,
and the same weights read from one file and from two differed as well. A run that was interrupted and resumed puts an
image in another place, so its vectors would not be those of an uninterrupted run.

MKL has a mode that promises equal bits whatever the alignment, the number of threads and the place:
``MKL_CBWR=AUTO,STRICT`` (oneMKL Developer Guide, "Obtaining Numerically Reproducible Results"). It made all of
the above equal, and a product of 1600x768 by 768x3072 took the same time with it. MKL reads the variable at its
first call in a process; where that call was made before, or where torch multiplies with another library, a probe of
a few products shows whether rows depend on their place, and if they do, every pass is of one row.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import dtype as torch_dtype

_log = logging.getLogger(__name__)

VARIABLE, STRICT = "MKL_CBWR", "AUTO,STRICT"

# Shapes that showed the fault: (rows, width in, width out) of a product, (heads, tokens, width) of an attention.
_PRODUCTS = ((1, 768, 512), (17, 32, 64), (50, 96, 80))
_ATTENTIONS = ((4, 17, 8), (4, 50, 16))
_PLACES = (7, 8)


def request_equal_bits() -> None:
    """Ask MKL for its strict mode, unless the user has set another; call it before torch computes."""
    os.environ.setdefault(VARIABLE, STRICT)


@cache
def rows_depend_on_place(device: str, dtype: torch_dtype | None = None) -> bool:
    """Whether torch's kernels give equal rows of a batch different last bits, on a device, in this process.

    ``dtype`` is what they compute in, float32 by default.

    Computes a few small shapes (milliseconds), once: an MKL that is not in strict mode shows there. Where rows do
    depend on their place, a warning is logged, because one row a pass is slower.
    """
    request_equal_bits()  # the probe may be MKL's first call, after which its mode is settled
    if _equal_rows_stay_equal(device, dtype):
        return False
    _log.warning(
        "matrix products on %s depend on a row's place in its batch, so images and texts are encoded one a pass, "
        "which is slower; set %s=%s before the program starts",
        device,
        VARIABLE,
        STRICT,
    )
    return True


def _equal_rows_stay_equal(device: str, dtype: torch_dtype | None) -> bool:
    import torch

    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype or torch.float32)

    def all_equal(rows: torch.Tensor) -> bool:
        return bool((rows == rows[:1]).all())

    with torch.inference_mode():
        for rows, inner, outer in _PRODUCTS:
            one, weight = noise(1, rows, inner), noise(outer, inner)
            for places in _PLACES:
                batch = one.repeat(places, 1, 1)
                if not all_equal(torch.nn.functional.linear(batch, weight)):
                    return False
        for shape in _ATTENTIONS:
            one = noise(1, *shape)
            for places in _PLACES:
                batch = one.repeat(places, 1, 1, 1)
                if not all_equal(torch.nn.functional.scaled_dot_product_attention(batch, batch, batch)):
                    return False
    return True
