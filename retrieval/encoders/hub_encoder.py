"""Load a checkpoint of the hub as an encoder."""

from __future__ import annotations

import json
from pathlib import Path

from retrieval.encoders.base import Identity
from retrieval.encoders.families.table import family_of
from retrieval.encoders.hub_towers import HubTowers
from retrieval.encoders.reproducible import request_equal_bits
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.hub.checkpoint import read_checkpoint, weight_files
from retrieval.hub.library_model import load_model
from retrieval.hub.weights_digest import weights_digest


def load_hub_encoder(
    folder: Path, name: str | None = None, revision: str = "", device: str | None = None
) -> TowerEncoder:
    """Load the encoder of a local folder, in float32.

    Args:
        folder: holds config.json, preprocessor_config.json, the tokenizer and safetensors.
        name: what the identity calls it; the absolute folder by default.
        revision: commit that the folder is a snapshot of, if it is one.
        device: as torch names it; the CPU by default.

    Raises:
        ModelError: a file is missing, damaged or refused, or the device cannot be had.
    """
    request_equal_bits()
    folder = folder.absolute()
    checkpoint = read_checkpoint(folder)
    family = family_of(checkpoint)
    files = weight_files(folder)
    images, tokens = family.images(checkpoint), family.tokens(checkpoint)
    identity = Identity(
        name=name or str(folder),
        family=family.name,
        weights=weights_digest(files),
        revision=revision,
        dimension=family.dimension(checkpoint),
        preprocessing=json.dumps({"image": images.facts(), "text": tokens.facts()}, sort_keys=True),
    )
    device = device or "cpu"
    model = load_model(checkpoint, family.architecture, device)
    towers = HubTowers(model, images, family.attention, identity.name, device)
    return TowerEncoder(identity, images.preparation, tokens, towers)
