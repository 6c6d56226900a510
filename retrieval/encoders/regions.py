"""Vectors of regions of images, several an image: windows of places where the model has them, else crops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.decoding.image_rule import ImageRule
from retrieval.decoding.preparations import CropGrid, Patches, Squeeze, Whole, to_json
from retrieval.encoders.base import fixed_batches
from retrieval.encoders.batches import INDEXING
from retrieval.encoders.preparing import preparation_of
from retrieval.encoders.tower_encoder import TowerEncoder, image_passes
from retrieval.encoders.windows import A_SIDE, PASS_IMAGES, WindowTowers, window_boxes
from retrieval.errors import ModelError

if TYPE_CHECKING:
    from retrieval.decoding.preparations import Preparation
    from retrieval.encoders.base import Encoder

CROP_SHARE = 0.5
"""Side of a crop against the image's."""


class RegionEncoder(Protocol):
    """Gives the vectors of the regions of images, and says where those lie.

    Attributes:
        rule: by which regions are made, as canonical JSON: vectors of another rule are others.
        preparation: the rule that gives the arrays which :meth:`rows` takes.
    """

    rule: str
    preparation: Preparation

    def boxes(self, width: int, height: int) -> NDArray[np.float32]:
        """Give where the regions of an upright image lie: (w, 4) left, top, width and height, in shares of its own."""
        ...

    def rows(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Encode the regions of prepared images, (n, w, d) float32 unit rows; no row depends on the other images.

        Raises:
            ModelError: the model cannot encode them.
        """
        ...


def region_encoder(encoder: Encoder) -> RegionEncoder:
    """Give what encodes regions of images for an encoder.

    Raises:
        ModelError: its images have no fixed size, so that crops of one do not go together.
    """
    towers = encoder.towers if isinstance(encoder, TowerEncoder) else None
    if isinstance(encoder, TowerEncoder) and isinstance(towers, WindowTowers):
        return PlaceWindows(encoder, towers)
    preparation = preparation_of(encoder)
    if preparation is None or isinstance(preparation, ImageRule | Squeeze | Patches):
        return Crops(encoder, preparation)
    raise ModelError(
        f"the model {encoder.identity.name} cannot encode regions: its images have no fixed size"
    )


class PlaceWindows:
    """Windows of the places of one larger pass, for convolutional towers."""

    def __init__(self, encoder: TowerEncoder, towers: WindowTowers) -> None:
        self._encoder, self._towers = encoder, towers
        self._squeeze = towers.window_preparation
        self.preparation: Preparation = self._squeeze
        self.rule = _canonical({"windows": A_SIDE, "pass": self._squeeze.size})

    def boxes(self, width: int, height: int) -> NDArray[np.float32]:
        """See :class:`RegionEncoder`."""
        return window_boxes(self._squeeze, width, height)

    def rows(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """See :class:`RegionEncoder`; every pass is of one size, or of one image where a place in it shows in bits."""
        size = 1 if self._encoder.towers.depends_on_place("image") else PASS_IMAGES
        passes = list(fixed_batches(prepared, size, size))
        at_once = self._towers.image_passes_at_once
        rows = image_passes(self._towers.window_rows, [batch for batch, _ in passes], at_once)
        return np.concatenate([one[:count] for one, (_, count) in zip(rows, passes, strict=True)])


class Crops:
    """Crops of half the side, each encoded as an image of its own, for all other models."""

    def __init__(self, encoder: Encoder, preparation: Preparation | None) -> None:
        self._encoder, self._prepares_itself = encoder, preparation is None
        inner = preparation or Whole(round(encoder.image_size / CROP_SHARE))
        self._grid = CropGrid(to_json(inner), A_SIDE, CROP_SHARE)
        self.preparation: Preparation = inner if self._prepares_itself else self._grid
        self.rule = _canonical({"crops": A_SIDE, "share": CROP_SHARE})

    def boxes(self, width: int, height: int) -> NDArray[np.float32]:
        """See :class:`RegionEncoder`."""
        return np.array(self._grid.rectangles(), np.float32)

    def rows(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """See :class:`RegionEncoder`."""
        crops = [crop for array in prepared for crop in self._crops(array)]
        rows = self._encoder.encode_prepared(crops, INDEXING.images)
        return rows.reshape(len(prepared), -1, rows.shape[1])

    def _crops(self, prepared: NDArray[Any]) -> Sequence[NDArray[Any]]:
        if not self._prepares_itself:
            return list(prepared)
        from PIL import Image  # late: brings Pillow, which the run's process needs for nothing else

        image = Image.fromarray(prepared)
        return [self._encoder.prepare_image(crop) for crop in self._grid.crops(image)]


def _canonical(rule: dict[str, float]) -> str:
    return json.dumps(rule, sort_keys=True, separators=(",", ":"))
