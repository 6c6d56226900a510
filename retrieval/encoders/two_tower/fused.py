"""A fast image backbone on the CPU: the same function to float32 rounding, but it cannot be trained.

A tenth of EfficientNet-Lite2's time was spent outside its convolutions (``benchmarks/encoders/speed.md``). TensorFlow's
padding copied whole activations to add a row at the bottom; a vertically flipped image needs that row at the top,
where a convolution that pads both ends has it. And each ReLU6 read and wrote all that the convolution before it had
just written: oneDNN does both in one pass. Weights are laid out for it once, not at every call.

Fusing uses operators of torch that have no public name (its own compiler calls them). Where a torch lacks them, or
they do not compute what the plain modules do, the plain modules stay: the result is the same, but slower.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import Tensor, nn

from retrieval.encoders.two_tower.backbones import ImageBackbone

_log = logging.getLogger(__name__)


def make_fast(backbone: ImageBackbone) -> None:
    """Rebuild a backbone in evaluation mode, batch norms folded, in place."""
    backbone.flip_vertically()
    if not fusing_works():
        return
    for block in [module for module in backbone.modules() if isinstance(module, nn.Sequential)]:
        _fuse(block)


@cache
def fusing_works() -> bool:
    """Whether this torch has the operators, and they compute what a convolution and a ReLU6 do; tried once."""
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(8, 8, 3, 2, 1, groups=8).requires_grad_(False)
    conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
    pixels = (8 * torch.randn(2, 8, 9, 9, generator=generator)).contiguous(memory_format=torch.channels_last)
    try:
        fused = FusedConv(conv, clipped=True)(pixels)
    except (AttributeError, RuntimeError, TypeError) as error:  # NotImplementedError is a RuntimeError
        _log.info("convolutions are computed apart from what follows them, which is slower: %s", error)
        return False
    if not torch.allclose(fused, nn.functional.relu6(conv(pixels)), rtol=1e-5, atol=1e-5):
        _log.info(
            "convolutions are computed apart from what follows them, which is slower: fused they are wrong"
        )
        return False
    return True


class FusedConv(nn.Module):
    """A convolution, and ReLU6 if ``clipped``, in one pass: (B, C, H, W) float32 to (B, C', H', W') on the CPU."""

    def __init__(self, conv: nn.Conv2d, clipped: bool) -> None:
        super().__init__()
        assert isinstance(conv.padding, tuple)
        self._shape = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        weight = conv.weight.detach().contiguous(memory_format=torch.channels_last).to_mkldnn()
        self._weight: Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(weight, *self._shape)
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._after = ("hardtanh", [0.0, 6.0], "") if clipped else ("none", [], "")

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the convolution and ReLU6."""
        computed: Tensor = torch.ops.mkldnn._convolution_pointwise(
            pixels, self._weight, self._bias, *self._shape, *self._after
        )
        return computed


def _fuse(block: nn.Sequential) -> None:
    """Replace convolutions by fused ones, and each ReLU6 that they include by an identity."""
    for place, conv in enumerate(block):
        if not isinstance(conv, nn.Conv2d) or conv._forward_pre_hooks:
            continue
        after = place + 1
        while after < len(block) and isinstance(block[after], nn.Identity):
            after += 1
        clipped = after < len(block) and isinstance(block[after], nn.ReLU6)
        block[place] = FusedConv(conv, clipped)
        if clipped:
            block[after] = nn.Identity()
