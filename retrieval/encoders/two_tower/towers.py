"""The towers of a two-tower model: a bag of words in numpy, all else in torch, which comes up when it is needed.

A query of words to a bag then takes a fraction of the time that importing torch takes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from retrieval.encoders.reproducible import request_equal_bits, rows_depend_on_place
from retrieval.encoders.two_tower.folder import (
    CONFIG,
    TwoTowerFolder,
    foreign_weights,
    module_state,
    numpy_weights,
)
from retrieval.encoders.two_tower.numpy_bag import NumpyBag

if TYPE_CHECKING:
    from retrieval.encoders.two_tower.model import TwoTowerModel
    from retrieval.types import Kind

# Activations of more images than these are beyond what glibc keeps by itself (32 MiB), and are mapped anew in every
# layer: 80 images a second in place of 125. Where freed memory is retained, larger passes are no faster.
CPU_IMAGES = 8


class TwoTowerTowers:
    """A two-tower model on a device, as :class:`retrieval.encoders.base.Towers`.

    Args:
        folder: where the weights are; they are read again when torch is first needed.
        data: bytes of its weights.
        device: as torch names it.

    Raises:
        ModelError: the weights are not those that the configuration calls for.
    """

    tolerance = 1e-5

    def __init__(self, folder: TwoTowerFolder, data: bytes, device: str) -> None:
        self._folder, self._device = folder, device
        self._lock = threading.Lock()
        self._bag: NumpyBag | None = None
        self._model: TwoTowerModel | None = None
        if folder.config.text.backbone == "bag":
            self._bag = _build_bag(folder, data)
        else:
            self._model = _build_model(folder, data, device)

    @property
    def largest_image_pass(self) -> int | None:
        """See :class:`retrieval.encoders.base.Towers`."""
        return CPU_IMAGES if self._device == "cpu" else None

    def depends_on_place(self, kind: Kind) -> bool:
        """See :class:`retrieval.encoders.base.Towers`."""
        if kind == "text" and self._bag is not None:
            return False  # numpy's products gave equal rows equal bits in every place, at every size that was tried
        return rows_depend_on_place(self._device)

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        import torch  # late: a query of words to a bag does not need it

        model = self.torch_model()
        with torch.inference_mode():
            pixels = torch.from_numpy(prepared).permute(0, 3, 1, 2).to(self._device)
            rows: NDArray[np.float32] = model.encode_images(pixels).cpu().numpy()
        return rows

    def text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        if self._bag is not None:
            return self._bag.encode(ids)
        import torch  # late: a bag does not need it

        model = self.torch_model()
        with torch.inference_mode():
            rows: NDArray[np.float32] = (
                model.encode_texts(torch.from_numpy(ids).to(self._device)).cpu().numpy()
            )
        return rows

    def torch_model(self) -> TwoTowerModel:
        """Return the torch model, built at the first call from the very weights that the identity names.

        Raises:
            ModelError: they have gone or changed since they were first read.
        """
        with self._lock:
            if self._model is None:
                self._model = _build_model(self._folder, self._folder.read_again(), self._device)
            return self._model


def _build_bag(folder: TwoTowerFolder, data: bytes) -> NumpyBag:
    config = folder.config
    try:
        weights = numpy_weights(data, "text")
        found = (*weights["text.vectors.weight"].shape, len(weights["text_projection.bias"]))
        expected = (config.text.vocabulary, config.text.width, config.dimension)
        if found != expected:
            raise ValueError(f"sizes {found}, and {CONFIG} says {expected}")
        return NumpyBag(weights, config.text)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise foreign_weights(folder.path, error) from error


def _build_model(folder: TwoTowerFolder, data: bytes, device: str) -> TwoTowerModel:
    import safetensors.torch  # late, with the model: torch and torchvision take seconds
    import torch

    from retrieval.encoders.two_tower.backbones import fold_norms
    from retrieval.encoders.two_tower.fused import make_fast
    from retrieval.encoders.two_tower.model import TwoTowerModel

    request_equal_bits()
    try:
        model = TwoTowerModel(folder.config)
        model.load_state_dict(module_state(safetensors.torch.load(data)))
    except (SafetensorError, RuntimeError, ValueError, MemoryError) as error:
        raise foreign_weights(folder.path, error) from error
    model.eval()
    fold_norms(model.image)
    if torch.device(device).type == "cpu":
        make_fast(model.image)
    # Images come in channels_last: the weights need no reordering at every call.
    return model.to(device).to(memory_format=torch.channels_last)
