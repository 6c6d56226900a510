"""The towers of a two-tower model: a bag of words in numpy, images in OpenVINO or torch, all else in torch.

Each is loaded when it is first needed: a query of words to a bag takes a fraction of the time that importing torch
takes, and so does a query of an image where OpenVINO is installed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.gpu_passes import GpuPasses
from retrieval.encoders.relevance import PlacesExplainer
from retrieval.encoders.reproducible import request_equal_bits, rows_depend_on_place
from retrieval.encoders.runtimes import openvino_images
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.runtimes.openvino_graph import ComputedPrecision, Rows
from retrieval.encoders.two_tower.folder import (
    TwoTowerFolder,
    foreign_weights,
    module_state,
    was_cut,
)
from retrieval.encoders.two_tower.image_computation import USE_FLOAT32, USE_TORCH, image_computation
from retrieval.encoders.two_tower.image_layers import ImageLayers, read_image_tower
from retrieval.encoders.two_tower.numpy_bag import VECTORS, NumpyBag, weight_shapes
from retrieval.encoders.two_tower.numpy_images import image_row
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.encoders.two_tower.pooling import place_rows
from retrieval.encoders.two_tower.reference import (
    LARGEST_DEVIATION,
    check_row,
    read_reference,
    reference_image,
)
from retrieval.encoders.windows import enlarged, window_means
from retrieval.errors import ModelError
from retrieval.extras import require
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
_BFLOAT16_DEVIATION = 0.05  # of an element; 0.014 was the largest of 64 photographs


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
        self._folder, self._device = folder, device
        self._passes = GpuPasses(device, str(folder.path))
        asked = asked or Computation()
        self._runtime, self._precision = image_computation(folder, device, asked)
        of_any_kind = asked.runtime == "auto" and asked.precision != "bfloat16"
        self._may_ask_numpy = self._runtime == "openvino" and of_any_kind
        self._asked = 0
        self._images: dict[ComputedPrecision, openvino_images.OpenVinoImages] = {}
        self._larger: openvino_images.OpenVinoFeatures | None = None
        self._windows: openvino_images.OpenVinoWindows | None = None
        self._lock = threading.Lock()
        self._data: FileData | None = data  # until something is built of them
        self._bag: NumpyBag | None = None
        self._model: TwoTowerModel | None = None
        self._is_bag = folder.config.text.backbone == "bag"
        if self._is_bag:
            _check_bag(folder, data)
        else:
            self._model = _build_model(folder, self._weights(), device)

    @property
    def runtime(self) -> str:
        """What computes each tower, as an identity tells it."""
        return each_tower(self._runtime, "numpy" if self._is_bag else "torch")

    @property
    def precision(self) -> str:
        """In what each tower is computed, as an identity tells it."""
        return each_tower(self._precision, "float32")

    @property
    def tolerance(self) -> float:
        """See :class:`retrieval.encoders.base.Towers`."""
        return LARGEST_DEVIATION if self._precision == "float32" else _BFLOAT16_DEVIATION

    @property
    def largest_image_pass(self) -> int | None:
        """See :class:`retrieval.encoders.base.Towers`."""
        if self._runtime == "openvino":
            return openvino_images.PASS_IMAGES
        return CPU_IMAGES if self._device == "cpu" else None

    @property
    def image_passes_at_once(self) -> int:
        """See :class:`retrieval.encoders.base.Towers`."""
        images = self._openvino_images()
        return 1 if images is None else images.passes_at_once

    def indexing_batches(self) -> Batches:
        """See :class:`retrieval.encoders.base.SizedTowers`."""
        size = self._folder.config.image.size
        return self._passes.batches(
            lambda count: self.image_rows(np.full((count, size, size, 3), 128, np.uint8))
        )

    def depends_on_place(self, kind: Kind) -> bool:
        """See :class:`retrieval.encoders.base.Towers`."""
        if kind == "text" and self._is_bag:
            return False  # numpy's products gave equal rows equal bits in every place, at every size that was tried
        if kind == "image" and (images := self._openvino_images()) is not None:
            try:
                return images.depends_on_place
            except RuntimeError as error:  # of OpenVINO: the graph is compiled at its first use
                raise _cannot_compute(error) from error
        _check_torch(self._folder)
        return rows_depend_on_place(self._device)

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        if (images := self._openvino_images()) is not None:
            return _openvino_rows(images, prepared)
        return self._passes.rows(self._torch_images, prepared)

    def asked_image_row(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.AskedImageTowers`; in float32, where neither is chosen by the caller.

        The first are computed by numpy, which needs no time to come up, and the others by OpenVINO.
        """
        if not self._may_ask_numpy:
            return self.image_rows(prepared)
        self._asked += 1
        if self._asked <= _IN_NUMPY:
            return _numpy_image_row(self._folder, self._weights(), prepared)
        images = self._openvino_images("float32")
        assert images is not None, "OpenVINO was chosen"
        return _openvino_rows(images, prepared)

    def text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        if self._is_bag:
            return self._numpy_bag().encode(ids)
        return self._passes.rows(self._torch_texts, ids)

    def _torch_images(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        model = self.torch_model()
        import torch  # late: a query of words to a bag does not need it

        with torch.inference_mode():
            pixels = torch.from_numpy(prepared).permute(0, 3, 1, 2).to(self._device)
            rows: NDArray[np.float32] = model.encode_images(pixels).cpu().numpy()
        return rows

    def _torch_texts(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        model = self.torch_model()
        import torch  # late: a bag does not need it

        with torch.inference_mode():
            rows: NDArray[np.float32] = (
                model.encode_texts(torch.from_numpy(ids).to(self._device)).cpu().numpy()
            )
        return rows

    def asked_text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.SeveralAskedTextsTowers`."""
        if self._is_bag:
            return self._numpy_bag().encode_each(ids)
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
        if (images := self._openvino_images()) is not None:
            try:
                with self._lock:
                    if self._windows is None:
                        side = self.window_preparation.size
                        self._windows = openvino_images.OpenVinoWindows(images.tower, side, self._precision)
                return self._windows.rows(prepared)
            except RuntimeError as error:  # of OpenVINO: the graph is compiled at its first use
                raise _cannot_compute(error) from error
        config = self._folder.config
        return window_means(self._torch_places(prepared), config.image_parts or (config.dimension,))

    def _image_places(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the vectors of the places of (1, side, side, 3) uint8, (rows, columns, d).

        Of the tower's own size by the graph that images are indexed with: their mean is the stored vector's.
        """
        if (images := self._openvino_images()) is not None:
            try:
                if prepared.shape[1] == images.tower.size:
                    features = images.features(prepared)
                else:
                    with self._lock:
                        if self._larger is None:
                            self._larger = openvino_images.OpenVinoFeatures(images.tower, self._precision)
                    features = self._larger(prepared)
            except RuntimeError as error:  # of OpenVINO
                raise _cannot_compute(error) from error
            return place_rows(images.tower, features[0])
        places: NDArray[np.float32] = self._torch_places(prepared)[0]
        return places

    def _torch_places(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the vectors of the places of (n, side, side, 3) uint8, (n, rows, columns, d)."""
        model = self.torch_model()
        import torch  # late: most explanations do without

        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(prepared)).permute(0, 3, 1, 2).to(self._device)
            places: NDArray[np.float32] = model.image_places(pixels).cpu().numpy()
        return places

    def _weights(self) -> FileData:
        """Give the bytes of the weights: at the first call those that came with the folder, and then read again."""
        data, self._data = self._data, None
        return self._folder.read_again() if data is None or was_cut(data) else data

    def _numpy_bag(self) -> NumpyBag:
        with self._lock:
            if self._bag is None:
                self._bag = _build_bag(self._folder, self._weights())
            return self._bag

    def _openvino_images(
        self, precision: ComputedPrecision | None = None
    ) -> openvino_images.OpenVinoImages | None:
        """Return the image tower in OpenVINO, built at the first call; None where torch computes it.

        Args:
            precision: by default the one that was chosen.

        Raises:
            ModelError: the weights have changed since they were first read, are not those of the model, or give
                other rows than the model's reference.
        """
        if self._runtime != "openvino":
            return None
        precision = precision or self._precision
        with self._lock:
            if precision not in self._images:
                self._images[precision] = _build_openvino(self._folder, self._weights(), precision)
            return self._images[precision]

    def torch_model(self) -> TwoTowerModel:
        """Return the torch model, built at the first call from the very weights that the identity names.

        Raises:
            ModelError: they have gone or changed since they were first read.
            MissingExtra: torch is not installed.
        """
        with self._lock:
            if self._model is None:
                self._model = _build_model(self._folder, self._weights(), self._device)
            return self._model


def _build_openvino(
    folder: TwoTowerFolder, data: FileData, precision: ComputedPrecision
) -> openvino_images.OpenVinoImages:
    try:
        with np.errstate(all="ignore"):  # numbers that overflow show in the rows
            tower = read_image_tower(folder.config, NumpyWeights(data, "image"))
    except (KeyError, ValueError, TypeError) as error:
        raise foreign_weights(folder.path, error) from error
    reference = read_reference(folder.path, folder.config)
    if reference is None:
        pixels = reference_image(folder.config.image.size)
        reference = TwoTowerTowers(folder, data, "cpu").image_rows(pixels)[0]
    del data  # compiling takes memory too
    row = reference

    def check(rows: Rows) -> None:
        try:
            check_row(row, folder.config, rows, precision)
        except ValueError as error:
            instead = USE_TORCH if precision == "float32" else USE_FLOAT32
            raise ModelError(f"{folder.path}: OpenVINO gives vectors that {error}; {instead}") from error

    try:
        return openvino_images.OpenVinoImages(tower, precision, check)
    except (ImportError, OSError, RuntimeError) as error:
        raise _cannot_compute(error) from error


def _numpy_image_row(
    folder: TwoTowerFolder, data: FileData, prepared: NDArray[np.uint8]
) -> NDArray[np.float32]:
    try:
        with np.errstate(all="ignore"):  # numbers that overflow show in the row
            layers = ImageLayers(folder.config, NumpyWeights(data, "image"))
            row = image_row(layers, prepared)
            layers.check_all_used()
    except (KeyError, ValueError, TypeError) as error:
        raise foreign_weights(folder.path, error) from error
    return row


def _openvino_rows(
    images: openvino_images.OpenVinoImages, prepared: NDArray[np.uint8]
) -> NDArray[np.float32]:
    try:
        return images.rows(prepared)
    except RuntimeError as error:  # of OpenVINO: the graph is compiled at its first use
        raise _cannot_compute(error) from error


def _cannot_compute(error: Exception) -> ModelError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return ModelError(f"OpenVINO cannot compute images on this machine ({reason}); {USE_TORCH}")


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


def _build_bag(folder: TwoTowerFolder, data: FileData) -> NumpyBag:
    weights = NumpyWeights(data, "text")
    return NumpyBag(weights, folder.config.text, weights.rows(VECTORS))


def _check_torch(folder: TwoTowerFolder) -> None:
    require("models", f"the model {folder.path}")


def _build_model(folder: TwoTowerFolder, data: FileData, device: str) -> TwoTowerModel:
    _check_torch(folder)
    import safetensors.torch  # late, with the model: torch and torchvision take seconds
    import torch
    from safetensors import SafetensorError

    from retrieval.encoders.two_tower.backbones import fold_norms
    from retrieval.encoders.two_tower.fused import make_fast
    from retrieval.encoders.two_tower.model import TwoTowerModel

    request_equal_bits()
    try:
        model = TwoTowerModel(folder.config)
        model.load_state_dict(module_state(safetensors.torch.load(bytes(data))))
    except (SafetensorError, RuntimeError, ValueError, MemoryError) as error:
        raise foreign_weights(folder.path, error) from error
    model.eval()
    fold_norms(model.image)
    if torch.device(device).type == "cpu":
        make_fast(model.image)
    # Images come in channels_last: the weights need no reordering at every call.
    return model.to(device).to(memory_format=torch.channels_last)
