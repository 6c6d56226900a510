"""Load a checkpoint of the hub as an encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.encoders.base import Identity
from retrieval.encoders.families.family import Family, ImageInputs
from retrieval.encoders.families.table import family_of
from retrieval.encoders.graph_towers import Graphs, GraphTowers, find_or_make_graphs
from retrieval.encoders.reproducible import request_equal_bits
from retrieval.encoders.runtimes.choice import PRECISION_VARIABLE, VARIABLE, Computation
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.errors import ModelError
from retrieval.hub.checkpoint import Checkpoint, read_checkpoint, weight_files
from retrieval.hub.weights_digest import weights_digest
from retrieval.openvino_runtime import check_installed, is_installed

if TYPE_CHECKING:
    from retrieval.encoders.families.tokens import Tokens
    from retrieval.encoders.hub_towers import HubTowers

LoadTorch = Callable[[], "HubTowers"]


def load_hub_encoder(
    folder: Path,
    name: str | None = None,
    revision: str = "",
    device: str | None = None,
    asked: Computation | None = None,
) -> TowerEncoder:
    """Load the encoder of a local folder.

    Args:
        folder: holds config.json, preprocessor_config.json, the tokenizer and safetensors.
        name: what the identity calls it; the absolute folder by default.
        revision: commit that the folder is a snapshot of, if it is one.
        device: as torch names it; the CPU by default.
        asked: what computes the towers, in which precision; torch in float32 by default.

    Raises:
        ModelError: a file is missing, damaged or refused, or the device or the runtime cannot be had.
        MissingExtra: the runtime asked for is not installed.
    """
    request_equal_bits()
    folder, device, asked = folder.absolute(), device or "cpu", asked or Computation()
    checkpoint = read_checkpoint(folder)
    family = family_of(checkpoint)
    images, tokens = family.images(checkpoint), family.tokens(checkpoint)
    identity = Identity(
        name=name or str(folder),
        family=family.name,
        weights=weights_digest(weight_files(folder)),
        revision=revision,
        dimension=family.dimension(checkpoint),
        preprocessing=json.dumps({"image": images.facts(), "text": tokens.facts()}, sort_keys=True),
    )

    def load_torch(precision: str = "float32") -> HubTowers:
        return _load_torch(checkpoint, family, images, identity.name, device, precision)

    graphs = _graphs(identity, family, images, tokens, device, asked, load_torch)
    if asked.precision == "int8" and (
        why := "torch computes it" if graphs is None else graphs.image.why_not_in_int8
    ):
        raise ModelError(
            f"{identity.name} cannot be computed in int8: {why}; use float32, with {PRECISION_VARIABLE}=float32"
        )
    if graphs is not None:
        towers = GraphTowers(graphs, asked, identity.name, load_torch)
        identity = replace(identity, precision=towers.precision, runtime=towers.runtime)
        return TowerEncoder(identity, images.preparation, tokens, towers)
    precision = "bfloat16" if asked.precision == "bfloat16" else "float32"
    identity = replace(identity, precision=precision)
    return TowerEncoder(identity, images.preparation, tokens, load_torch(precision))


def _graphs(
    identity: Identity,
    family: Family,
    images: ImageInputs,
    tokens: Tokens,
    device: str,
    asked: Computation,
    load_torch: LoadTorch,
) -> Graphs | None:
    """Find or make the graphs of a checkpoint; None where torch is to compute both towers.

    Raises:
        ModelError: OpenVINO was asked for and cannot compute them.
        MissingExtra: it is not installed.
    """
    if asked.runtime == "torch":
        return None
    if asked.runtime == "openvino":
        check_installed()
        if device != "cpu":
            raise ModelError(f"the runtime openvino computes {identity.name} on the CPU, not on {device}")
    elif device != "cpu" or not is_installed():
        return None
    graphs = find_or_make_graphs(identity.weights, family.name, family.attention, images, tokens, load_torch)
    if asked.runtime == "openvino" and (graphs is None or (graphs.image.why_not and graphs.text.why_not)):
        why = "its graphs cannot be kept" if graphs is None else graphs.image.why_not
        raise ModelError(
            f"the runtime openvino cannot compute {identity.name}: {why}; use torch, with {VARIABLE}=torch"
        )
    return graphs


def _load_torch(
    checkpoint: Checkpoint, family: Family, images: ImageInputs, name: str, device: str, precision: str
) -> HubTowers:
    import torch  # late: graphs do without it

    from retrieval.encoders.hub_towers import HubTowers
    from retrieval.hub.library_model import load_model

    model = load_model(checkpoint, family.architecture, device)
    if precision == "bfloat16":
        model = model.to(torch.bfloat16)

    def load_again() -> HubTowers:
        return _load_torch(checkpoint, family, images, name, device, "float32")

    return HubTowers(model, images, family.attention, name, device, load_again)
