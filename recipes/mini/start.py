"""Load the model that training starts from, and write the model folder that it ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from retrieval.encoders.two_tower.backbones import fold_norms
from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.encoders.two_tower.encoder import add_reference
from retrieval.encoders.two_tower.folder import module_state, save
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.hub.tokenizer_files import load_tokenizer

Tensors = dict[str, Tensor]


def load_start(folder: Path, size: int) -> TwoTowerModel:
    """The model of a folder in evaluation mode, batch norms folded, for photographs of ``size`` pixels a side."""
    config = TwoTowerConfig.load(folder / "config.json")
    config = replace(config, image=replace(config.image, size=size))
    model = TwoTowerModel(config)
    model.load_state_dict(module_state(load_file(folder / "model.safetensors")))
    model.eval()
    fold_norms(model.image)
    return model.to(memory_format=torch.channels_last)


def weights_of(model: nn.Module) -> Tensors:
    """Copies of all weights, by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def mean_of(models: Sequence[Tensors]) -> Tensors:
    """The mean of several models' weights (model soup: Wortsman et al., ICML 2022); of other numbers the first's."""
    return {
        name: torch.stack([one[name] for one in models]).mean(0) if value.is_floating_point() else value
        for name, value in models[0].items()
    }


def export(model: TwoTowerModel, start: Path, folder: Path) -> None:
    """Write a model folder in the layout of the start: batch norms put back, the largest weights as bytes.

    Args:
        model: with folded batch norms.
        start: the folder whose tokenizer goes along.
        folder: made if need be.
    """
    unfolded = TwoTowerModel(model.config)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("image.")}
    unfolded.load_state_dict(state, strict=False)
    unfold(model.image, unfolded.image)
    first = model.config.image.kept_from
    tuned = tuple(f"image.features.{stage}." for stage in range(first, len(model.image.features)))
    tokenizer = load_tokenizer(start / "tokenizer.json")
    save(folder, unfolded, tokenizer, quantised=("text.vectors.", "image.kept.", *tuned))
    add_reference(folder)


def unfold(folded: nn.Module, backbone: nn.Module) -> None:
    """Copy folded convolutions into a backbone whose batch norms then only add the bias."""
    for mine, theirs in zip(folded.modules(), backbone.modules(), strict=True):
        if isinstance(mine, nn.Sequential) and isinstance(theirs, nn.Sequential):
            for place in range(len(theirs) - 1):
                conv, norm = theirs[place], theirs[place + 1]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    source = mine[place]
                    assert isinstance(source, nn.Conv2d)
                    assert source.bias is not None
                    with torch.no_grad():
                        conv.weight.copy_(source.weight)
                        norm.weight.fill_(1)
                        norm.bias.copy_(source.bias)
                        assert norm.running_mean is not None
                        assert norm.running_var is not None
                        norm.running_mean.zero_()
                        norm.running_var.fill_(1 - norm.eps)
