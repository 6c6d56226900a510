"""Hub checkpoints, whole or through low-rank adapters, as a :class:`indexer.training.trainable.Trainable`."""

from __future__ import annotations

import copy
import math
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from indexer.training.schedule import Part
from indexer.training.trainable import ModelFacts, Rates
from retrieval.encoders.families.family import FixedSizeInputs
from retrieval.encoders.families.table import family_of
from retrieval.encoders.hub_towers import attention_mask
from retrieval.errors import UsageError
from retrieval.extras import require
from retrieval.hub.checkpoint import read_checkpoint, weight_files
from retrieval.hub.forward_errors import forward_errors_as_model_errors
from retrieval.hub.library_model import load_model, save_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from retrieval.decoding.preparations import Preparation

RATES = Rates(image=1e-5, text=1e-5, head=1e-4)
LORA_RATES = Rates(image=2e-4, text=2e-4, head=2e-4)
_TEMPERATURES = ("logit_scale", "logit_bias", "temperature")
_COPIED = (".json", ".txt", ".model")  # tokenizer and preprocessing; weights and config.json are written anew


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters (LoRA: Hu et al., ICLR 2022) on every linear layer.

    Attributes:
        rank: of the two matrices that are learned beside each weight.
        alpha: their product is scaled by alpha / rank.
    """

    rank: int = 8
    alpha: int = 16


class TrainableHub:
    """A checkpoint of one of the hub's families, in training."""

    def __init__(self, folder: Path, name: str, device: str, lora: Lora | None = None) -> None:
        """Load a folder.

        Raises:
            ModelError: a file is missing, damaged or refused, or the device cannot be had.
            MissingExtra: adapters are wanted, and peft is not installed.
        """
        checkpoint = read_checkpoint(folder)
        family = family_of(checkpoint)
        self._folder, self._device, self._attention = folder, device, family.attention
        self._images, self._tokens = family.images(checkpoint), family.tokens(checkpoint)
        self._model: Any = load_model(checkpoint, family.architecture, device)
        log_scale, bias = _temperature(self._model)
        self.module: nn.Module = self._model
        if lora is not None:
            self.module = _with_adapters(self._model, lora)
        self._lora = lora
        kept = (n for n, _ in self.module.named_parameters() if lora is not None and ".lora_" not in n)
        self._kept = frozenset(kept)
        centre = isinstance(self._images, FixedSizeInputs) and isinstance(self._images.rule.resize, int)
        self.facts = ModelFacts(
            name=name,
            dimension=family.dimension(checkpoint),
            image_size=self._images.preparation.short_side,
            sees_whole=not centre,
            rule=str(self._images.facts()),
            rates=RATES if lora is None else LORA_RATES,
            log_scale=log_scale,
            bias=bias,
        )

    def part_of(self, name: str) -> Part | None:
        """See :class:`indexer.training.trainable.Trainable`."""
        if name in self._kept or name.rpartition(".")[2] in _TEMPERATURES:
            return None
        return "image" if "vision_model" in name else "text" if "text_model" in name else "head"

    @property
    def preparation(self) -> Preparation:
        """See :class:`indexer.training.trainable.Trainable`."""
        return self._images.preparation

    def prepare(self, image: Image) -> NDArray[np.uint8]:
        """See :class:`indexer.training.trainable.Trainable`."""
        return self._images.preparation.prepare(image)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """See :class:`indexer.training.trainable.Trainable`."""
        return self._tokens.encode(texts) if texts else []

    def encode_images(self, prepared: Tensor) -> Tensor:
        """See :class:`indexer.training.trainable.Trainable`."""
        with forward_errors_as_model_errors(str(self._folder)):
            inputs = self._images.inputs(prepared.to(self._device))
            return _unit(self._model.get_image_features(**inputs).pooler_output)

    def encode_tokens(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """See :class:`indexer.training.trainable.Trainable`."""
        length = max(self._tokens.padded_length(row) for row in rows)
        ids, is_text = self._tokens.pad(rows, length)
        inputs = {"input_ids": torch.from_numpy(ids).to(self._device)}
        if self._attention == "masked":
            inputs["attention_mask"] = attention_mask(torch.from_numpy(is_text)).to(self._device)
        with forward_errors_as_model_errors(str(self._folder)):
            return _unit(self._model.get_text_features(**inputs).pooler_output)

    def save(self, folder: Path, log_scale: float, bias: float | None) -> None:
        """See :class:`indexer.training.trainable.Trainable`; adapters are merged into the weights."""
        model = self._model
        if self._lora is not None:  # a copy: merging and taking out again would change the last bits
            adapted: Any = copy.deepcopy(self.module)
            model = adapted.merge_and_unload()
        _store_temperature(model, log_scale, bias)
        save_model(model, folder)
        names = {file.name for file in weight_files(self._folder)} | {"config.json"}
        for file in sorted(self._folder.iterdir()):
            is_index = file.name.endswith(".safetensors.index.json")
            if file.suffix in _COPIED and file.is_file() and file.name not in names and not is_index:
                shutil.copyfile(file, folder / file.name)


def _unit(features: Tensor) -> Tensor:
    return nn.functional.normalize(features.float(), dim=-1)


def _temperature(model: Any) -> tuple[float, float | None]:
    """Read log(1/temperature) and bias of a checkpoint; ALIGN stores the temperature itself."""
    if hasattr(model, "temperature"):
        return -math.log(max(1e-6, float(model.temperature))), None
    bias = float(model.logit_bias) if hasattr(model, "logit_bias") else None
    return float(model.logit_scale), bias


def _store_temperature(model: Any, log_scale: float, bias: float | None) -> None:
    with torch.no_grad():
        if hasattr(model, "temperature"):
            model.temperature.fill_(math.exp(-log_scale))
            return
        model.logit_scale.fill_(log_scale)
        if bias is not None and hasattr(model, "logit_bias"):
            model.logit_bias.fill_(bias)


def _with_adapters(model: nn.Module, lora: Lora) -> nn.Module:
    require("lora", "fine-tuning with --lora")
    from peft import LoraConfig, get_peft_model

    # exactly nn.Linear: the output of torch's own attention is a subclass whose weight is used past its forward
    targets = [name for name, layer in model.named_modules() if type(layer) is nn.Linear]
    if not targets:
        raise UsageError("this model has no linear layer for --lora to adapt; fine-tune it whole")
    settings = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for names that it renames
        adapted: nn.Module = get_peft_model(model, settings)
    return adapted
