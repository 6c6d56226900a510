"""Prepared images as the pixels that a network of transformers takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.decoding.image_rule import ImageRule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def pixels_of(prepared: Sequence[NDArray[np.uint8]], rule: ImageRule, device: str) -> Tensor:
    """Normalise images that a rule has prepared: (height, width, 3) uint8 each to (n, 3, height, width) float32."""
    import numpy as np
    import torch

    scale, shift = (
        torch.tensor(triple, dtype=torch.float32, device=device) for triple in (rule.scale, rule.shift)
    )
    stacked = torch.from_numpy(np.stack(prepared)).to(device)
    return (stacked.float() * scale + shift).permute(0, 3, 1, 2).contiguous()
