"""What of both towers comes after features that are computed once: the text tower's MLP and both projections.

Nine tenths of a text's cost lie before the MLP, in the attention over its sub-words, and nearly all of a photograph's
before the projection. Where those parts stay, a step over thousands of both costs a quarter of a second of one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from recipes.mini.texts import TextEncoder
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.text_towers import BagTower

_CHUNK = 8_192


@torch.no_grad()
def bags(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """(n, width) float16: what the MLP of the text tower is given for each text."""
    tower = _tower(encoder.model)
    found = torch.empty((len(texts), tower.dimension), dtype=torch.float16)
    seen: list[Tensor] = []
    handle = tower.expand.register_forward_pre_hook(lambda _, given: seen.append(given[0].half()))
    for rows, ids in encoder.batches(texts):
        tower(ids)
        found[torch.tensor(rows)] = seen.pop()
    handle.remove()
    return found


def text_rows(model: TwoTowerModel, given: Tensor) -> Tensor:
    """(n, D) unit rows of (n, width) bags."""
    tower, bag = _tower(model), given.float()
    features = tower.norm(bag + tower.reduce(nn.functional.gelu(tower.expand(bag))))
    return nn.functional.normalize(model.text_projection(features), dim=-1)


@torch.no_grad()
def all_text_rows(model: TwoTowerModel, given: Tensor) -> Tensor:
    """(n, D) float16 unit rows of many bags, without a gradient."""
    return torch.cat([text_rows(model, part).half() for part in torch.split(given, _CHUNK)])


@torch.no_grad()
def all_image_rows(model: TwoTowerModel, features: Tensor) -> Tensor:
    """(n, D) float32 unit rows of many photographs' features, without a gradient."""
    return torch.cat([model.project_image(part.float()) for part in torch.split(features, _CHUNK)])


@contextmanager
def learning(model: TwoTowerModel) -> Iterator[list[nn.Parameter]]:
    """Let the heads learn and nothing else; of the image projection, the class part's rows stay.

    Yields:
        The parameters of the text side that learn.
    """
    tower = _tower(model)
    model.requires_grad_(False)
    own = [tower.expand, tower.reduce, tower.norm, model.text_projection]
    for part in own:
        part.requires_grad_(True)
    handles = learn_projection(model)
    yield [value for part in own for value in part.parameters()]
    for handle in handles:
        handle.remove()
    model.requires_grad_(False)


def learn_projection(model: TwoTowerModel) -> list[RemovableHandle]:
    """Let the image projection learn but for the rows of the class part, until the handles are removed."""
    learned = model.config.image_parts[0]
    handles = []
    for value in model.image_projection.parameters():
        value.requires_grad_(True)
        mask = (torch.arange(len(value)) < learned).float().view(-1, *[1] * (value.dim() - 1))
        handles.append(value.register_hook(lambda gradient, mask=mask: gradient * mask))  # type: ignore[no-untyped-call]
    return handles


def _tower(model: TwoTowerModel) -> BagTower:
    assert isinstance(model.text, BagTower)
    return model.text
