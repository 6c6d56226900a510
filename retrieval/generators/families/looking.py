"""How families see images that have no fixed size: by the library's own image processor, one image at a time.

A worker process decodes the image, and makes it smaller where it is larger than any of these models looks at. Numbers
of ``preprocessor_config.json`` that say how large images become are checked; the rest of that file is not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.decoding.preparations import Fit
from retrieval.hub.processor_config import read_deviation, read_triple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.hub.checkpoint import Checkpoint

LONGEST = 2048  # pixels: of the longer side, as SmolVLM's
LONGEST_SHAPE = 100
"""Longer side against the shorter one; longer images are squeezed to it, since no processor takes them."""


@dataclass(frozen=True, slots=True)
class Looking:
    """An image processor of transformers, with the rule of a worker process before it.

    Attributes:
        processor: of the library, which takes one RGB image.
        settings: its arguments, as JSON values, for the identity.
    """

    processor: Callable[..., Any]
    settings: Mapping[str, Any]

    @property
    def preparation(self) -> Fit:
        """The rule of the worker process."""
        return Fit(LONGEST)

    def facts(self) -> dict[str, Any]:
        """Give what decides what the model sees, as JSON values."""
        return {"longest": LONGEST, **self.settings}

    def inputs(self, prepared: NDArray[np.uint8], device: str) -> dict[str, Any]:
        """Give the processor's tensors, on a device, of a prepared image, (height, width, 3) uint8."""
        from PIL import Image

        image = Image.fromarray(prepared)
        least = -(-max(image.size) // LONGEST_SHAPE)
        if min(image.size) < least:
            image = image.resize((max(image.width, least), max(image.height, least)))
        found = self.processor(images=[image], return_tensors="pt")
        return {name: value.to(device) if hasattr(value, "to") else value for name, value in found.items()}


def colours(checkpoint: Checkpoint, mean: list[float], deviation: list[float]) -> dict[str, Any]:
    """Read mean and deviation of a checkpoint's image processor, with the family's own as defaults.

    Raises:
        ModelError: they are not three numbers each.
    """
    config, place = checkpoint.image_config, str(checkpoint.folder)
    return {
        "image_mean": list(read_triple(config.get("image_mean") or mean, "image_mean", place)),
        "image_std": list(read_deviation(config.get("image_std") or deviation, place)),
    }
