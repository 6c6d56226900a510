"""Text towers in torch: padded token ids in, one vector a text out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retrieval.encoders.two_tower.config import TextConfig
from retrieval.encoders.two_tower.tokenization import PAD


class AttentionLayer(nn.Module):
    """Pre-norm multi-head self-attention with a residual (Vaswani et al., 2017), without an MLP."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.attention_width)
        self.output = nn.Linear(config.attention_width, config.width)
        nn.init.zeros_(self.output.weight)  # so that the layer starts as the identity
        nn.init.zeros_(self.output.bias)
        self._heads = config.heads

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Compute (B, T, width) states; ``mask`` (B, 1, 1, T), 0 or the lowest number, is added to scores."""
        texts, length, _ = states.shape
        parts = self.query_key_value(self.norm(states)).view(texts, length, 3, self._heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, mask)
        after: Tensor = states + self.output(attended.transpose(1, 2).reshape(texts, length, -1))
        return after


class BagTower(nn.Module):
    """A bag of words: the mean of sub-word vectors, then a residual MLP: (B, T) ids -> (B, width).

    With self-attention layers the vectors first depend on their neighbours and positions; without any, word order
    does not count. For training; :mod:`retrieval.encoders.two_tower.numpy_bag` is the same in numpy.
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
        """Compute text features, (B, dimension)."""
        mask = (ids != PAD).unsqueeze(-1)
        vectors = self.vectors(ids)
        if self.places is not None:
            positioned = states = vectors + self.places.weight[: ids.shape[1]]
            for layer in self.attention:
                states = layer(states, _attention_mask(ids, states.dtype))
            vectors = vectors + (
                states - positioned
            )  # positions are input of the layers, not part of the bag
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
        """Compute text features, (B, dimension)."""
        # In four dimensions the library takes the mask as it is; it drops one of two where nothing in the batch is
        # padded, and another kernel then gives other last bits: a text's vector would depend on its neighbours.
        mask = _attention_mask(ids, self.bert.dtype).expand(-1, 1, ids.shape[1], -1)
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = (ids != PAD).unsqueeze(-1)
        features: Tensor = (states * weights).sum(1) / weights.sum(1).clamp_min(1)
        return features


def _attention_mask(ids: Tensor, dtype: torch.dtype) -> Tensor:
    """Make what is added to attention's scores, (B, 1, 1, T): 0 at sub-words, the lowest number at padding."""
    padding = (ids == PAD)[:, None, None, :]
    return torch.zeros(padding.shape, dtype=dtype, device=ids.device).masked_fill(
        padding, torch.finfo(dtype).min
    )


def build_text_tower(config: TextConfig) -> BagTower | BertTower:
    """Build the untrained text tower that ``config`` names."""
    return BagTower(config) if config.backbone == "bag" else BertTower(config)
