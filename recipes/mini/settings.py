"""The settings of the recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recipes.mini.image_stage import ImagePlan
from recipes.mini.output_folder import digest
from recipes.mini.projection_stage import ProjectionPlan
from recipes.mini.text_stage import TextPlan

_NAMING, _IMAGES, _PROJECTION = TextPlan(), ImagePlan(), ProjectionPlan()


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out.

    Attributes:
        size: side of the square that the image tower sees, in pixels.
        views: of each training photograph, the plain one among them.
        naming: the text stage.
        images: fine-tuning.
        halfway: where, between the start and what fine-tuning made, the last stage begins.
        projection: that stage.
        shares: of the way from the start to what came out, tried in the end.
    """

    size: int = 256
    views: int = 2
    naming: TextPlan = _NAMING
    images: ImagePlan = _IMAGES
    halfway: float = 0.6
    projection: ProjectionPlan = _PROJECTION
    shares: tuple[float, ...] = (0.75, 1.0)

    def facts(self, start: Path) -> dict[str, Any]:
        """What an output folder made with these settings, from the model folder ``start``, must agree on."""
        return {"start": digest(start), **asdict(self)}
