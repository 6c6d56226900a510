"""The model that a run starts from: a new two-tower model, or one given by name or folder."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from indexer.training.bert import BertWeights, read_bert
from indexer.training.ranges import check_choice, check_ranges
from indexer.training.trainable import Trainable
from indexer.training.trainable_hub import Lora, TrainableHub
from indexer.training.trainable_two_tower import TrainableTwoTower, load_two_tower, new_two_tower
from indexer.training.vocabulary import fit_tokenizer
from retrieval.encoders.registry import AUTO, TWO_TOWER, auto_choice, local_folder, resolve
from retrieval.encoders.two_tower.config import (
    ImageBackbone,
    ImageConfig,
    TextBackbone,
    TextConfig,
    TwoTowerConfig,
)
from retrieval.errors import UsageError
from retrieval.hub.checkpoint import model_type

VOCABULARY = 8000
LAYERS = 4  # of a BERT from scratch
DIMENSION = 512
_TF_MEAN = _TF_STD = (0.50196, 0.50196, 0.50196)


@dataclass(frozen=True, slots=True)
class NewTwoTower:
    """An image backbone and a text backbone, projected into a new space.

    Attributes:
        image_backbone: a torchvision network.
        image_weights: safetensors of a torchvision classifier; None: random.
        tf_padding: these weights were trained in TensorFlow.
        image_size: side of the square that the tower sees.
        text_backbone: ``bert``, or ``bag`` (the mean of sub-word vectors).
        text_weights: folder of a BERT checkpoint, tokenizer included; None: random, with a tokenizer fitted to
            the captions.
        text_layers: transformer layers of a BERT from scratch; None: 4.
        frozen_stages: image stages, from the input, that never learn.
    """

    image_backbone: ImageBackbone = "resnet50"
    image_weights: Path | None = None
    tf_padding: bool = False
    image_size: int = 224
    text_backbone: TextBackbone = "bert"
    text_weights: Path | None = None
    text_layers: int | None = None
    frozen_stages: int = 0

    def __post_init__(self) -> None:
        """Refuse settings of which no tower can be built.

        Raises:
            UsageError: says which setting, and what it may be.
        """
        check_choice("image-backbone", self.image_backbone, get_args(ImageBackbone))
        check_choice("text-backbone", self.text_backbone, get_args(TextBackbone))
        check_ranges(
            self, {"image_size": (16, 4096), "text_layers": (1, 256), "frozen_stages": (0, math.inf)}
        )
        if self.text_weights is not None and self.text_backbone != "bert":
            raise UsageError("--text-weights is a folder of BERT; leave it out, or use --text-backbone bert")
        if self.text_layers is not None and (self.text_weights is not None or self.text_backbone != "bert"):
            raise UsageError(
                "--text-layers counts those of a BERT from scratch; leave it out beside --text-weights and other "
                "text backbones"
            )

    def describe(self) -> str:
        """Describe it in words."""
        parts = []
        for backbone, weights in (
            (self.image_backbone, self.image_weights),
            (self.text_backbone, self.text_weights),
        ):
            parts.append(f"{backbone} {f'from {weights.name}' if weights else 'from scratch'}")
        return f"a new two-tower model ({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class FromModel:
    """A model that ``load_encoder`` takes, fine-tuned.

    Attributes:
        name: alias, hub id, or path of a folder.
        lora: adapters instead of all weights; hub checkpoints only.
        frozen_stages: as in :class:`NewTwoTower`; two-tower models only.
    """

    name: str
    lora: Lora | None = None
    frozen_stages: int = 0

    def describe(self) -> str:
        """Describe it in words; a folder by its last name alone, because a model card is passed on."""
        name = Path(self.name).name if Path(self.name).is_dir() else self.name
        adapters = f", through adapters of rank {self.lora.rank}, merged" if self.lora else ""
        return f"{name}{adapters}"


Start = NewTwoTower | FromModel


def build(start: Start, captions: Iterable[str], seed: int, device: str) -> Trainable:
    """Build the model that a run starts from; random weights are drawn with ``seed``.

    Args:
        start: what to build.
        captions: that a new tokenizer is fitted to.
        seed: of new weights.
        device: as torch names it.

    Raises:
        UsageError: no model goes by that name, or settings do not go with its kind.
        ModelError: its files are missing or damaged.
        TrainingError: weights do not fit the backbones.
    """
    torch.manual_seed(seed)
    if isinstance(start, FromModel):
        return _load(start, device)
    return _new(start, captions, device)


def weights_digest(model: Trainable) -> str:
    """Compute a sha256 (hex) over all weights and buffers of a model."""
    whole = hashlib.sha256()
    for name, value in sorted(model.module.state_dict().items()):
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        whole.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def _load(start: FromModel, device: str) -> Trainable:
    spec = auto_choice()[0] if start.name == AUTO else resolve(start.name)
    folder = local_folder(spec)
    if model_type(folder) == TWO_TOWER:
        if start.lora is not None:
            raise UsageError(
                f"--lora adapts hub checkpoints, and {start.name} is a two-tower model; leave it out, or hold "
                "towers back with --locked-image-epochs or --frozen-stages"
            )
        return load_two_tower(folder, spec.name, device, start.frozen_stages)
    if start.frozen_stages:
        raise UsageError(
            f"--frozen-stages counts stages of a two-tower model's image backbone, and {start.name} is a hub "
            "checkpoint; use --locked-image-epochs"
        )
    return TrainableHub(folder, spec.name, device, start.lora)


def _new(start: NewTwoTower, captions: Iterable[str], device: str) -> TrainableTwoTower:
    image = ImageConfig(start.image_backbone, start.image_size)
    if start.tf_padding:
        image = ImageConfig(image.backbone, image.size, _TF_MEAN, _TF_STD, tf_padding=True)
    bert: BertWeights | None = None
    if start.text_weights is not None:
        bert = read_bert(start.text_weights)
        text, tokenizer = bert.config, bert.tokenizer
    else:
        tokenizer = fit_tokenizer(list(captions), VOCABULARY)
        layers = start.text_layers or LAYERS
        text = TextConfig(start.text_backbone, tokenizer.get_vocab_size(), layers=layers)
    config = TwoTowerConfig(DIMENSION, image, text)
    return new_two_tower(config, tokenizer, start.image_weights, bert, device, start.frozen_stages)
