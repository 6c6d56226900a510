"""A saved two-tower model as an :class:`retrieval.encoders.base.Encoder`.

A folder holds ``config.json``, ``model.safetensors`` and ``tokenizer.json``; nothing else is needed or run.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError
from tokenizers import Tokenizer

from retrieval.decoding.preparations import Squeeze
from retrieval.encoders.base import fixed_batches
from retrieval.encoders.reproducible import pass_size, request_equal_bits
from retrieval.encoders.safetensors_header import check_memory, numbers, read_shapes
from retrieval.encoders.tokenizer_files import load_tokenizer
from retrieval.encoders.two_tower.bag import Bag
from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.encoders.two_tower.text import padded, padded_length, token_ids
from retrieval.errors import ModelError
from retrieval.identity import Identity

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from retrieval.encoders.two_tower.model import TwoTowerModel

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
_DEFAULT_BATCH = 32
# Activations of more pictures than these are beyond what glibc keeps by itself (32 MiB), and are mapped anew in every
# layer: 80 pictures a second in place of 125. Where freed memory is retained, larger passes are no faster.
_CPU_PICTURES = 8
_WEIGHT, _STEP = ".weight", ".step"  # a step belongs to the weight that has its name but for the end


class TwoTower:
    """Encodes with a two-tower model; safe in several threads.

    A bag of words is encoded in numpy, and torch comes up with the first picture (or with a BERT text tower): a
    query of words then takes a fraction of the time.
    """

    def __init__(
        self,
        folder: Path,
        config: TwoTowerConfig,
        tokenizer: Tokenizer,
        identity: Identity,
        device: str,
        text: Bag | TwoTowerModel,
    ) -> None:
        self._folder, self._config, self._tokenizer = folder, config, tokenizer
        self._identity, self._device = identity, device
        self._bag = text if isinstance(text, Bag) else None
        self._built = None if isinstance(text, Bag) else text
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls, folder: Path, name: str | None = None, device: str | None = None, revision: str = ""
    ) -> TwoTower:
        """The model in ``folder``, in float32 whatever its weights are stored as.

        Args:
            folder: holds config.json, model.safetensors and tokenizer.json.
            name: what the identity calls it; the absolute folder by default.
            device: as torch names it; the CPU by default.
            revision: what the identity calls this state of the weights.

        Raises:
            ModelError: a file is missing, cut short, or of another model.
        """
        config = TwoTowerConfig.load(folder / CONFIG)
        tokenizer = load_tokenizer(folder / TOKENIZER)
        data = _read_weights(folder, config)
        identity = Identity(
            name=name or str(folder.absolute()),
            family="two-tower",
            weights=_digest(data, tokenizer),
            revision=revision,
            dimension=config.dimension,
            preprocessing=_preprocessing(config),
        )
        device = device or "cpu"
        bag = config.text.backbone == "bag"
        if tokenizer.get_vocab_size() > config.text.vocabulary:
            raise ModelError(
                f"{folder / TOKENIZER} has {tokenizer.get_vocab_size()} tokens, {CONFIG} says "
                f"{config.text.vocabulary}; the files are of different models, so copy the model folder again"
            )
        text = _build_bag(data, folder, config) if bag else _build_model(data, folder, config, device)
        return cls(folder, config, tokenizer, identity, device, text)

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
        return self._config.image.size

    @property
    def preparation(self) -> Squeeze:
        """What :meth:`prepare_image` does, as a worker process is told of it."""
        return self._config.image.preparation

    def prepare_image(self, image: Image.Image) -> NDArray[np.uint8]:
        """The picture squeezed into the tower's square, (size, size, 3) uint8 RGB."""
        return self.preparation.prepare(image)

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of prepared pictures."""
        import torch  # late: a query of words to a bag needs none

        model = self._model()
        out = np.empty((len(prepared), self.dimension), np.float32)
        most = _CPU_PICTURES if self._device == "cpu" else _DEFAULT_BATCH
        if self._device == "cpu" and batch_size is not None:
            batch_size = min(batch_size, most)
        row = 0
        with torch.inference_mode():
            for batch, count in fixed_batches(prepared, pass_size(batch_size, self._device), most):
                pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).to(self._device)
                out[row : row + count] = model.encode_images(pixels)[:count].cpu().numpy()
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
        config = self._config.text
        ids = token_ids(self._tokenizer, config, texts) if texts else []
        buckets: dict[int, list[int]] = {}
        for row, tokens in enumerate(ids):
            buckets.setdefault(padded_length(len(tokens), config.context), []).append(row)
        # numpy's products gave equal rows equal bits in every place, at every size that was tried
        size = batch_size if self._bag is not None else pass_size(batch_size, self._device)
        for length, rows in buckets.items():
            for batch, count in fixed_batches(rows, size, _DEFAULT_BATCH):
                vectors = self._encode_ids(padded([ids[row] for row in batch], length))
                out[batch[:count]] = vectors[:count]
        return out

    def _encode_ids(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._bag is not None:
            return self._bag.encode(ids)
        import torch  # late: a bag needs none

        with torch.inference_mode():
            rows: NDArray[np.float32] = (
                self._model().encode_texts(torch.from_numpy(ids).to(self._device)).cpu().numpy()
            )
        return rows

    def _model(self) -> TwoTowerModel:
        """The torch model, built from the very weights that the identity names.

        Raises:
            ModelError: they have gone or changed since :meth:`load`.
        """
        with self._lock:
            if self._built is None:
                data = _read_weights(self._folder, self._config)
                if _digest(data, self._tokenizer) != self._identity.weights:
                    raise ModelError(
                        f"{self._folder / WEIGHTS} has changed while it was in use; run the command again"
                    )
                self._built = _build_model(data, self._folder, self._config, self._device)
            return self._built


def _preprocessing(config: TwoTowerConfig) -> str:
    """What the configuration adds to an identity, as canonical JSON."""
    image, text = asdict(config.image), asdict(config.text)
    facts: dict[str, object] = {"image": image, "text": text, "resize": "bicubic-antialiased"}
    # What came later only where it is used: collections are bound to identities that never heard of it.
    if not config.image.through:
        del image["through"]
    if not config.text.attention_layers:
        del text["attention_layers"], text["attention_width"]
    if config.image_parts:
        facts["image_parts"] = config.image_parts
    return json.dumps(facts, sort_keys=True)


def check_weights(folder: Path, config: TwoTowerConfig) -> None:
    """Refuse weights whose header lies, or that are fewer than the configuration calls for, before room is made.

    Raises:
        ModelError: they are.
    """
    held = numbers(read_shapes(folder / WEIGHTS))
    check_memory(folder, held)
    if held < config.least_numbers:
        reason = f"{held:,} numbers, and {CONFIG} calls for {config.least_numbers:,}"
        raise _foreign_weights(folder, ValueError(reason))


def _read_weights(folder: Path, config: TwoTowerConfig) -> bytes:
    check_weights(folder, config)
    try:
        return (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read {folder / WEIGHTS}: {error.strerror}; give a complete model folder to --model"
        ) from error


def _digest(data: bytes, tokenizer: Tokenizer) -> str:
    return hashlib.sha256(data + tokenizer.to_str().encode()).hexdigest()


def _build_bag(data: bytes, folder: Path, config: TwoTowerConfig) -> Bag:
    try:
        loaded = safetensors.numpy.load(data)
        weights = {
            name: value for name, value in loaded.items() if name.startswith("text")
        }  # a picture's can wait
        for step, name in _steps(weights):
            weights[name] = weights[name].astype(np.float32) * weights.pop(step).astype(np.float32)
        found = (*weights["text.vectors.weight"].shape, len(weights["text_projection.bias"]))
        expected = (config.text.vocabulary, config.text.width, config.dimension)
        if found != expected:
            raise ValueError(f"sizes {found}, and {CONFIG} says {expected}")
        return Bag(weights, config.text)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _foreign_weights(folder, error) from error


def _build_model(data: bytes, folder: Path, config: TwoTowerConfig, device: str) -> TwoTowerModel:
    import safetensors.torch  # late, with the model: torch and torchvision take seconds
    import torch

    from retrieval.encoders.two_tower.backbones import fold_norms
    from retrieval.encoders.two_tower.fused import make_fast
    from retrieval.encoders.two_tower.model import TwoTowerModel

    request_equal_bits()
    try:
        model = TwoTowerModel(config)
        model.load_state_dict(restored(safetensors.torch.load(data)))
    except (SafetensorError, RuntimeError, ValueError, MemoryError) as error:
        raise _foreign_weights(folder, error) from error
    model.eval()
    fold_norms(model.image)
    if torch.device(device).type == "cpu":
        make_fast(model.image)
    # channels_last is how pictures come: weights need no reordering every time
    return model.to(device).to(memory_format=torch.channels_last)


def restored(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as :func:`save` had them before it made them small: float32, bytes times their steps."""
    whole = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    for step, name in _steps(whole):
        whole[name] = whole[name].float() * whole.pop(step)
    return whole


def _steps(weights: Mapping[str, object]) -> list[tuple[str, str]]:
    """The names of all steps, each with that of the weight it belongs to; one that has none is not a step."""
    ends = [(name, name.removesuffix(_STEP) + _WEIGHT) for name in weights if name.endswith(_STEP)]
    return [(step, weight) for step, weight in ends if weight in weights]


def _foreign_weights(folder: Path, error: Exception) -> ModelError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"{folder / WEIGHTS} holds no weights of this model ({reason}); copy the model folder again"
    )


def save(
    folder: Path, model: TwoTowerModel, tokenizer: Tokenizer, half: bool = True, small: tuple[str, ...] = ()
) -> None:
    """Write a model folder.

    Args:
        folder: made if need be.
        model: in any mode, on any device.
        tokenizer: written beside it.
        half: weights are float16 (batch-norm statistics stay float32).
        small: beginnings of names. The weights so named that have rows (sub-words' vectors, kernels) are whole numbers
            from -127 to 127, times a step of their own a row.
    """
    import torch  # late: for training only
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, value in model.state_dict().items():
        rows = value.detach().cpu()
        if name.startswith(small) and name.endswith(_WEIGHT) and rows.dim() > 1:
            largest = rows.abs().amax(tuple(range(1, rows.dim())), keepdim=True)
            steps = (largest / 127).clamp_min(1e-6).half()  # far from float16's least
            state[name] = (rows / steps.float()).round().clamp(-127, 127).to(torch.int8)
            state[name.removesuffix(_WEIGHT) + _STEP] = steps
        else:
            narrow = half and rows.is_floating_point() and "running_" not in name
            state[name] = rows.to(torch.float16 if narrow else rows.dtype).contiguous().clone()
    save_file(state, folder / WEIGHTS)
    (folder / CONFIG).write_text(model.config.to_json(), encoding="utf-8")
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
