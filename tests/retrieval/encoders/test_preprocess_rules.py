"""Our pixels against the library's PIL processors, and the configurations that are refused."""

from __future__ import annotations

import resource
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from retrieval.decoding.image_rule import ImageRule, to_rgb
from retrieval.decoding.preparations import patch_grid
from retrieval.encoders.families.siglip2 import NaflexInputs
from retrieval.errors import ModelError
from retrieval.hub.processor_config import read_image_rule


def noise(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width * 1009 + height)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))


def smooth(width: int, height: int) -> Image.Image:
    """Ten levels a pixel, up and down again: no overshoot, so that the order of the passes hardly matters."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.abs((rows * 10 + columns * 7 + shift) % 400 - 200) + 25 for shift in (0, 130, 260)]
    return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


def raw(processor: Any, image: Image.Image) -> NDArray[np.uint8]:
    """The library's resized and cropped pixels, (h, w, 3) uint8, before they are scaled."""
    found = processor(image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
    pixels: NDArray[np.uint8] = np.moveaxis(found, 0, -1)
    return pixels


def rule(config: dict[str, Any], default: str = "CLIPImageProcessor") -> ImageRule:
    return read_image_rule(config, default, "test")


@given(width=st.integers(1, 150), height=st.integers(1, 150), resample=st.sampled_from([2, 3]))
def test_short_side_and_centre_crop_equal_the_librarys_bit_for_bit(
    width: int, height: int, resample: int
) -> None:
    config = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "resample": resample}
    image = noise(width, height)

    ours = rule(config).prepare(image)

    assert np.array_equal(ours, raw(CLIPImageProcessorPil(**config), image))


@given(
    short=st.integers(1, 40),
    ratio=st.integers(33, 90),
    upright=st.booleans(),
    resample=st.sampled_from([2, 3]),
)
def test_a_strips_centre_differs_from_the_librarys_by_levels_only(
    short: int, ratio: int, upright: bool, resample: int
) -> None:
    config = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "resample": resample}
    image = smooth(short, short * ratio) if upright else smooth(short * ratio, short)

    ours = rule(config).prepare(image)

    off = np.abs(ours.astype(int) - raw(CLIPImageProcessorPil(**config), image).astype(int))
    assert off.max() <= 2  # a crop that is off by one pixel of the picture gives ten


@given(width=st.integers(1, 90), height=st.integers(1, 90), side=st.integers(3, 40), crop=st.integers(1, 60))
def test_crops_larger_and_smaller_than_the_picture_equal_the_librarys(
    width: int, height: int, side: int, crop: int
) -> None:
    config = {"size": {"height": side, "width": side + 3}, "crop_size": {"height": crop, "width": crop + 1}}
    image = noise(width, height)

    ours = rule(config | {"do_center_crop": True}).prepare(image)

    assert np.array_equal(ours, raw(CLIPImageProcessorPil(**config), image))


@given(width=st.integers(1, 90), height=st.integers(1, 90))
def test_exact_sizes_equal_the_librarys_bit_for_bit(width: int, height: int) -> None:
    config = {"size": {"height": 24, "width": 40}, "resample": 3}
    image = noise(width, height)

    assert np.array_equal(
        rule(config, "SiglipImageProcessor").prepare(image), raw(SiglipImageProcessorPil(**config), image)
    )


@pytest.mark.parametrize(
    ("config", "processor"),
    [
        ({}, CLIPImageProcessorPil),
        ({"image_processor_type": "SiglipImageProcessor"}, SiglipImageProcessorPil),
        ({"image_processor_type": "EfficientNetImageProcessor"}, EfficientNetImageProcessorPil),
        ({"do_normalize": False, "rescale_factor": 0.25}, CLIPImageProcessorPil),
        (
            {
                "image_processor_type": "EfficientNetImageProcessor",
                "do_center_crop": True,
                "do_normalize": False,
                "include_top": False,
                "rescale_offset": True,
                "rescale_factor": 1 / 127.5,
            },
            EfficientNetImageProcessorPil,
        ),
    ],
)
def test_scale_and_shift_equal_the_librarys_steps(config: dict[str, Any], processor: Any) -> None:
    image = noise(300, 310)
    kept = {key: value for key, value in config.items() if key != "image_processor_type"}
    ours = rule(config)

    pixels = ours.prepare(image).astype(np.float32)
    values = pixels * np.asarray(ours.scale, np.float32) + np.asarray(ours.shift, np.float32)

    theirs = np.moveaxis(processor(**kept)(image, return_tensors="np")["pixel_values"][0], 0, -1)
    assert values.shape == theirs.shape
    assert np.abs(values - theirs).max() < 1e-5


def test_a_long_strip_is_cropped_before_it_is_enlarged() -> None:
    ours = rule({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    prepared = ours.prepare(noise(30000, 2))

    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert prepared.shape == (224, 224, 3)
    assert grown_mb < 200  # the whole, enlarged, would be 2.2 GB


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I", "RGB"])
def test_every_mode_becomes_rgb_as_the_library_makes_it(mode: str) -> None:
    from transformers.image_transforms import convert_to_rgb

    image = noise(20, 12).convert("RGBA" if mode == "LA" else "RGB").convert(mode)

    assert np.array_equal(np.asarray(to_rgb(image)), convert_to_rgb(image, return_numpy=True))


@pytest.mark.parametrize(
    "config",
    [
        {"image_processor_type": "SegformerImageProcessor"},
        {"do_resize": False},
        {"do_pad": True, "pad_size": {"height": 64, "width": 64}},
        {"size": {"shortest_edge": 32}, "do_center_crop": False},
        {"size": {"shortest_edge": 32, "longest_edge": 64}},
        {"size": {"max_height": 3, "max_width": 4}},
        {"size": "large"},
    ],
)
def test_rules_without_a_fixed_size_or_that_are_unknown_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"^test: "):
        rule(config)


@given(width=st.integers(1, 3000), height=st.integers(1, 3000), patches=st.sampled_from([16, 256]))
def test_a_grid_of_patches_equals_the_librarys_and_fits(width: int, height: int, patches: int) -> None:
    from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

    rows, columns = patch_grid(height, width, 16, patches)

    assert (rows * 16, columns * 16) == get_image_size_for_max_num_patches(height, width, 16, patches)
    assert rows * columns <= patches


def test_a_naflex_picture_carries_its_grid_and_its_patches() -> None:
    pictures = NaflexInputs(4, 20, 2, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))

    prepared = pictures.preparation.prepare(Image.new("RGB", (12, 20), (1, 2, 3)))

    rows, columns = patch_grid(20, 12, 4, 20)
    assert prepared.shape == (21, 48)
    assert prepared[-1, :4].tolist() == [rows, 0, columns, 0]
    assert prepared[: rows * columns].reshape(-1, 3).tolist() == [[1, 2, 3]] * (rows * columns * 16)
    assert not prepared[rows * columns : -1].any()
