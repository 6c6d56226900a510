"""The two-tower model: an image backbone and a text backbone, projected into one space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.encoder import TwoTower

if TYPE_CHECKING:
    from retrieval.encoders.two_tower.model import TwoTowerModel as TwoTowerModel

__all__ = ["ImageConfig", "TextConfig", "TwoTower", "TwoTowerConfig", "TwoTowerModel"]


def __getattr__(name: str) -> object:
    """The torch model, imported when it is asked for: a query of words to a bag needs neither torch nor torchvision."""
    if name != "TwoTowerModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from retrieval.encoders.two_tower.model import TwoTowerModel

    return TwoTowerModel
