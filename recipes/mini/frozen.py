"""Compute, once for each view of each photograph, what the frozen part of the image tower gives.

Frozen are the shared stages, the first block of the stage at which the tower splits, and all of the kept stages. The
rest of the tuned stages sees 8 x 8 places in place of 256 x 256 pixels: a step of fine-tuning costs a third of one from
the pixels on, and a photograph's view 27 kB.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recipes.mini.photographs import Photograph, plain_view, random_view
from retrieval.encoders.two_tower.model import TwoTowerModel

_BATCH = 16
_POOLED = 64

Forward = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
Pool = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Places (B, 8, 8, C) to the tuned stages' features (B, 1280), B at most 64."""


class FrozenPart(nn.Module):
    """Prepared photographs (B, size, size, 3) uint8 to places (B, 8, 8, C) and kept features (B, 1280)."""

    def __init__(self, model: TwoTowerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """What both branches need of these pixels."""
        image, split = self.model.image, self.model.config.image.kept_from
        assert image.kept is not None
        normal = (pixels.permute(0, 3, 1, 2).float() / 255 - self.model.mean) / self.model.std
        shared = image.features[:split](normal)
        first = image.features[split]
        assert isinstance(first, nn.Sequential)
        return first[0](shared).permute(0, 2, 3, 1), image.kept(shared).mean((2, 3))


def tuned_stages(model: TwoTowerModel) -> nn.Sequential:
    """The part of the tuned stages that is not frozen; takes places (B, C, 8, 8)."""
    split = model.config.image.kept_from
    first = model.image.features[split]
    assert isinstance(first, nn.Sequential)
    return nn.Sequential(first[1:], *model.image.features[split + 1 :])


def torch_forward(model: TwoTowerModel) -> Forward:
    """The frozen part in torch, float32."""
    part = FrozenPart(model)

    def forward(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode():
            places, kept = part(torch.from_numpy(pixels))
        return places.numpy(), kept.numpy()

    return forward


def openvino_forward(model: TwoTowerModel, threads: int) -> Forward:
    """The frozen part in OpenVINO, bfloat16: 2.4 times as fast as float32 on a CPU with AMX."""
    size = model.config.image.size
    compiled = _compiled(FrozenPart(model), torch.zeros((_BATCH, size, size, 3), dtype=torch.uint8), threads)

    def forward(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found = compiled([_filled(pixels, _BATCH)])
        return found[0][: len(pixels)].copy(), found[1][: len(pixels)].copy()

    return forward


def _compiled(module: nn.Module, example: Tensor, threads: int) -> Any:
    import openvino  # of the trainer's environment only

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: the sizes are fixed
        graph = openvino.convert_model(module, example_input=example, input=list(example.shape))
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads}
    return openvino.Core().compile_model(graph, "CPU", settings)


def _filled(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """Rows of a batch that is not full, zeros after them."""
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])


def _channels(stages: nn.Module) -> int:
    return next(module.in_channels for module in stages.modules() if isinstance(module, nn.Conv2d))


@dataclass(frozen=True)
class Features:
    """What the frozen part gives for one view of a set of photographs.

    Attributes:
        places: (n, 8, 8, C) float16, memory-mapped.
        kept: (n, 1280) float16.
    """

    places: NDArray[np.float16]
    kept: NDArray[np.float16]

    @classmethod
    def load(cls, folder: Path, name: str, view: int) -> Features:
        """What :func:`compute` wrote."""
        return cls(
            np.load(folder / f"{name}-{view}.places.npy", mmap_mode="r"),
            np.load(folder / f"{name}-{view}.kept.npy"),
        )


def torch_pool(stages: nn.Module) -> Pool:
    """The tuned stages in torch, float32."""

    def pool(places: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            rows: NDArray[np.float32] = (
                stages(torch.from_numpy(places).permute(0, 3, 1, 2)).mean((2, 3)).numpy()
            )
        return rows

    return pool


class _Pooled(nn.Module):
    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self.stages = stages

    def forward(self, places: Tensor) -> Tensor:
        rows: Tensor = self.stages(places.permute(0, 3, 1, 2)).mean((2, 3))
        return rows


def openvino_pool(stages: nn.Module, threads: int) -> Pool:
    """The tuned stages, as they are now, in OpenVINO's bfloat16."""
    compiled = _compiled(_Pooled(stages).eval(), torch.zeros(_POOLED, 8, 8, _channels(stages)), threads)

    def pool(places: NDArray[np.float32]) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = compiled([_filled(places, _POOLED)])[0][: len(places)].copy()
        return rows

    return pool


def pooled(pool: Pool, features: Features) -> NDArray[np.float16]:
    """(n, 2560) features of all photographs: tuned, then kept ones."""
    found = [
        pool(features.places[start : start + _POOLED].astype(np.float32)).astype(np.float16)
        for start in range(0, len(features.places), _POOLED)
    ]
    return np.concatenate([np.concatenate(found), features.kept], 1)


def compute(
    photographs: Sequence[Photograph],
    name: str,
    view: int,
    model: TwoTowerModel,
    forward: Forward,
    folder: Path,
) -> None:
    """Write the features of a view unless they are there; view 0 is as the product prepares photographs."""
    if (folder / f"{name}-{view}.places.npy").exists():
        return
    image = model.config.image

    def prepare(row: int) -> NDArray[np.uint8]:
        if view == 0:
            return plain_view(photographs[row], image)
        return random_view(photographs[row], image.size, random.Random(f"{name} {view} {row}"))

    places, kept = [], []
    with ThreadPoolExecutor(1) as pool:
        for start in range(0, len(photographs), _BATCH):
            batch = pool.map(prepare, range(start, min(start + _BATCH, len(photographs))))
            one, other = forward(np.stack(list(batch)))
            places.append(one.astype(np.float16))
            kept.append(other.astype(np.float16))
    _write(folder / f"{name}-{view}.kept.npy", np.concatenate(kept))
    _write(folder / f"{name}-{view}.places.npy", np.concatenate(places))


def _write(path: Path, rows: NDArray[np.float16]) -> None:
    new = path.with_suffix(".new.npy")
    np.save(new, rows)
    new.replace(path)
