"""The two-tower model, new or saved, as a :class:`indexer.training.trainable.Trainable`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from indexer.training.bert import BertWeights
from indexer.training.schedule import Part
from indexer.training.trainable import ModelFacts, Rates
from retrieval.encoders.two_tower.backbones import torchvision_state
from retrieval.encoders.two_tower.config import TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.encoder import add_reference
from retrieval.encoders.two_tower.folder import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    check_weights,
    foreign_weights,
    module_state,
    save,
)
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.text_towers import BertTower
from retrieval.encoders.two_tower.tokenization import pad, padded_length, token_ids
from retrieval.errors import ModelError, TrainingError, first_line
from retrieval.hub.safetensors_header import read_shapes
from retrieval.hub.tokenizer_files import load_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from retrieval.decoding.preparations import Preparation

# With BERT's head at 1e-3 all rows fell into one direction; at these a ResNet-50 and a BERT, both from scratch, learn
# (benchmarks/training). A BERT that was trained before takes what its paper fine-tunes with (Devlin et al., 2019).
BAG_RATES = Rates(image=3e-4, text=1e-3, head=1e-3)
NEW_BERT_RATES = Rates(image=3e-4, text=5e-4, head=5e-4)
TRAINED_BERT_RATES = Rates(image=3e-4, text=5e-5, head=5e-4)


class TrainableTwoTower:
    """A two-tower model in training, all but its first ``frozen_stages`` image stages."""

    def __init__(
        self,
        model: TwoTowerModel,
        tokenizer: Tokenizer,
        name: str,
        device: str,
        frozen_stages: int = 0,
        new_text: bool = False,
    ) -> None:
        """``new_text``: the text tower has random weights, and takes larger steps."""
        self.module = model.to(device).to(memory_format=torch.channels_last)
        self._tokenizer, self._device = tokenizer, device
        self._frozen = tuple(f"image.features.{stage}" for stage in range(frozen_stages))
        config = model.config
        path = (
            f"{config.image.through}, then {config.image.size}" if config.image.through else config.image.size
        )
        self.facts = ModelFacts(
            name=name,
            dimension=config.dimension,
            image_size=config.image.size,
            sees_whole=config.image.aspect > 1,
            rule=f"squeezed into {path} from at most {config.image.aspect} to 1, bicubic",
            rates=_rates(config.text, new_text),
            log_scale=float(model.log_scale.detach().clamp(0, math.log(100))),
            bias=None,
        )

    def part_of(self, name: str) -> Part | None:
        """See :class:`indexer.training.trainable.Trainable`."""
        if name == "log_scale" or f"{name}.".startswith(tuple(f"{stage}." for stage in self._frozen)):
            return None
        tower = name.partition(".")[0]
        return "image" if tower == "image" else "text" if tower == "text" else "head"

    @property
    def preparation(self) -> Preparation:
        """See :class:`indexer.training.trainable.Trainable`."""
        return self.module.config.image.preparation

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """See :class:`indexer.training.trainable.Trainable`."""
        return self.preparation.prepare(image)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """See :class:`indexer.training.trainable.Trainable`."""
        return token_ids(self._tokenizer, self.module.config.text, texts) if texts else []

    def encode_images(self, prepared: Tensor) -> Tensor:
        """See :class:`indexer.training.trainable.Trainable`."""
        pixels = prepared.to(self._device).permute(0, 3, 1, 2)
        rows: Tensor = self.module.encode_images(pixels)
        return rows.float()

    def encode_tokens(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """See :class:`indexer.training.trainable.Trainable`."""
        length = padded_length(max(map(len, rows)), self.module.config.text.context)
        vectors: Tensor = self.module.encode_texts(pad(rows, length).to(self._device))
        return vectors.float()

    def save(self, folder: Path, log_scale: float, bias: float | None) -> None:
        """See :class:`indexer.training.trainable.Trainable`; weights are float32: those that were judged."""
        with torch.no_grad():
            self.module.log_scale.fill_(log_scale)
        save(folder, self.module, self._tokenizer, half=False)
        add_reference(folder)


def load_two_tower(folder: Path, name: str, device: str, frozen_stages: int = 0) -> TrainableTwoTower:
    """Load a saved two-tower model, to train it further.

    Raises:
        ModelError: a file is missing, damaged or of another model.
    """
    config = TwoTowerConfig.load(folder / CONFIG)
    check_weights(folder, config)
    model = TwoTowerModel(config)
    try:
        model.load_state_dict(module_state(load_file(folder / WEIGHTS)))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise foreign_weights(folder, error) from error
    _check_stages(model, frozen_stages)
    return TrainableTwoTower(model, load_tokenizer(folder / TOKENIZER), name, device, frozen_stages)


def new_two_tower(
    config: TwoTowerConfig,
    tokenizer: Tokenizer,
    image_weights: Path | None,
    bert: BertWeights | None,
    device: str,
    frozen_stages: int,
) -> TrainableTwoTower:
    """Make a model with random weights, but for an image backbone of a torchvision classifier, and a BERT.

    Raises:
        TrainingError: weights do not fit, or the image backbone has fewer stages.
    """
    model = TwoTowerModel(config)
    if image_weights is not None:
        load_image_weights(model, image_weights)
    if bert is not None:
        assert isinstance(model.text, BertTower)
        bert.load_into(model.text)
    _check_stages(model, frozen_stages)
    name = f"{config.image.backbone} + {config.text.backbone}"
    return TrainableTwoTower(model, tokenizer, name, device, frozen_stages, new_text=bert is None)


def load_image_weights(model: TwoTowerModel, path: Path) -> None:
    """Load the image backbone from a torchvision classifier.

    Raises:
        TrainingError: the file does not fit.
    """
    try:
        read_shapes(path)  # a pipe, a header that lies
        model.image.load_state_dict(torchvision_state(model.config.image, load_file(path)))
    except (OSError, SafetensorError, RuntimeError, ModelError) as error:
        reason = first_line(error)
        raise TrainingError(
            f"{path} holds no weights of {model.config.image.backbone} ({reason}); name others"
        ) from error


def _rates(text: TextConfig, is_new: bool) -> Rates:
    if text.backbone == "bag":
        return BAG_RATES
    return NEW_BERT_RATES if is_new else TRAINED_BERT_RATES


def _check_stages(model: TwoTowerModel, frozen: int) -> None:
    if frozen > len(model.image.features):
        raise TrainingError(
            f"the image backbone has {len(model.image.features)} stages, and {frozen} cannot stay frozen; "
            "lower --frozen-stages"
        )
