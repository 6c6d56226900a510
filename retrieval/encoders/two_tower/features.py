"""The features of an image's places, before they are pooled: what a decoder of captions looks at.

Computed without torch: by OpenVINO, or by numpy where OpenVINO cannot be imported.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.runtimes import openvino_images
from retrieval.encoders.two_tower.folder import foreign_weights, open_folder
from retrieval.encoders.two_tower.image_layers import ImageTower, has_layers, read_image_tower
from retrieval.encoders.two_tower.numpy_images import tower_features
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.encoders.two_tower.pooling import pooled_rows
from retrieval.encoders.two_tower.reference import check_row, read_reference
from retrieval.errors import ModelError, last_line
from retrieval.openvino_runtime import is_installed
from retrieval.processor import multiplies_bfloat16

if TYPE_CHECKING:
    from retrieval.decoding.preparations import Squeeze
    from retrieval.encoders.runtimes.openvino_graph import ComputedPrecision, Rows

Array = NDArray[np.float32]


class ImageFeatures:
    """Images to the features of their places, and these to the unit rows of the encoder's space; thread-safe.

    Args:
        folder: of a two-tower model whose image backbone has stages of inverted residuals.

    Raises:
        ModelError: a file is missing, damaged or of another model, or the backbone is another one.
    """

    def __init__(self, folder: Path) -> None:
        opened, data = open_folder(folder)
        if not has_layers(opened.config.image):
            raise ModelError(f"{folder} has an image tower whose places cannot be described; use mini")
        try:
            with np.errstate(all="ignore"):  # numbers that overflow show in what is computed
                self._tower: ImageTower = read_image_tower(opened.config, NumpyWeights(data, "image"))
        except (KeyError, ValueError, TypeError) as error:
            raise foreign_weights(folder, error) from error
        self._opened = opened
        self._lock = threading.Lock()
        self._graph: openvino_images.OpenVinoImages | None = None

    @property
    def digest(self) -> str:
        """The sha256 (hex) of the model's weights and tokenizer."""
        return self._opened.digest

    @property
    def preparation(self) -> Squeeze:
        """The rule by which an image is prepared."""
        return self._opened.config.image.preparation

    @property
    def size(self) -> int:
        """Numbers of a place's features."""
        return int(self._tower.weight.shape[1])

    @property
    def linear_map(self) -> tuple[Array, Array]:
        """What takes the mean of the features to the encoder's space: (d, features), and what is added, (d,)."""
        return self._tower.weight, self._tower.bias

    def places(self, prepared: NDArray[np.uint8]) -> Array:
        """Compute (n, places, features) float32 of (n, side, side, 3) uint8 images, row by row from the upper left.

        Raises:
            ModelError: OpenVINO cannot compute them on this machine.
        """
        if not is_installed():
            return np.stack([tower_features(self._tower, image) for image in prepared])
        try:
            with self._lock:
                if self._graph is None:
                    self._graph = self._checked_graph("bfloat16" if multiplies_bfloat16() else "float32")
            # One image a pass: its last bits do not depend on its neighbours.
            return np.concatenate([_listed(self._graph.features(image[None])) for image in prepared])
        except (ImportError, OSError, RuntimeError) as error:  # of OpenVINO
            reason = last_line(error)
            raise ModelError(f"OpenVINO cannot compute images on this machine ({reason})") from error

    def _checked_graph(self, precision: ComputedPrecision) -> openvino_images.OpenVinoImages:
        """Build the graph; its rows are compared with the model's reference, where it has one."""
        path, config = self._opened.path, self._opened.config
        reference = read_reference(path, config)

        def check(rows: Rows) -> None:
            if reference is None:
                return
            try:
                check_row(reference, config, rows, precision)
            except ValueError as error:
                raise ModelError(f"{path}: OpenVINO gives features whose vectors {error}") from error

        return openvino_images.OpenVinoImages(self._tower, precision, check)

    def rows(self, places: Array) -> Array:
        """Pool (n, places, features) to the (n, d) unit rows that the encoder gives the images."""
        return pooled_rows(self._tower, places)


def _listed(features: Array) -> Array:
    """Give (n, rows, columns, features) as (n, places, features)."""
    return features.reshape(len(features), -1, features.shape[-1])
