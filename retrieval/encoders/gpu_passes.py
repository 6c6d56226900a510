"""How many rows a forward pass on a GPU may have: as many as its free memory allows, and fewer once it has run out.

What a row takes is measured once a process, with a pass of the usual size. Other programs take memory too, and texts
differ in length, so that a pass may run out nevertheless: its rows are then computed in halves, and no pass is as large
again. A row's last bits may depend on the rows of its pass, which on a GPU follow from what was free.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.batches import INDEXING, Batches
from retrieval.errors import ModelError

_log = logging.getLogger(__name__)

MOST_IMAGES = 256
"""Of a pass: more keep a GPU no busier, and wait longer in memory."""
_SHARE = 0.5  # of the free memory, that a pass may take: the allocator keeps blocks of other sizes too

Compute = Callable[..., NDArray[np.float32]]
"""Arrays with n rows each to (n, d) float32, in one forward pass."""


class Gpu:
    """The memory of a torch device that is a GPU."""

    def __init__(self, device: str) -> None:
        self._device = device

    def free_bytes(self) -> int:
        """How much can be allocated now, what torch keeps of earlier passes included."""
        import torch

        free, _ = torch.cuda.mem_get_info(self._device)
        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(free + kept)

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """Do some work; give how much memory it took at its peak, beyond what was allocated before."""
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        work()
        return int(torch.cuda.max_memory_allocated(self._device) - before)


class GpuPasses:
    """Forward passes of a model on a device; safe in several threads.

    Args:
        device: as torch names it.
        name: of the model, for errors.
        gpu: its memory; None where the device is not a CUDA one, whose passes have the usual numbers of rows.
    """

    def __init__(self, device: str, name: str, gpu: Gpu | None = None) -> None:
        self._device, self._name = device, name
        self._gpu = gpu if gpu is not None or not is_cuda(device) else Gpu(device)
        self._batches: Batches | None = None if self._gpu else INDEXING
        self._most: int | None = None

    def batches(self, compute_images: Callable[[int], object]) -> Batches:
        """Choose the rows of the passes that index, once.

        Args:
            compute_images: computes a pass of so many images.
        """
        if self._batches is None:
            assert self._gpu is not None, "other devices have the usual numbers"
            taken = self._gpu.peak_bytes(lambda: compute_images(INDEXING.images))
            images = fitting_images(self._gpu.free_bytes(), taken / INDEXING.images)
            self._batches = Batches(images, images * INDEXING.texts // INDEXING.images)
            _log.info("%s: %d images a pass on %s", self._name, images, self._device)
        return self._batches

    def rows(self, compute: Compute, *inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Compute (n, d) float32 rows of inputs with n >= 1 rows each, in one pass, or in as few as memory allows.

        Raises:
            ModelError: there is no memory for a single row.
        """
        count, start = len(inputs[0]), 0
        size = min(count, self._most or count)
        found: list[NDArray[np.float32]] = []
        while start < count:
            part = _compute_or_none(compute, *(one[start : start + size] for one in inputs))
            if part is not None:
                found.append(part)
                start += size
            elif size == 1:
                raise ModelError(
                    f"{self._device} has no memory for a single pass of {self._name}; end what else runs there, "
                    "or use the CPU or a smaller model"
                )
            else:
                size = self._most = size // 2
                _release(self._device)
                _log.warning("%s is out of memory; from now on %d rows a pass", self._device, size)
        return found[0] if len(found) == 1 else np.concatenate(found)


def fitting_images(free: int, bytes_an_image: float) -> int:
    """Give the images of a pass: a power of two times the least of them, within half of the free bytes."""
    images = INDEXING.images
    while images < MOST_IMAGES and 2 * images * bytes_an_image <= _SHARE * free:
        images *= 2
    return images


def _compute_or_none(compute: Compute, *inputs: NDArray[Any]) -> NDArray[np.float32] | None:
    """Compute rows; None where the device is out of memory, once what the pass held is let go."""
    try:
        return compute(*inputs)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had too little memory: CUDA's error has a class of its own, and that of others says so."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()


def is_cuda(device: str) -> bool:
    """Whether a device, as torch names it, is a GPU whose memory torch can be asked about."""
    return device.partition(":")[0] == "cuda"


def _release(device: str) -> None:
    """Give back what torch keeps of passes that are over."""
    import torch

    if is_cuda(device):
        torch.cuda.empty_cache()
