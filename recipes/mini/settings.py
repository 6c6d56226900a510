"""The settings of the recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recipes.mini.image_stage import ImagePlan
from recipes.mini.output_folder import digest
from recipes.mini.text_stage import TextPlan

_NAMING, _IMAGES, _TEXTS = TextPlan(), ImagePlan(), TextPlan(image_rate=3e-4, seed=1)


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out.

    Attributes:
        size: side of the square that the image tower sees, in pixels.
        views: of each training photograph, the plain one among them.
        naming: the text stage before fine-tuning.
        images: fine-tuning.
        texts: the text stage after it.
        shares: of the way from the start to what came out, tried in the end.
    """

    size: int = 256
    views: int = 2
    naming: TextPlan = _NAMING
    images: ImagePlan = _IMAGES
    texts: TextPlan = _TEXTS
    shares: tuple[float, ...] = (0.5, 0.75, 1.0)

    def facts(self, start: Path) -> dict[str, Any]:
        """What an output folder made with these settings, from the model folder ``start``, must agree on."""
        return {"start": digest(start), **asdict(self)}
