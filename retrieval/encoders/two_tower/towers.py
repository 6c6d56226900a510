"""The towers of a two-tower model: a bag of words in numpy, images in OpenVINO or torch, all else in torch.

Each is loaded when it is first needed: a query of words to a bag takes a fraction of the time that importing torch
takes, and so does a query of an image where OpenVINO is installed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.relevance import PlacesExplainer
from retrieval.encoders.runtimes import openvino_images
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.runtimes.openvino_graph import ComputedPrecision
from retrieval.encoders.two_tower.folder import TwoTowerFolder, WeightBytes, foreign_weights
from retrieval.encoders.two_tower.image_computation import image_computation
from retrieval.encoders.two_tower.image_layers import ImageLayers
from retrieval.encoders.two_tower.numpy_bag import VECTORS, NumpyBag, weight_shapes
from retrieval.encoders.two_tower.numpy_images import image_row
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.encoders.two_tower.openvino_tower import OpenVinoTower
from retrieval.encoders.two_tower.reference import LARGEST_DEVIATION
from retrieval.encoders.two_tower.torch_towers import TorchTowers
from retrieval.encoders.windows import enlarged, window_means
from retrieval.hub.safetensors_header import FileData
from retrieval.identity import each_tower

if TYPE_CHECKING:
    from retrieval.decoding.preparations import Squeeze
    from retrieval.encoders.batches import Batches
    from retrieval.encoders.two_tower.model import TwoTowerModel
    from retrieval.types import Kind

# Activations of more images than these are beyond what glibc keeps by itself (32 MiB), and are mapped anew in every
# layer: 80 images a second in place of 125. Where freed memory is retained, larger passes are no faster.
CPU_IMAGES = 8
_IN_NUMPY = 3  # images that a process is asked with before OpenVINO is set up for more
_DEVIATIONS: Mapping[ComputedPrecision, float] = {
    "float32": LARGEST_DEVIATION,
    "bfloat16": 0.05,  # of an element; 0.014 was the largest of 64 photographs
    "int8": 0.1,  # 0.047 of 1,000
}


class TwoTowerTowers:
    """A two-tower model on a device, as :class:`retrieval.encoders.base.Towers`.

    Args:
        folder: where the weights are; they are read again when torch is first needed.
        data: FileData of its weights.
        device: as torch names it.
        asked: of the image tower.

    Raises:
        ModelError: the weights are not those that the configuration calls for, or the runtime asked for cannot
            compute them.
        MissingExtra: the runtime asked for, or what the text tower needs, is not installed.
    """

    def __init__(
        self, folder: TwoTowerFolder, data: FileData, device: str, asked: Computation | None = None
    ) -> None:
        asked = asked or Computation()
        self._folder, self._weights = folder, WeightBytes(folder, data)
        runtime, self._precision = image_computation(folder, device, asked)
        self._torch = TorchTowers(folder, self._weights, device)
        self._openvino = (
            OpenVinoTower(folder, self._weights, self._precision) if runtime == "openvino" else None
        )
        of_any_kind = asked.runtime == "auto" and asked.precision not in ("bfloat16", "int8")
        self._may_ask_numpy = self._openvino is not None and of_any_kind
        self._asked = 0
        self._bag: _LazyBag | None = None
        if folder.config.text.backbone == "bag":
            _check_bag(folder, data)
            self._bag = _LazyBag(folder, self._weights)
        else:
            self._torch.model()

    @property
    def runtime(self) -> str:
        """What computes each tower, as an identity tells it."""
        return each_tower(
            "torch" if self._openvino is None else "openvino", "torch" if self._bag is None else "numpy"
        )

    @property
    def precision(self) -> str:
        """In what each tower is computed, as an identity tells it."""
        return each_tower(self._precision, "float32")

    @property
    def tolerance(self) -> float:
        """See :class:`retrieval.encoders.base.Towers`."""
        return _DEVIATIONS[self._precision]

    @property
    def largest_image_pass(self) -> int | None:
        """See :class:`retrieval.encoders.base.Towers`."""
        if self._openvino is not None:
            return openvino_images.PASS_IMAGES
        return CPU_IMAGES if self._torch.device == "cpu" else None

    @property
    def image_passes_at_once(self) -> int:
        """See :class:`retrieval.encoders.base.Towers`."""
        return 1 if self._openvino is None else self._openvino.images().passes_at_once

    def indexing_batches(self) -> Batches:
        """See :class:`retrieval.encoders.base.SizedTowers`."""
        size = self._folder.config.image.size
        return self._torch.passes.batches(
            lambda count: self.image_rows(np.full((count, size, size, 3), 128, np.uint8))
        )

    def depends_on_place(self, kind: Kind) -> bool:
        """See :class:`retrieval.encoders.base.Towers`."""
        if kind == "text" and self._bag is not None:
            return False
        if kind == "image" and self._openvino is not None:
            return self._openvino.depends_on_place()
        return self._torch.depends_on_place()

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        return (self._openvino or self._torch).image_rows(prepared)

    def asked_image_row(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.AskedImageTowers`; in float32, where neither is chosen by the caller.

        The first are computed by numpy, which needs no time to come up, and the others by OpenVINO.
        """
        if self._openvino is None or not self._may_ask_numpy:
            return self.image_rows(prepared)
        self._asked += 1
        if self._asked <= _IN_NUMPY:
            return _numpy_image_row(self._folder, self._weights, prepared)
        return self._openvino.image_rows(prepared, "float32")

    def text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        return self._torch.text_rows(ids) if self._bag is None else self._bag.built().encode(ids)

    def asked_text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.SeveralAskedTextsTowers`."""
        if self._bag is not None:
            return self._bag.built().encode(ids)
        alone = (slice(row, row + 1) for row in range(len(ids)))
        return np.concatenate([self.text_rows(ids[one], is_text[one]) for one in alone])

    def image_explainer(self) -> PlacesExplainer:
        """See :class:`retrieval.encoders.relevance.ExplainingTowers`."""
        config = self._folder.config
        parts = config.image_parts or (config.dimension,)
        return PlacesExplainer(config.image.preparation, parts, self._image_places)

    @property
    def window_preparation(self) -> Squeeze:
        """See :class:`retrieval.encoders.windows.WindowTowers`."""
        return enlarged(self._folder.config.image.preparation)

    def window_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.windows.WindowTowers`."""
        if self._openvino is not None:
            return self._openvino.window_rows(prepared, self.window_preparation.size)
        config = self._folder.config
        return window_means(self._torch.image_places(prepared), config.image_parts or (config.dimension,))

    def torch_model(self) -> TwoTowerModel:
        """Return the torch model; see :meth:`TorchTowers.model`."""
        return self._torch.model()

    def _image_places(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the vectors of the places of (1, side, side, 3) uint8, (rows, columns, d)."""
        if self._openvino is not None:
            return self._openvino.image_places(prepared)
        places: NDArray[np.float32] = self._torch.image_places(prepared)[0]
        return places


class _LazyBag:
    """A bag of words, built when it is first asked; safe in several threads."""

    def __init__(self, folder: TwoTowerFolder, weights: WeightBytes) -> None:
        self._folder, self._weights = folder, weights
        self._lock = threading.Lock()
        self._bag: NumpyBag | None = None

    def built(self) -> NumpyBag:
        """Give it."""
        with self._lock:
            if self._bag is None:
                weights = NumpyWeights(self._weights.take(), "text")
                self._bag = NumpyBag(weights, self._folder.config.text, weights.rows(VECTORS))
            return self._bag


def _numpy_image_row(
    folder: TwoTowerFolder, weights: WeightBytes, prepared: NDArray[np.uint8]
) -> NDArray[np.float32]:
    data = weights.take()
    try:
        with np.errstate(all="ignore"):  # numbers that overflow show in the row
            layers = ImageLayers(folder.config, NumpyWeights(data, "image"))
            row = image_row(layers, prepared)
            layers.check_all_used()
    except (KeyError, ValueError, TypeError) as error:
        raise foreign_weights(folder.path, error) from error
    return row


def _check_bag(folder: TwoTowerFolder, data: FileData) -> None:
    """Refuse a bag whose weights are not those that the configuration calls for; decodes none."""
    config = folder.config
    try:
        weights = NumpyWeights(data, "text")
        for name, shape in weight_shapes(config.text, config.dimension).items():
            if weights.shape(name) != shape:
                raise ValueError(f"{name} has the shape {weights.shape(name)}, not {shape}")
    except (KeyError, ValueError, TypeError) as error:
        raise foreign_weights(folder.path, error) from error
