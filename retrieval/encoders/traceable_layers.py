"""Layers of an image tower in forms that give the same and that a converted graph computes faster, or at all.

The forms hold while a tower is traced. What they give is compared with what the layers give before a graph is kept
(:mod:`retrieval.encoders.runtimes.openvino_conversion`). For ViT-B/32 they leave out or save a tenth of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

_OF_A_LAYER = ("layer_norm1", "self_attn", "layer_norm2", "mlp")
_OF_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj", "head_dim", "scale")


@contextmanager
def traceable_layers(model: Any) -> Iterator[None]:
    """Have a model of transformers compute images with these forms while the block runs.

    - ALIGN averages a feature map through a window larger than the map, which no converter knows: its mean.
    - Patches that do not overlap are embedded by one product, and not by a convolution, which takes twice as long.
    - The last layer computes the class token alone where no other token counts for the vector.
    """
    tower = getattr(model, "vision_model", model)
    forms: dict[Any, Callable[..., Tensor]] = {}
    for module in tower.modules():
        if isinstance(module, torch.nn.AvgPool2d):
            forms[module] = _mean_of_map
        elif isinstance(module, torch.nn.Conv2d) and _embeds_patches(module):
            forms[module] = _product_of_patches(module)
    if (last := _layer_of_class_token(tower)) is not None:
        forms[last] = lambda hidden_states, *_, **__: _of_class_token(last, hidden_states)
    for module, form in forms.items():
        module.forward = form
    try:
        yield
    finally:
        for module in forms:
            del module.forward


def _mean_of_map(images: Tensor) -> Tensor:
    return images.mean((2, 3), keepdim=True)


def _embeds_patches(convolution: Any) -> bool:
    """Whether a convolution takes each pixel of colours once: its windows lie side by side."""
    side_by_side = convolution.kernel_size == convolution.stride and convolution.kernel_size != (1, 1)
    whole = convolution.groups == 1 and convolution.dilation == (1, 1)
    padded = convolution.padding in ((0, 0), "valid")
    return convolution.in_channels == 3 and side_by_side and whole and padded


def _product_of_patches(convolution: Any) -> Callable[[Tensor], Tensor]:
    """Make such a convolution, of (n, 3, height, width) to (n, out, rows, columns), one product.

    Pixels stay in the order of their rows, colours last, as they come from decoding: so they are copied once.
    """
    tall, wide = convolution.kernel_size
    # Here, before a trace begins: in it, a graph would turn the weights at each of its starts.
    weight = convolution.weight.detach().permute(0, 2, 3, 1).flatten(1)

    def embed(images: Tensor) -> Tensor:
        rows, columns = (
            int(side) // of_patch for side, of_patch in zip(images.shape[2:], (tall, wide), strict=True)
        )
        pixels = images[:, :, : rows * tall, : columns * wide].permute(0, 2, 3, 1)
        patches = pixels.reshape(-1, rows, tall, columns, wide * 3).transpose(2, 3)
        patches = patches.reshape(-1, rows * columns, weight.shape[1])
        embedded = linear(patches, weight, convolution.bias)
        return embedded.transpose(1, 2).reshape(-1, weight.shape[0], rows, columns)

    return embed


def _layer_of_class_token(tower: Any) -> Any:
    """Give the last layer of a pre-norm transformer whose vector is made of its class token alone; else None.

    SigLIP's is not: a head pools all tokens. The other tokens' states after the last layer are computed for nothing
    elsewhere; as keys and values, which are a sixth of a layer's products, they count.
    """
    layers = getattr(getattr(tower, "encoder", None), "layers", None)
    if not layers or hasattr(tower, "head") or not hasattr(tower, "post_layernorm"):
        return None
    layer = layers[-1]
    known = all(hasattr(layer, name) for name in _OF_A_LAYER)
    return layer if known and all(hasattr(layer.self_attn, name) for name in _OF_ATTENTION) else None


def _of_class_token(layer: Any, states: Tensor) -> Tensor:
    """Compute what a pre-norm layer gives for the first token, (n, 1, width), of states (n, tokens, width)."""
    attention, first = layer.self_attn, states[:, :1]
    normed = layer.layer_norm1(states)

    def in_heads(rows: Tensor) -> Tensor:
        return rows.view(*rows.shape[:2], -1, attention.head_dim).transpose(1, 2)

    attended = scaled_dot_product_attention(
        in_heads(attention.q_proj(normed[:, :1])),
        in_heads(attention.k_proj(normed)),
        in_heads(attention.v_proj(normed)),
        scale=attention.scale,
    )
    first = first + attention.out_proj(attended.transpose(1, 2).flatten(2))
    given: Tensor = first + layer.mlp(layer.layer_norm2(first))
    return given
