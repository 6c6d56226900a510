"""The folder of a two-tower model: which files it holds, how they are read, written and digested.

``config.json``, ``model.safetensors`` and ``tokenizer.json``; nothing else is needed or run. Weights are stored as
float32 or float16, or as int8 with a quantisation scale a row; they are float32 once they are read.
"""

from __future__ import annotations

import functools
import hashlib
import json
import mmap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.encoders.two_tower.weight_names import SCALE, WEIGHT, file_name, module_name, scales
from retrieval.errors import ModelError, first_line
from retrieval.hub.safetensors_header import FileData, check_memory, numbers, read_shapes
from retrieval.hub.tokenizer_files import load_tokenizer
from retrieval.hub.weights_digest import remembered_digest
from retrieval.identity import Identity

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from retrieval.encoders.two_tower.model import TwoTowerModel

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"


@dataclass(frozen=True, eq=False)  # a cached property needs a dictionary
class TwoTowerFolder:
    """A two-tower folder whose files fit together.

    Attributes:
        path: of the folder.
        config: ``config.json``.
        digest: sha256 (hex) of the weights and the tokenizer.
        loaded: the tokenizer, where computing the digest has loaded it.
    """

    path: Path
    config: TwoTowerConfig
    digest: str
    loaded: Tokenizer | None

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """``tokenizer.json``, the very one that the digest names; images do without its 13 MB.

        Raises:
            ModelError: it has gone or changed since :func:`open_folder`.
        """
        if self.loaded is not None:
            return self.loaded
        tokenizer = _load_tokenizer(self.path, self.config)
        if _digest_and_tokenizer(self.path, self.config, None)[0] != self.digest:
            raise _changed(self.path / TOKENIZER)
        return tokenizer

    def read_again(self) -> bytes:
        """Read the very weights that the digest names.

        Raises:
            ModelError: they have gone or changed since :func:`open_folder`.
        """
        data = _read_weights(self.path, self.config)
        if _digest(data, self.tokenizer) != self.digest:
            raise _changed(self.path / WEIGHTS)
        return data

    def identity(self, name: str | None, revision: str) -> Identity:
        """Describe what must be equal for vectors of this model to be comparable.

        Args:
            name: what the identity calls the model; None for the absolute folder.
            revision: what it calls this state of the weights.
        """
        return Identity(
            name=name or str(self.path.absolute()),
            family="two-tower",
            weights=self.digest,
            revision=revision,
            dimension=self.config.dimension,
            preprocessing=_preprocessing(self.config),
        )


def open_folder(path: Path) -> tuple[TwoTowerFolder, FileData]:
    """Read a folder; return it with the bytes of its weights, mapped, because one tower needs a part of them.

    The digest comes from the user's cache where the files are as they were when it was computed; then the tokenizer,
    which was checked to compute it, is not loaded before a text needs it.

    Raises:
        ModelError: a file is missing, cut short, or of another model.
    """
    config = TwoTowerConfig.load(path / CONFIG)
    data = _map_weights(path, config)
    digest, tokenizer = _digest_and_tokenizer(path, config, data)
    return TwoTowerFolder(path, config, digest, tokenizer), data


class WeightBytes:
    """The bytes of a model's weights: at the first call those that came with the folder, and then read again."""

    def __init__(self, folder: TwoTowerFolder, data: FileData) -> None:
        self._folder = folder
        self._data: FileData | None = data  # until something is built of them

    def take(self) -> FileData:
        """Give them.

        Raises:
            ModelError: they have gone or changed since they were first read.
        """
        data, self._data = self._data, None
        return self._folder.read_again() if data is None or was_cut(data) else data


def was_cut(data: FileData) -> bool:
    """Whether a mapped file is shorter now than it was: to read it to its end would kill the process."""
    return isinstance(data, mmap.mmap) and data.size() < len(data)


def check_weights(folder: Path, config: TwoTowerConfig) -> None:
    """Refuse weights whose header lies, or that are fewer than the configuration calls for, before they are read.

    Raises:
        ModelError: they are.
    """
    held = numbers(read_shapes(folder / WEIGHTS))
    check_memory(folder, held)
    if held < config.least_numbers:
        reason = f"{held:,} numbers, and {CONFIG} calls for {config.least_numbers:,}"
        raise foreign_weights(folder, ValueError(reason))


def foreign_weights(folder: Path, error: Exception) -> ModelError:
    """Make the error of weights that do not fit the model."""
    reason = first_line(error)
    return ModelError(
        f"{folder / WEIGHTS} holds no weights of this model ({reason}); copy the model folder again"
    )


def module_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the tensors of a file to a module's ``state_dict``: float32, int8 values times their scales.

    Raises:
        ValueError: scales have a shape that is not that of their weight's rows.
    """
    whole = {
        module_name(name): value.float() if value.is_floating_point() else value
        for name, value in state.items()
    }
    for scale, weight in scales({name: tuple(value.shape) for name, value in whole.items()}):
        whole[weight] = whole[weight].float() * whole.pop(scale)
    return whole


def save(
    folder: Path,
    model: TwoTowerModel,
    tokenizer: Tokenizer,
    half: bool = True,
    quantised: tuple[str, ...] = (),
) -> None:
    """Write a model folder.

    Args:
        folder: made if need be.
        model: in any mode, on any device.
        tokenizer: written beside it.
        half: weights are float16 (batch-norm statistics stay float32).
        quantised: beginnings of names. The weights so named that have rows (sub-words' vectors, kernels) are int8
            from -127 to 127, with a quantisation scale a row.
    """
    from safetensors.torch import save_file  # late: for training only

    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu()
        if name.startswith(quantised) and name.endswith(WEIGHT) and tensor.dim() > 1:
            state |= _quantise(file_name(name), tensor)
        else:
            state[file_name(name)] = _narrow(tensor, half and "running_" not in name)
    save_file(state, folder / WEIGHTS)
    (folder / CONFIG).write_text(model.config.to_json(), encoding="utf-8")
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")


def _quantise(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Round each row of a weight to int8, symmetrically, and give its scales, float16, beside it."""
    import torch

    largest = tensor.abs().amax(tuple(range(1, tensor.dim())), keepdim=True)
    # 1e-6 is far above float16's smallest number.
    scales = (largest / 127).clamp_min(1e-6).half()
    values = (tensor / scales.float()).round().clamp(-127, 127).to(torch.int8)
    return {name: values, name.removesuffix(WEIGHT) + SCALE: scales}


def _narrow(tensor: Tensor, half: bool) -> Tensor:
    import torch

    dtype = torch.float16 if half and tensor.is_floating_point() else tensor.dtype
    return tensor.to(dtype).contiguous().clone()


def _preprocessing(config: TwoTowerConfig) -> str:
    """Give what the configuration adds to an identity, as canonical JSON."""
    image, text = asdict(config.image), asdict(config.text)
    facts: dict[str, object] = {"image": image, "text": text, "resize": "bicubic-antialiased"}
    # Later fields stand there only where they are used: collections are bound to identities without them.
    if not config.image.through:
        del image["through"]
    if not config.text.attention_layers:
        del text["attention_layers"], text["attention_width"]
    if config.image_parts:
        facts["image_parts"] = config.image_parts
    return json.dumps(facts, sort_keys=True)


def _read_weights(folder: Path, config: TwoTowerConfig) -> bytes:
    check_weights(folder, config)
    try:
        return (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise _unreadable(folder, error) from error


def _map_weights(folder: Path, config: TwoTowerConfig) -> mmap.mmap:
    check_weights(folder, config)
    try:
        with (folder / WEIGHTS).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: OSError) -> ModelError:
    file = error.filename or folder / WEIGHTS
    return ModelError(f"cannot read {file}: {error.strerror}; give a complete model folder to --model")


def _load_tokenizer(folder: Path, config: TwoTowerConfig) -> Tokenizer:
    """Load a tokenizer that has no more tokens than the model has vectors.

    Raises:
        ModelError: it has more, or the file is missing or damaged.
    """
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if tokenizer.get_vocab_size() > config.text.vocabulary:
        raise ModelError(
            f"{folder / TOKENIZER} has {tokenizer.get_vocab_size()} tokens, {CONFIG} says "
            f"{config.text.vocabulary}; the files are of different models, so copy the model folder again"
        )
    return tokenizer


def _changed(file: Path) -> ModelError:
    return ModelError(f"{file} has changed while it was in use; run the command again")


def _digest_and_tokenizer(
    folder: Path, config: TwoTowerConfig, data: FileData | None
) -> tuple[str, Tokenizer | None]:
    """Give the digest of the weights and the tokenizer, from the cache if neither has changed.

    Also give the tokenizer, if it had to be loaded.

    Args:
        folder: of the model.
        config: of the model.
        data: of the weights; None for those that the folder holds now.
    """
    loaded: list[Tokenizer] = []

    def compute() -> str:
        loaded.append(_load_tokenizer(folder, config))
        return _digest(_read_weights(folder, config) if data is None else data, loaded[0])

    # As the installed tokenizers package writes a tokenizer; importing it for its version takes 10 ms.
    package = find_spec("tokenizers")
    assert package is not None, "vlsearch needs tokenizers"
    files = [folder / WEIGHTS, folder / TOKENIZER, Path(str(package.origin))]
    rule = f"two-tower weights, and the tokenizer as tokenizers writes it, of at most {config.text.vocabulary} tokens"
    try:
        return remembered_digest(files, rule, compute), next(iter(loaded), None)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _digest(data: FileData, tokenizer: Tokenizer) -> str:
    digest = hashlib.sha256(data)
    digest.update(tokenizer.to_str().encode())
    return digest.hexdigest()
