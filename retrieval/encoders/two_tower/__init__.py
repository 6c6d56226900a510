"""The two-tower model: an image backbone and a text backbone, projected into one space."""

from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.encoder import TwoTower
from retrieval.encoders.two_tower.model import TwoTowerModel

__all__ = ["ImageConfig", "TextConfig", "TwoTower", "TwoTowerConfig", "TwoTowerModel"]
