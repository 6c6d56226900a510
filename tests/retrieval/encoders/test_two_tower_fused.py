"""The image tower as it encodes, against the plain modules that it was trained as."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from retrieval.encoders.two_tower import ImageConfig
from retrieval.encoders.two_tower.backbones import ImageBackbone, build_backbone, fold_norms
from retrieval.encoders.two_tower.config import ImageBackbone as BackboneName
from retrieval.encoders.two_tower.fused import FusedConv, fusing_works, make_fast
from tests.retrieval.encoders.batch_norms import randomise


@pytest.fixture
def torch_without_the_operator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", raising=False)
    fusing_works.cache_clear()
    yield
    fusing_works.cache_clear()


def folded(name: BackboneName, size: int, tf_padding: bool, kept_from: int = 0) -> ImageBackbone:
    torch.manual_seed(0)
    backbone = build_backbone(ImageConfig(name, size, tf_padding=tf_padding, kept_from=kept_from)).eval()
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            randomise(module)
    fold_norms(backbone)
    return backbone


def assert_same_function(backbone: ImageBackbone, size: int) -> ImageBackbone:
    pixels = torch.randn(2, 3, size, size).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = backbone(pixels)
        fast = copy.deepcopy(backbone)
        make_fast(fast)
        torch.testing.assert_close(fast(pixels), expected, rtol=1e-4, atol=1e-5)
    return fast


def fused_in(backbone: ImageBackbone) -> int:
    return sum(isinstance(module, FusedConv) for module in backbone.modules())


@pytest.mark.parametrize("size", [64, 75])  # sides that halve evenly and sides that do not: padding differs
@pytest.mark.parametrize(
    ("name", "kept_from"), [("mobilenet_v2", 7), ("mobilenet_v2", 0), ("efficientnet_lite2", 3), ("tiny", 0)]
)
@pytest.mark.parametrize("tf_padding", [True, False])
def test_a_fast_tower_gives_the_features_of_the_plain_one(
    name: BackboneName, kept_from: int, size: int, tf_padding: bool
) -> None:
    assert_same_function(folded(name, size, tf_padding, kept_from), size)


@pytest.mark.parametrize("tf_padding", [True, False])
def test_a_resnet_whose_pooling_pads_as_torch_does_stays_upright(tf_padding: bool) -> None:
    assert_same_function(folded("resnet50", 64, tf_padding), 64)


def test_nothing_is_padded_by_a_copy_any_more() -> None:
    fast = assert_same_function(folded("mobilenet_v2", 64, tf_padding=True, kept_from=5), 64)

    assert not any(module._forward_pre_hooks for module in fast.modules())


@pytest.mark.skipif(not fusing_works(), reason="this torch has no oneDNN, or no operators that fuse")
def test_every_convolution_of_the_bundled_tower_is_fused_and_no_relu6_is_left() -> None:
    plain = folded("mobilenet_v2", 64, tf_padding=True, kept_from=5)
    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in plain.modules())

    fast = assert_same_function(plain, 64)

    assert fused_in(fast) == convolutions
    assert not any(isinstance(module, torch.nn.ReLU6) for module in fast.modules())


@pytest.mark.usefixtures("torch_without_the_operator")
def test_a_torch_that_cannot_fuse_gives_the_same_features() -> None:
    fast = assert_same_function(folded("mobilenet_v2", 64, tf_padding=True, kept_from=5), 64)

    assert fused_in(fast) == 0


def test_a_picture_has_the_same_bits_in_every_place_of_a_pass() -> None:
    fast = assert_same_function(folded("mobilenet_v2", 64, tf_padding=True, kept_from=5), 64)
    with torch.inference_mode():
        rows = fast(
            torch.randn(1, 3, 64, 64).expand(8, -1, -1, -1).contiguous(memory_format=torch.channels_last)
        )

    assert (rows == rows[:1]).all()
