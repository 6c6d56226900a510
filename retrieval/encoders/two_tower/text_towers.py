"""Text towers in torch: padded token ids in, one vector a text out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retrieval.encoders.two_tower.config import TextConfig
from retrieval.encoders.two_tower.text import PAD


class AttentionLayer(nn.Module):
    """What each sub-word takes from the others: pre-norm multi-head attention (Vaswani et al., 2017), no MLP."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.take_in = nn.Linear(config.width, 3 * config.attention_width)
        self.give_out = nn.Linear(config.attention_width, config.width)
        nn.init.zeros_(self.give_out.weight)  # starts as a plain bag
        nn.init.zeros_(self.give_out.bias)
        self._heads = config.heads

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) states after it; ``mask`` (B, 1, 1, T) is added to scores: 0 at sub-words, else the lowest."""
        texts, length, _ = states.shape
        parts = self.take_in(self.norm(states)).view(texts, length, 3, self._heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, mask)
        after: Tensor = states + self.give_out(seen.transpose(1, 2).reshape(texts, length, -1))
        return after


class BagTower(nn.Module):
    """Mean of sub-word vectors, then a residual MLP: (B, T) ids -> (B, width).

    With attention layers the vectors first take in what they learn from their neighbours and places; without any it
    knows no word order. For training; :mod:`retrieval.encoders.two_tower.bag` is the same in numpy.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.vectors = nn.Embedding(config.vocabulary, config.width, padding_idx=PAD)
        self.attention = nn.ModuleList([AttentionLayer(config) for _ in range(config.attention_layers)])
        self.places = nn.Embedding(config.context, config.width) if config.attention_layers else None
        self.expand = nn.Linear(config.width, config.hidden)
        self.reduce = nn.Linear(config.hidden, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.dimension = config.width

    def forward(self, ids: Tensor) -> Tensor:
        """Text features, (B, dimension)."""
        mask = (ids != PAD).unsqueeze(-1)
        vectors = self.vectors(ids)
        if self.places is not None:
            placed = states = vectors + self.places.weight[: ids.shape[1]]
            for layer in self.attention:
                states = layer(states, _added(ids, states.dtype))
            vectors = vectors + (states - placed)  # places are for the layers to see, not for the bag to hold
        total = (vectors * mask).sum(1)
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
        # In four dimensions the library takes it as it is; one of two it drops where nothing in the batch is
        # padded, and another kernel then gives other last bits: a text's vector would depend on its neighbours.
        added = _added(ids, self.bert.dtype).expand(-1, 1, ids.shape[1], -1)
        states = self.bert(input_ids=ids, attention_mask=added).last_hidden_state
        weights = (ids != PAD).unsqueeze(-1)
        features: Tensor = (states * weights).sum(1) / weights.sum(1).clamp_min(1)
        return features


def _added(ids: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to attention's scores, (B, 1, 1, T): 0 at sub-words, the lowest number at padding."""
    padding = (ids == PAD)[:, None, None, :]
    return torch.zeros(padding.shape, dtype=dtype, device=ids.device).masked_fill(
        padding, torch.finfo(dtype).min
    )


def build_text_tower(config: TextConfig) -> BagTower | BertTower:
    """The untrained text tower that ``config`` names."""
    return BagTower(config) if config.backbone == "bag" else BertTower(config)
