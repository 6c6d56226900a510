"""Both towers with their projections and the temperature (CLIP's layout: Radford et al., ICML 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from retrieval.encoders.two_tower.backbones import build_backbone
from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.encoders.two_tower.text_towers import build_text_tower

MAX_SCALE = 100.0
"""Upper clamp of 1/temperature, as in CLIP, section 2.5."""


class TwoTowerModel(nn.Module):
    """Encode images and texts to unit rows of one space; holds the learned 1/temperature too."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.image = build_backbone(config.image)
        self.text = build_text_tower(config.text)
        self.image_projection = nn.Linear(self.image.dimension, config.dimension)
        self.text_projection = nn.Linear(self.text.dimension, config.dimension)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        mean, std = torch.tensor(config.image.mean), torch.tensor(config.image.std)
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def image_features(self, pixels: Tensor) -> Tensor:
        """Compute pooled backbone features, (B, F), of uint8 images (B, 3, H, W)."""
        features: Tensor = self.image(self._normalised(pixels))
        return features

    def image_places(self, pixels: Tensor) -> Tensor:
        """Compute vectors of places, (B, h, w, D), of uint8 images; :meth:`project_image` scales their mean."""
        vectors: Tensor = self.image_projection(self.image.places(self._normalised(pixels)))
        return vectors

    def _normalised(self, pixels: Tensor) -> Tensor:
        # In place, which is faster.
        normal = pixels.to(torch.float32, copy=True).div_(255).sub_(self.mean).div_(self.std)
        return normal.contiguous(memory_format=torch.channels_last)

    def project_image(self, features: Tensor) -> Tensor:
        """Project features (B, F) to unit rows (B, D), in which all ``image_parts`` have the same length."""
        rows: Tensor = self.image_projection(features)
        if self.config.image_parts:
            parts = torch.split(rows, list(self.config.image_parts), -1)
            rows = torch.cat([nn.functional.normalize(part, dim=-1) for part in parts], -1)
        return nn.functional.normalize(rows, dim=-1)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encode uint8 images (B, 3, H, W) to unit rows (B, D)."""
        return self.project_image(self.image_features(pixels))

    def encode_texts(self, ids: Tensor) -> Tensor:
        """Encode padded token ids (B, T) to unit rows (B, D)."""
        return nn.functional.normalize(self.text_projection(self.text(ids)), dim=-1)

    def scale(self) -> Tensor:
        """Return 1/temperature, clamped to [1, 100]."""
        return self.log_scale.clamp(0, math.log(MAX_SCALE)).exp()
