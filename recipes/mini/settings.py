"""The settings of the recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recipes.mini.heads_stage import HeadsPlan
from recipes.mini.image_stage import ImagePlan
from recipes.mini.output_folder import digest
from recipes.mini.refit_stage import RefitPlan

_HEADS, _IMAGES, _REFIT = HeadsPlan(), ImagePlan(), RefitPlan()


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out.

    Attributes:
        size: side of the square that the image tower sees, in pixels.
        views: of each training photograph, the plain one among them.
        heads: what follows the features.
        images: fine-tuning of the last image stages.
        refit: what is fitted in the end.
    """

    size: int = 256
    views: int = 2
    heads: HeadsPlan = _HEADS
    images: ImagePlan = _IMAGES
    refit: RefitPlan = _REFIT

    def facts(self, start: Path) -> dict[str, Any]:
        """What an output folder made with these settings, from the model folder ``start``, must agree on."""
        return {"start": digest(start), **asdict(self)}
