"""Image backbones: a batch of normalised images in, pooled features out.

EfficientNet-Lite2 and the TensorFlow padding follow the published checkpoints: no squeeze-excitation, ReLU6,
first and last stage not deepened, stem not widened (Tan & Le, 2019, and the EfficientNet-Lite note of 2020).
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import mobilenet_v2, resnet50
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.ops import SqueezeExcitation

from retrieval.encoders.two_tower.config import ImageConfig
from retrieval.errors import ModelError

_LITE2_STAGES = (
    (1, 3, 1, 32, 16, 1),  # expansion, kernel, stride, channels in, channels out, layers
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


class ImageBackbone(nn.Module):
    """Convolutional stages in order, then the mean over the image: (B, 3, H, W) -> (B, features).

    With ``kept_from`` a copy of the stages from there on gives as many features again.
    """

    def __init__(self, stages: nn.Sequential, features: int, kept_from: int = 0) -> None:
        super().__init__()
        self.features = stages
        self.kept = copy.deepcopy(stages[kept_from:]) if kept_from else None  # under the same numbers
        self.dimension = 2 * features if kept_from else features
        self._kept_from = kept_from
        self._flipped = False

    def flip_vertically(self) -> None:
        """Flip images and kernels vertically from now on, so that TensorFlow's padding needs no copy.

        TensorFlow pads stride-2 convolutions at the bottom, which copies the whole input. Flipped, that row is at the
        top, where ordinary padding has it: no kernel of stride 2 reaches what that adds at the other end. The function
        stays the same. A backbone with a strided layer without that padding stays as it is.
        """
        strided = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d)]
        strided = [m for m in strided if m.stride not in (1, (1, 1))]
        if not all(module._forward_pre_hooks for module in strided):
            return
        for conv in [module for module in self.modules() if isinstance(module, nn.Conv2d)]:
            with torch.no_grad():
                conv.weight.copy_(conv.weight.flip(2))
            if conv._forward_pre_hooks:
                assert isinstance(conv.padding, tuple)
                conv._forward_pre_hooks.clear()
                conv.padding = ((conv.kernel_size[0] - 1) // 2, conv.padding[1])
        self._flipped = True

    def maps(self, pixels: Tensor) -> list[Tensor]:
        """Compute the features of each place, (B, features, h, w); the kept ones second."""
        if self._flipped:
            pixels = pixels.flip(2)
        if self.kept is None:
            return [self.features(pixels)]
        shared = self.features[: self._kept_from](pixels)
        return [stages(shared) for stages in (self.features[self._kept_from :], self.kept)]

    def places(self, pixels: Tensor) -> Tensor:
        """Compute the features of each place, (B, h, w, dimension), the upper row first."""
        joined = torch.cat(self.maps(pixels), 1)
        return (joined.flip(2) if self._flipped else joined).permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute pooled features, (B, dimension); the kept ones last."""
        pooled = [one.mean((2, 3)) for one in self.maps(pixels)]
        return torch.cat(pooled, 1) if len(pooled) > 1 else pooled[0]


def build_backbone(config: ImageConfig) -> ImageBackbone:
    """Build the untrained backbone that ``config`` names."""
    if config.backbone == "resnet50":
        # Each block begins as the identity (Goyal et al., 2017, section 5.1); weights that are loaded replace this.
        net = resnet50(weights=None, zero_init_residual=True)
        stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        stages, features = nn.Sequential(stem, net.layer1, net.layer2, net.layer3, net.layer4), 2048
    elif config.backbone == "mobilenet_v2":
        stages, features = mobilenet_v2(weights=None).features, 1280
    elif config.backbone == "efficientnet_lite2":
        stages, features = _efficientnet_lite2().features, 1280
    else:
        stages = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
        features = 32
    if not 0 <= config.kept_from < len(stages):
        raise ModelError(
            f"an image tower of {len(stages)} stages cannot keep those from {config.kept_from} on; give a model "
            "folder with its own config.json"
        )
    backbone = ImageBackbone(stages, features, config.kept_from)
    if config.tf_padding:
        _pad_bottom(backbone)
    return backbone


def torchvision_state(config: ImageConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a classifier's torchvision ``state_dict`` to this module's names, as float32, without its head."""
    if config.backbone == "resnet50":
        places = {"conv1": "0.0", "bn1": "0.1", **{f"layer{i}": str(i) for i in range(1, 5)}}
        renamed = {}
        for name, value in state.items():
            first, _, rest = name.partition(".")
            if first in places:
                renamed[f"features.{places[first]}.{rest}"] = value
    else:
        renamed = {name: value for name, value in state.items() if name.startswith("features.")}
    if config.kept_from:
        for name, value in list(renamed.items()):
            _, stage, rest = name.split(".", 2)
            if int(stage) >= config.kept_from:
                renamed[f"kept.{stage}.{rest}"] = value
    return {n: v.float() if v.is_floating_point() else v for n, v in renamed.items()}


def fold_norms(backbone: nn.Module) -> None:
    """Fold each batch norm, as it computes in evaluation, into the convolution before it.

    The same function to float32 rounding, 1.2 times as fast to compute and 1.3 times to train (MobileNetV2, two cores).
    """
    for block in [module for module in backbone.modules() if isinstance(module, nn.Sequential)]:
        for place in range(len(block) - 1):
            conv, norm = block[place], block[place + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(conv.eval(), norm.eval())
                fused._forward_pre_hooks = conv._forward_pre_hooks  # TensorFlow's padding
                block[place], block[place + 1] = fused, nn.Identity()


def _efficientnet_lite2() -> Any:
    setting = []
    for stage, (expand, kernel, stride, channels_in, channels_out, layers) in enumerate(_LITE2_STAGES):
        block = MBConvConfig(
            expand, kernel, stride, channels_in, channels_out, layers, width_mult=1.1, depth_mult=1.2
        )
        if stage in (0, 6):
            block.num_layers = layers
        if stage == 0:
            block.input_channels = 32
        setting.append(block)
    norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
    net = EfficientNet(setting, dropout=0.0, last_channel=1280, norm_layer=norm)
    _make_lite(net)
    return net


def _make_lite(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, SqueezeExcitation):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.SiLU):
            setattr(module, name, nn.ReLU6(inplace=True))
        else:
            _make_lite(child)


def _pad_bottom(model: nn.Module) -> None:
    for conv in model.modules():
        if isinstance(conv, nn.Conv2d) and conv.stride == (2, 2):
            kernel, padding = conv.kernel_size[0], conv.padding
            assert isinstance(padding, tuple)
            conv.padding = (0, padding[1])
            conv.register_forward_pre_hook(partial(_pad_input, kernel=kernel))


def _pad_input(module: nn.Module, args: tuple[Tensor, ...], kernel: int) -> tuple[Tensor]:
    total = kernel - 2 if args[0].shape[-2] % 2 == 0 else kernel - 1
    return (torch.nn.functional.pad(args[0], (0, 0, total // 2, total - total // 2)),)
