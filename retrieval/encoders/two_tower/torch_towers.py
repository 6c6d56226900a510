"""Both towers of a two-tower model in torch, which is imported and built when one of them is first needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.gpu_passes import GpuPasses
from retrieval.encoders.reproducible import request_equal_bits, rows_depend_on_place
from retrieval.encoders.two_tower.folder import TwoTowerFolder, WeightBytes, foreign_weights, module_state
from retrieval.extras import require

if TYPE_CHECKING:
    from retrieval.encoders.two_tower.model import TwoTowerModel


class TorchTowers:
    """A two-tower model in torch; safe in several threads.

    Attributes:
        device: as torch names it.
        passes: forward passes on it.
    """

    def __init__(self, folder: TwoTowerFolder, weights: WeightBytes, device: str) -> None:
        self._folder, self._weights, self.device = folder, weights, device
        self.passes = GpuPasses(device, str(folder.path))
        self._lock = threading.Lock()
        self._model: TwoTowerModel | None = None

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode prepared images, (n, side, side, 3) uint8, to (n, d) rows."""
        return self.passes.rows(self._images, prepared)

    def text_rows(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode token ids, (n, length), to (n, d) rows."""
        return self.passes.rows(self._texts, ids)

    def image_places(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the vectors of the places of (n, side, side, 3) uint8, (n, rows, columns, d)."""
        model = self.model()
        import torch  # late: most explanations do without

        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(prepared)).permute(0, 3, 1, 2).to(self.device)
            places: NDArray[np.float32] = model.image_places(pixels).cpu().numpy()
        return places

    def depends_on_place(self) -> bool:
        """Whether a row's last bits depend on its place in a pass."""
        self._check_installed()
        return rows_depend_on_place(self.device)

    def model(self) -> TwoTowerModel:
        """Return the model, built at the first call from the very weights that the identity names.

        Raises:
            ModelError: they have gone or changed since they were first read.
            MissingExtra: torch is not installed.
        """
        with self._lock:
            if self._model is None:
                self._check_installed()
                self._model = _build(self._folder, self._weights, self.device)
            return self._model

    def _check_installed(self) -> None:
        require("models", f"the model {self._folder.path}")

    def _images(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        model = self.model()
        import torch  # late: a query of words to a bag does not need it

        with torch.inference_mode():
            pixels = torch.from_numpy(prepared).permute(0, 3, 1, 2).to(self.device)
            rows: NDArray[np.float32] = model.encode_images(pixels).cpu().numpy()
        return rows

    def _texts(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        model = self.model()
        import torch  # late: a bag does not need it

        with torch.inference_mode():
            rows: NDArray[np.float32] = (
                model.encode_texts(torch.from_numpy(ids).to(self.device)).cpu().numpy()
            )
        return rows


def _build(folder: TwoTowerFolder, weights: WeightBytes, device: str) -> TwoTowerModel:
    import safetensors.torch  # late, with the model: torch and torchvision take seconds
    import torch
    from safetensors import SafetensorError

    from retrieval.encoders.two_tower.backbones import fold_norms
    from retrieval.encoders.two_tower.fused import make_fast
    from retrieval.encoders.two_tower.model import TwoTowerModel

    data = weights.take()
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
