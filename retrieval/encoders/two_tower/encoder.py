"""A saved two-tower model as an :class:`retrieval.encoders.base.Encoder`.

A folder holds ``config.json``, ``model.safetensors`` and ``tokenizer.json``; nothing else is needed or run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from tokenizers import Tokenizer

from retrieval.encoders.base import fixed_batches
from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.text import load_tokenizer, pad, padded_length, token_ids
from retrieval.errors import ModelError
from retrieval.identity import Identity

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
_DEFAULT_BATCH = 32


class TwoTower:
    """Encodes with a two-tower model; safe in several threads (it changes nothing after it is made)."""

    def __init__(self, model: TwoTowerModel, tokenizer: Tokenizer, identity: Identity) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._identity = identity
        self._device = next(model.parameters()).device

    @classmethod
    def load(cls, folder: Path, name: str | None = None, device: str | None = None) -> TwoTower:
        """The model in ``folder``, in float32 whatever its weights are stored as.

        Args:
            folder: holds config.json, model.safetensors and tokenizer.json.
            name: what the identity calls it; the absolute folder by default.
            device: as torch names it; the CPU by default.

        Raises:
            ModelError: a file is missing, cut short, or of another model.
        """
        config = TwoTowerConfig.load(folder / CONFIG)
        tokenizer = load_tokenizer(folder / TOKENIZER)
        try:
            data = (folder / WEIGHTS).read_bytes()
        except OSError as error:
            raise ModelError(
                f"cannot read {folder / WEIGHTS}: {error.strerror}; give a complete model folder to --model"
            ) from error
        model = TwoTowerModel(config)
        try:
            state = {n: v.float() if v.is_floating_point() else v for n, v in load(data).items()}
            model.load_state_dict(state)
        except (SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{folder / WEIGHTS} holds no weights of this model ({reason}); copy the model folder again"
            ) from error
        digest = hashlib.sha256(data + tokenizer.to_str().encode()).hexdigest()
        identity = Identity(
            name=name or str(folder.absolute()),
            family="two-tower",
            weights=digest,
            revision="",
            dimension=config.dimension,
            preprocessing=json.dumps(
                {"image": asdict(config.image), "text": asdict(config.text), "resize": "bicubic-antialiased"},
                sort_keys=True,
            ),
        )
        return cls(model.to(device or "cpu"), tokenizer, identity)

    @property
    def identity(self) -> Identity:
        """What must be equal for vectors to be comparable."""
        return self._identity

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return self._identity.dimension

    @property
    def image_size(self) -> int:
        """Short side, in pixels, that the image tower sees."""
        return self._model.config.image.size

    def prepare_image(self, image: Image.Image) -> NDArray[np.uint8]:
        """The centre square at the tower's size, (size, size, 3) uint8 RGB."""
        return centre_square(image, self.image_size)

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of prepared pictures."""
        out = np.empty((len(prepared), self.dimension), np.float32)
        row = 0
        with torch.inference_mode():
            for batch, count in fixed_batches(prepared, batch_size, _DEFAULT_BATCH):
                pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).to(self._device)
                out[row : row + count] = self._model.encode_images(pixels)[:count].cpu().numpy()
                row += count
        return out

    def encode_images(
        self, images: Sequence[Image.Image], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of PIL pictures of any mode."""
        return self.encode_prepared([self.prepare_image(image) for image in images], batch_size)

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of texts; tokens beyond the context length are cut off."""
        out = np.empty((len(texts), self.dimension), np.float32)
        config = self._model.config.text
        ids = token_ids(self._tokenizer, config, texts) if texts else []
        buckets: dict[int, list[int]] = {}
        for row, tokens in enumerate(ids):
            buckets.setdefault(padded_length(len(tokens), config.context), []).append(row)
        with torch.inference_mode():
            for length, rows in buckets.items():
                for batch, count in fixed_batches(rows, batch_size, _DEFAULT_BATCH):
                    vectors = self._model.encode_texts(pad([ids[r] for r in batch], length).to(self._device))
                    out[batch[:count]] = vectors[:count].cpu().numpy()
        return out


def centre_square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The centre of a picture as (size, size, 3) uint8 RGB: cropped first: a strip is never enlarged."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side)).convert("RGB")
    # Pillow's bicubic filter widens with the reduction, which is what keeps it free of aliases.
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def save(folder: Path, model: TwoTowerModel, tokenizer: Tokenizer, half: bool = True) -> None:
    """Write a model folder; with ``half`` weights are float16 (batch-norm statistics stay float32)."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, value in model.state_dict().items():
        narrow = half and value.is_floating_point() and "running_" not in name
        state[name] = value.detach().cpu().to(torch.float16 if narrow else value.dtype).contiguous().clone()
    save_file(state, folder / WEIGHTS)
    (folder / CONFIG).write_text(model.config.to_json(), encoding="utf-8")
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
