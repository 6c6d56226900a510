"""The model in training: batch norm folded into the convolutions, half of the space given to the classifier's rows.

The image tower's stages from ``KEPT_FROM`` on exist twice: one set learns captions, one stays as ImageNet left it.
Of the 512 dimensions the first 256 are learned, from the features of both. The last 256 are, on the side of pictures,
a fixed projection of the kept features on the main directions of the classifier's rows; the text tower learns to put a
class's name where that projection puts the class's row. So what the classifier knows survives the move into the joint
space, whatever fine-tuning does. Both parts of a picture's vector are equally long.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from recipes.mini.from_imagenet.data import SIDE
from recipes.mini.from_imagenet.opinion import FEATURES, Opinions, unit
from recipes.mini.from_imagenet.teachers import WIDTHS
from recipes.mini.start import unfold
from retrieval.encoders.two_tower.backbones import fold_norms, torchvision_state
from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.folder import save
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.tokenization import pad, token_ids

DIMENSION, LEARNED = 512, 256
KEPT_FROM = 6
SIZE = 192
MEAN, DEVIATION = (127 / 255,) * 3, (128 / 255,) * 3  # the backbone's own
CONTEXT = 48


class Student(nn.Module):
    """A two-tower model, the classifier that it grew from, and what only training needs."""

    def __init__(self, tokenizer: Tokenizer, backbone: Path) -> None:
        super().__init__()
        weights = load_file(backbone)
        image = ImageConfig("efficientnet_lite2", SIZE, MEAN, DEVIATION, tf_padding=True, kept_from=KEPT_FROM)
        text = TextConfig(
            "bag",
            tokenizer.get_vocab_size(),
            384,
            1536,
            context=CONTEXT,
            attention_layers=4,
            attention_width=192,
        )
        self.tokenizer = tokenizer
        parts = (LEARNED, DIMENSION - LEARNED)
        self.towers = TwoTowerModel(TwoTowerConfig(DIMENSION, image, text, parts))
        self.towers.image.load_state_dict(torchvision_state(image, weights))
        self.towers.eval()
        fold_norms(self.towers.image)
        self.towers.to(memory_format=torch.channels_last)
        self.towers.log_scale.data.fill_(np.log(40))
        self.class_log_scale = nn.Parameter(torch.tensor(float(np.log(40))))
        self.to_teacher = nn.Linear(self.towers.text.dimension, WIDTHS["use"])
        self.opinions = Opinions(3)
        for part in (self.towers.image.features[:KEPT_FROM], self.towers.image.kept):
            assert part is not None
            part.requires_grad_(False)
        self.register_buffer("rows", weights["classifier.1.weight"].float(), persistent=False)
        self.register_buffer("bias", weights["classifier.1.bias"].float(), persistent=False)
        self.rows: Tensor
        self.bias: Tensor

    # --- pictures

    def tuned_features(self, pixels: Tensor) -> Tensor:
        """(B, 1280) features to learn from, of (B, 3, H, W) uint8; the fixed stages in bfloat16."""
        image = self.towers.image
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            shared = image.features[:KEPT_FROM](self._normal(pixels))
        tuned: Tensor = image.features[KEPT_FROM:](shared.float()).mean((2, 3))
        return tuned

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """(B, 2560) features, tuned and kept, of (B, 3, H, W) uint8."""
        features: Tensor = self.towers.image(self._normal(pixels))
        return features

    def _normal(self, pixels: Tensor) -> Tensor:
        normal = (pixels.float() / 255 - self.towers.mean) / self.towers.std
        return normal.contiguous(memory_format=torch.channels_last)

    def project(self, features: Tensor) -> Tensor:
        """(B, 512) unit rows of features (B, 2560)."""
        return self.towers.project_image(features)

    def logits(self, features: Tensor) -> Tensor:
        """(B, 1000): what the classifier says of kept features."""
        return features[:, -FEATURES:] @ self.rows.T + self.bias

    def fix_class_part(self, kept: Tensor) -> None:
        """Set the class part of the projection, centred by kept features (n, 1280) of pictures of all kinds."""
        _, _, directions = torch.linalg.svd(self.rows - self.rows.mean(0), full_matrices=False)
        layer, part = self.towers.image_projection, directions[: DIMENSION - LEARNED]
        with torch.no_grad():
            layer.weight[LEARNED:, :FEATURES] = 0
            layer.weight[LEARNED:, FEATURES:] = part
        self.centre_class_part(kept)

    @torch.no_grad()
    def centre_class_part(self, kept: Tensor) -> None:
        """Set its bias: the mean of kept features (n, 1280), which depends on the size of pictures, becomes nought."""
        layer = self.towers.image_projection
        layer.bias[LEARNED:] = -(layer.weight[LEARNED:, FEATURES:] @ kept.mean(0))

    def hold_class_part(self) -> None:
        """From now on gradients leave the class part as it is."""
        layer = self.towers.image_projection
        learned = (torch.arange(DIMENSION) < LEARNED).float()
        layer.weight.register_hook(lambda gradient: gradient * learned[:, None])  # type: ignore[no-untyped-call]
        layer.bias.register_hook(lambda gradient: gradient * learned)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def shrink_class_part(self, share: float) -> None:
        """Make it smaller in texts: a caption's adds less than it disturbs, and a name's is nearly all that it has."""
        layer = self.towers.text_projection
        for own in (layer.weight, layer.bias):
            own[LEARNED:] *= share

    def class_places(self) -> Tensor:
        """(1000, 256) unit rows: where the class part of a name's vector belongs."""
        weight = self.towers.image_projection.weight[LEARNED:, FEATURES:].detach()
        return unit((self.rows - self.rows.mean(0)) @ weight.T, dim=1)

    # --- texts

    def plain_text_parameters(self) -> list[nn.Parameter]:
        """The text tower's, without those of attention layers: these do nothing until they learn."""
        named = self.towers.text.named_parameters()
        return [value for name, value in named if not name.startswith(("attention.", "places."))]

    def text_features(
        self, texts: Sequence[str], dropped: float = 0.0, rng: random.Random | None = None
    ) -> Tensor:
        """(B, 384) outputs of the text tower, a share of the sub-words dropped."""
        rows = token_ids(self.tokenizer, self.towers.config.text, texts)
        if rng is not None and dropped:
            rows = [[token for token in row if rng.random() > dropped] or row for row in rows]
        features: Tensor = self.towers.text(pad(rows, max(map(len, rows))))
        return features

    def encode_texts(
        self, texts: Sequence[str], dropped: float = 0.0, rng: random.Random | None = None
    ) -> Tensor:
        """(B, 512) unit rows."""
        return unit(self.towers.text_projection(self.text_features(texts, dropped, rng)), dim=-1)

    # --- out

    def export(self, folder: Path, aspect: float) -> None:
        """Write the model folder, batch norms put back, what is large as bytes."""
        config = self.towers.config
        # training saw pictures kept in squares of this side: what is sharper costs a point of R@1
        image = replace(config.image, aspect=aspect, through=SIDE)
        model = TwoTowerModel(replace(config, image=image))
        state = self.towers.state_dict()
        model.load_state_dict({n: v for n, v in state.items() if not n.startswith("image.")}, strict=False)
        unfold(self.towers.image, model.image)
        tuned = tuple(f"image.features.{stage}." for stage in range(KEPT_FROM, len(model.image.features)))
        save(folder, model, self.tokenizer, quantised=("text.vectors.", "image.kept.", *tuned))


@contextmanager
def without_attention(text: nn.Module) -> Iterator[None]:
    """Leave a bag's attention layers out while they do nothing: the same bits of rows and gradients, far faster."""
    layers, text.attention = text.attention, nn.ModuleList()
    try:
        yield
    finally:
        text.attention = layers
