"""A second opinion: where small networks on the teachers' rows put a caption, one network a language.

The image tower is fine-tuned against them, and the text tower learns what they say afterwards. A teacher's row holds
more of a sentence's meaning than 6,000 pictures could teach, so such networks learn less by heart than a text tower.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from recipes.mini.from_imagenet.teachers import READINGS, WIDTHS_BY_LANGUAGE, Reading

FEATURES = 1280  # of one set of the image tower's stages
WIDTH, KEPT_WIDTH = 384, 256
MAX_SCALE = 100.0
unit = nn.functional.normalize


class Opinion(nn.Module):
    """Networks from teachers' rows, and a projection from tuned features, into one space."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Linear(FEATURES, WIDTH)
        self.texts = nn.ModuleDict({lang: _network(width) for lang, width in WIDTHS_BY_LANGUAGE.items()})
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(20))))

    def encode_texts(self, language: str, rows: Tensor) -> Tensor:
        """(B, 384) unit rows of standardised teachers' rows."""
        return unit(self.texts[language](rows), dim=1)

    def read(self, reading: Reading, pictures: Tensor, noise: float = 0.0) -> list[Tensor]:
        """A caption of each of the pictures (B,) in each reading: (B, 384) unit rows each."""
        drawn = {name: reading.train[name].draw(pictures) for name in READINGS}
        return [
            self.encode_texts(network, noisy(drawn[name], noise) if noise else drawn[name])
            for name, (_, network) in READINGS.items()
        ]

    def encode_images(self, features: Tensor) -> Tensor:
        """(B, 384) unit rows of tuned features (B, 1280)."""
        return unit(self.image(features), dim=1)

    def scale(self) -> Tensor:
        """1/temperature."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def centre(self, features: Tensor) -> None:
        """Let the mean of the features project to 0."""
        with torch.no_grad():
            self.image.bias.copy_(-(self.image.weight @ features.mean(0)))


class Opinions(nn.Module):
    """The mean of several, whose projections started from one: fine-tuning has the first, the opinion stage fits all.

    Attributes:
        directions: (256, 384), the directions of their space which are kept: the learned part of the towers' space.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(Opinion() for _ in range(count))
        self.register_buffer("directions", torch.zeros(KEPT_WIDTH, WIDTH))
        self.directions: Tensor

    def each(self) -> list[Opinion]:
        """The members, in order."""
        return [one for one in self.members if isinstance(one, Opinion)]

    def encode_texts(self, language: str, rows: Tensor) -> Tensor:
        """(B, 384) unit rows of standardised teachers' rows."""
        return unit(torch.stack([one.encode_texts(language, rows) for one in self.each()]).sum(0), dim=1)

    def encode_images(self, features: Tensor) -> Tensor:
        """(B, 384) unit rows of tuned features (B, 1280)."""
        return unit(nn.functional.linear(features, *self.projection()), dim=1)

    def projection(self) -> tuple[Tensor, Tensor]:
        """The mean weight and bias of pictures."""
        layers = [one.image for one in self.each()]
        weights = torch.stack([layer.weight for layer in layers])
        return weights.mean(0), torch.stack([layer.bias for layer in layers]).mean(0)


def _network(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(0.1), nn.Linear(width, 1536), nn.GELU(), nn.Dropout(0.3), nn.Linear(1536, WIDTH)
    )


def noisy(rows: Tensor, share: float) -> Tensor:
    """Teachers' rows with noise of ``share`` of their deviation."""
    return rows + share * rows.std() * torch.randn_like(rows)
