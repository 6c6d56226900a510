"""Text towers: padded token ids in, one vector a text out; and the tokenizer that feeds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from retrieval.encoders.two_tower.config import TextConfig
from retrieval.errors import ModelError

PAD = 0
"""Token id of the padding."""

_BUCKETS = (8, 16, 32, 64, 128, 256, 512)


class BagTower(nn.Module):
    """Mean of sub-word vectors, then a residual MLP: (B, T) ids -> (B, width). Knows no word order."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.vectors = nn.Embedding(config.vocabulary, config.width, padding_idx=PAD)
        self.expand = nn.Linear(config.width, config.hidden)
        self.reduce = nn.Linear(config.hidden, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.dimension = config.width

    def forward(self, ids: Tensor) -> Tensor:
        """Text features, (B, dimension)."""
        mask = (ids != PAD).unsqueeze(-1)
        total = (self.vectors(ids) * mask).sum(1)
        # Dividing by the square root keeps a hint of the length and the scale steady.
        bag = total / mask.sum(1).clamp_min(1).sqrt()
        features: Tensor = self.norm(bag + self.reduce(nn.functional.gelu(self.expand(bag))))
        return features


class BertTower(nn.Module):
    """BERT (Devlin et al., 2019) as transformers has it, mean-pooled: (B, T) ids -> (B, width)."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel  # slow to import, and not needed by the bag

        self.bert = BertModel(
            BertConfig(
                vocab_size=config.vocabulary,
                hidden_size=config.width,
                intermediate_size=config.hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                max_position_embeddings=config.context,
                pad_token_id=PAD,
            ),
            add_pooling_layer=False,
        )
        self.dimension = config.width

    def forward(self, ids: Tensor) -> Tensor:
        """Text features, (B, dimension)."""
        mask = ids != PAD
        states = self.bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weights = mask.unsqueeze(-1)
        features: Tensor = (states * weights).sum(1) / weights.sum(1).clamp_min(1)
        return features


def build_text_tower(config: TextConfig) -> BagTower | BertTower:
    """The untrained text tower that ``config`` names."""
    return BagTower(config) if config.backbone == "bag" else BertTower(config)


def token_ids(tokenizer: Tokenizer, config: TextConfig, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, at least one and at most ``config.context``."""
    words = [text.lower() if config.lowercase else text for text in texts]
    return [encoding.ids[: config.context] or [1] for encoding in tokenizer.encode_batch(words)]


def padded_length(count: int, context: int) -> int:
    """Length that a text of ``count`` tokens is padded to: a function of that text alone."""
    return next((min(size, context) for size in _BUCKETS if size >= count), context)


def pad(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Token ids as an int64 tensor, (B, length)."""
    return torch.tensor([[*row, *([PAD] * (length - len(row)))] for row in rows], dtype=torch.long)


def train_tokenizer(texts: Sequence[str], vocabulary: int, lowercase: bool = True) -> Tokenizer:
    """A unigram tokenizer (Kudo, 2018) fitted to texts; id 0 pads, id 1 is what no piece covers."""
    from tokenizers import normalizers, pre_tokenizers
    from tokenizers.models import Unigram
    from tokenizers.trainers import UnigramTrainer

    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Metaspace()]
    )
    trainer = UnigramTrainer(
        vocab_size=vocabulary, special_tokens=["[PAD]", "[UNK]"], unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator((t.lower() if lowercase else t for t in texts), trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Read ``tokenizer.json``; raises ModelError where it is missing or damaged."""
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}; give a complete model folder to --model"
        ) from error
    except Exception as error:  # the library raises bare Exception for bad files
        raise ModelError(f"{path} is damaged ({error}); copy the model folder again") from error
