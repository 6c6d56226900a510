"""Load a two-tower folder as an encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower.activation_ranges import measured_ranges, write_ranges
from retrieval.encoders.two_tower.folder import open_folder
from retrieval.encoders.two_tower.image_layers import has_layers, read_image_tower
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.encoders.two_tower.reference import write_reference
from retrieval.encoders.two_tower.tokenization import UnigramTokens
from retrieval.encoders.two_tower.towers import TwoTowerTowers


def load_two_tower_encoder(
    folder: Path,
    name: str | None = None,
    device: str | None = None,
    revision: str = "",
    asked: Computation | None = None,
) -> TowerEncoder:
    """Load the model in ``folder``, whatever its weights are stored as.

    Args:
        folder: holds config.json, model.safetensors and tokenizer.json.
        name: what the identity calls it; the absolute folder by default.
        device: as torch names it; the CPU by default.
        revision: what the identity calls this state of the weights.
        asked: what computes the image tower, in which precision; torch in float32 by default.

    Raises:
        ModelError: a file is missing, cut short, or of another model, or the runtime cannot compute it.
        MissingExtra: the runtime is not installed.
    """
    opened, data = open_folder(folder)
    config = opened.config
    towers = TwoTowerTowers(opened, data, device or "cpu", asked)
    identity = replace(opened.identity(name, revision), precision=towers.precision, runtime=towers.runtime)
    tokens = UnigramTokens(lambda: opened.tokenizer, config.text)
    return TowerEncoder(identity, config.image.preparation, tokens, towers)


def add_reference(folder: Path) -> None:
    """Write the reference row of a saved model, which lets ``auto`` choose another runtime than torch.

    Writes none where no other runtime knows the image backbone. The state of torch's generator stays.

    Raises:
        ModelError: as :func:`load_two_tower_encoder`.
    """
    opened, data = open_folder(folder)
    if not has_layers(opened.config.image):
        return
    import torch  # late: for training only

    with torch.random.fork_rng(devices=[]):
        write_reference(folder, opened.config, TwoTowerTowers(opened, data, "cpu").image_rows)


def add_ranges(
    folder: Path, prepared: NDArray[np.uint8], on_image: Callable[[], object] = lambda: None
) -> None:
    """Measure and write the ranges of a saved model's activations, which int8 needs.

    Writes none where no other runtime than torch knows the image backbone.

    Args:
        folder: of the model.
        prepared: photographs such as will be indexed, (n, size, size, 3) uint8.
        on_image: called after each of them.

    Raises:
        ModelError: as :func:`load_two_tower_encoder`.
    """
    opened, data = open_folder(folder)
    if has_layers(opened.config.image):
        tower = read_image_tower(opened.config, NumpyWeights(data, "image"))
        write_ranges(folder, measured_ranges(tower, prepared, on_image))
