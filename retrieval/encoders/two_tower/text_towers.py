"""Text towers in torch: padded token ids in, one vector a text out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retrieval.encoders.two_tower.config import TextConfig
from retrieval.encoders.two_tower.text import PAD


class BagTower(nn.Module):
    """Mean of sub-word vectors, then a residual MLP: (B, T) ids -> (B, width). Knows no word order.

    For training; :mod:`retrieval.encoders.two_tower.bag` is the same in numpy.
    """

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
        # In four dimensions the library takes it as it is; one of two it drops where nothing in the batch is
        # padded, and another kernel then gives other last bits: a text's vector would depend on its neighbours.
        lowest = torch.finfo(self.bert.dtype).min
        added = torch.zeros(mask.shape, dtype=self.bert.dtype, device=ids.device).masked_fill(~mask, lowest)
        added = added[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
        states = self.bert(input_ids=ids, attention_mask=added).last_hidden_state
        weights = mask.unsqueeze(-1)
        features: Tensor = (states * weights).sum(1) / weights.sum(1).clamp_min(1)
        return features


def build_text_tower(config: TextConfig) -> BagTower | BertTower:
    """The untrained text tower that ``config`` names."""
    return BagTower(config) if config.backbone == "bag" else BertTower(config)
