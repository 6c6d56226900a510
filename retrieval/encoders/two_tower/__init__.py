"""The two-tower model: an image backbone and a text backbone, projected into one space; a folder, its towers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.encoder import load_two_tower_encoder

if TYPE_CHECKING:
    from retrieval.encoders.two_tower.model import TwoTowerModel as TwoTowerModel

__all__ = ["ImageConfig", "TextConfig", "TwoTowerConfig", "TwoTowerModel", "load_two_tower_encoder"]


def __getattr__(name: str) -> object:
    """Import the torch model when it is asked for: a query of words to a bag needs neither torch nor torchvision."""
    if name != "TwoTowerModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from retrieval.encoders.two_tower.model import TwoTowerModel

    return TwoTowerModel
