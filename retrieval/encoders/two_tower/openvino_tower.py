"""The image tower of a two-tower model in OpenVINO, each graph built when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.runtimes import openvino_images
from retrieval.encoders.runtimes.openvino_graph import ComputedPrecision, Rows
from retrieval.encoders.two_tower.activation_ranges import FILE, read_ranges, with_ranges
from retrieval.encoders.two_tower.folder import TwoTowerFolder, WeightBytes, foreign_weights
from retrieval.encoders.two_tower.image_computation import USE_FLOAT32, USE_TORCH
from retrieval.encoders.two_tower.image_layers import ImageTower, read_image_tower
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.encoders.two_tower.pooling import place_rows
from retrieval.encoders.two_tower.reference import check_row, read_reference, reference_image
from retrieval.encoders.two_tower.torch_towers import TorchTowers
from retrieval.errors import ModelError, last_line


class OpenVinoTower:
    """An image tower in OpenVINO, safe in several threads; every method raises ModelError where it cannot compute.

    Args:
        folder: of the model.
        weights: of it.
        precision: of all but what :meth:`image_rows` is asked for in another.
    """

    def __init__(self, folder: TwoTowerFolder, weights: WeightBytes, precision: ComputedPrecision) -> None:
        self._folder, self._weights, self._precision = folder, weights, precision
        self._lock = threading.Lock()
        self._images: dict[ComputedPrecision, openvino_images.OpenVinoImages] = {}
        self._larger: openvino_images.OpenVinoFeatures | None = None
        self._windows: openvino_images.OpenVinoWindows | None = None

    def images(self, precision: ComputedPrecision | None = None) -> openvino_images.OpenVinoImages:
        """Return the graph of images, built at the first call.

        Args:
            precision: by default the tower's own.

        Raises:
            ModelError: the weights have changed since they were first read, are not those of the model, or give
                other rows than the model's reference.
        """
        precision = precision or self._precision
        with self._lock:
            if precision not in self._images:
                self._images[precision] = _build(self._folder, self._weights, precision)
            return self._images[precision]

    def image_rows(
        self, prepared: NDArray[np.uint8], precision: ComputedPrecision | None = None
    ) -> NDArray[np.float32]:
        """Encode prepared images, (n, side, side, 3) uint8, to (n, d) rows."""
        images = self.images(precision)
        with _faults_translated():
            return images.rows(prepared)

    def depends_on_place(self) -> bool:
        """Whether a row's last bits depend on its place in a pass."""
        images = self.images()
        with _faults_translated():
            return images.depends_on_place

    def window_rows(self, prepared: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
        """Encode the windows of enlarged images of a side in pixels."""
        images = self.images()
        with _faults_translated():
            with self._lock:
                if self._windows is None:
                    self._windows = openvino_images.OpenVinoWindows(images.tower, side, self._precision)
            return self._windows.rows(prepared)

    def image_places(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the vectors of the places of (1, side, side, 3) uint8, (rows, columns, d).

        Of the tower's own size by the graph that images are indexed with: their mean is the stored vector's.
        """
        images = self.images()
        with _faults_translated():
            if prepared.shape[1] == images.tower.size:
                features = images.features(prepared)
            else:
                with self._lock:
                    if self._larger is None:
                        self._larger = openvino_images.OpenVinoFeatures(images.tower, self._precision)
                features = self._larger(prepared)
        return place_rows(images.tower, features[0])


def _build(
    folder: TwoTowerFolder, weights: WeightBytes, precision: ComputedPrecision
) -> openvino_images.OpenVinoImages:
    data = weights.take()
    try:
        with np.errstate(all="ignore"):  # numbers that overflow show in the rows
            tower = read_image_tower(folder.config, NumpyWeights(data, "image"))
    except (KeyError, ValueError, TypeError) as error:
        raise foreign_weights(folder.path, error) from error
    reference = read_reference(folder.path, folder.config)
    if reference is None:
        pixels = reference_image(folder.config.image.size)
        reference = TorchTowers(folder, WeightBytes(folder, data), "cpu").image_rows(pixels)[0]
    del data  # compiling takes memory too
    if precision == "int8":
        tower = _in_bytes(folder, tower)
    row = reference

    def check(rows: Rows) -> None:
        try:
            check_row(row, folder.config, rows, precision)
        except ValueError as error:
            instead = USE_TORCH if precision == "float32" else USE_FLOAT32
            raise ModelError(f"{folder.path}: OpenVINO gives vectors that {error}; {instead}") from error

    with _faults_translated((ImportError, OSError, RuntimeError)):
        return openvino_images.OpenVinoImages(tower, precision, check)


def _in_bytes(folder: TwoTowerFolder, tower: ImageTower) -> ImageTower:
    """Give a tower whose layers have the ranges that lie beside the weights."""
    try:
        return with_ranges(tower, read_ranges(folder.path))
    except ValueError as error:
        raise ModelError(f"{folder.path / FILE} {error}; {USE_FLOAT32}") from error


@contextmanager
def _faults_translated(faults: tuple[type[Exception], ...] = (RuntimeError,)) -> Iterator[None]:
    """Translate errors of OpenVINO, which compiles a graph at its first use."""
    try:
        yield
    except faults as error:
        reason = last_line(error)
        raise ModelError(f"OpenVINO cannot compute images on this machine ({reason}); {USE_TORCH}") from error
