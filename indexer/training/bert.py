"""A BERT checkpoint from a local folder as the text tower of a two-tower model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.text_towers import BertTower
from retrieval.encoders.two_tower.tokenization import PAD
from retrieval.errors import ModelError, TrainingError
from retrieval.hub.checkpoint import Checkpoint
from retrieval.hub.config_limits import CONFIG_BYTES, check_config
from retrieval.hub.library_folder import library_folder
from retrieval.hub.safetensors_header import numbers, read_shapes
from retrieval.hub.tokenizer_files import tokenizer_faults
from retrieval.json_files import read_object

CONTEXT = 64  # captions are short; longer positions would be carried along for nothing
_OLD_NAMES = {"gamma": "weight", "beta": "bias"}  # of layer norms, in files converted from TensorFlow


@dataclass(frozen=True, slots=True)
class BertWeights:
    """The contents of a folder: the tower's configuration, its tokenizer, and weights by the tower's names."""

    config: TextConfig
    tokenizer: Tokenizer
    state: dict[str, Tensor]

    def load_into(self, tower: BertTower) -> None:
        """Load these weights into a tower of this configuration.

        Raises:
            TrainingError: some are missing, or of other shapes.
        """
        try:
            tower.bert.load_state_dict(self.state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(f"--text-weights does not hold all of BERT's weights ({reason})") from error


def read_bert(folder: Path) -> BertWeights:
    """Read ``config.json``, the tokenizer and ``model.safetensors``.

    Raises:
        TrainingError: one is missing or damaged, or the model is not a BERT whose padding is token 0.
    """
    try:
        facts = read_object(folder / "config.json", CONFIG_BYTES)
        if facts.get("model_type") != "bert":
            raise TrainingError(f"{folder} holds {facts.get('model_type')} and not BERT; name another folder")
        check_config(folder / "config.json", facts)
        context = min(CONTEXT, int(facts["max_position_embeddings"]))
        config = TextConfig(
            "bert",
            int(facts["vocab_size"]),
            int(facts["hidden_size"]),
            int(facts["intermediate_size"]),
            int(facts["num_hidden_layers"]),
            int(facts["num_attention_heads"]),
            context,
            lowercase=False,  # the tokenizer does it, where the model wants it
        )
        held, needed = (
            numbers(read_shapes(folder / "model.safetensors")),
            TwoTowerConfig(1, ImageConfig(), config),
        )
        if held < needed.least_numbers:
            raise ValueError(f"its weights are fewer than its config.json calls for, {held:,} numbers")
        state = {
            _name(name): value.float() for name, value in load_file(folder / "model.safetensors").items()
        }
        tokenizer = _read_tokenizer(folder, facts)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, ModelError) as error:
        raise TrainingError(
            f"{folder} is not a BERT model folder ({error}); it needs config.json, model.safetensors and tokenizer.json"
        ) from error
    kept = {n: v for n, v in state.items() if n.startswith(("embeddings.", "encoder."))}
    kept.pop("embeddings.position_ids", None)
    positions = "embeddings.position_embeddings.weight"
    if positions in kept:
        kept[positions] = kept[positions][:context].clone()
    return BertWeights(config, tokenizer, kept)


def _name(name: str) -> str:
    stem, _, last = name.removeprefix("bert.").rpartition(".")
    return f"{stem}.{_OLD_NAMES.get(last, last)}" if stem.endswith("LayerNorm") else f"{stem}.{last}"


def _read_tokenizer(folder: Path, facts: dict[str, Any]) -> Tokenizer:
    from transformers import AutoTokenizer  # slow to import

    tokenizer_config = folder / "tokenizer_config.json"
    settings = read_object(tokenizer_config, CONFIG_BYTES) if tokenizer_config.exists() else {}
    checkpoint = Checkpoint(folder, facts, {}, settings)
    with library_folder(checkpoint, []) as private, tokenizer_faults(str(folder)):
        loaded = AutoTokenizer.from_pretrained(str(private), local_files_only=True, trust_remote_code=False)
    if loaded.pad_token_id != PAD:
        raise TrainingError(f"{folder} pads with token {loaded.pad_token_id}, and the text tower with {PAD}")
    tokenizer: Tokenizer = loaded.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
