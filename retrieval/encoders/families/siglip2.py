"""SigLIP 2 NaFlex (Tschannen et al. 2025, arXiv 2502.14786; ``transformers/models/siglip2``).

The checkpoints of SigLIP 2 with a fixed resolution say ``"model_type": "siglip"`` and are in :mod:`.siglip`;
those called *naflex* are these. Texts are the same. An image keeps its shape: it is resized so that it has
at most 256 patches of 16x16, each side a whole number of patches, and goes in as a list of patches with its
height and width in patches (``image_processing_pil_siglip2.py``, ``get_image_size_for_max_num_patches``).

A prepared image is (patches + 1, 16 * 16 * 3) uint8: the patches, black ones behind them, and one last row
that carries the height and the width. That row also keeps the library's attention mask from ever being all
true: it drops such a mask (``_ignore_bidirectional_mask_sdpa``) when no image of a batch has padding, and
another kernel would then give a row other last bits, depending on its neighbours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from retrieval.decoding.image_rule import Triple
from retrieval.decoding.preparations import Patches, Preparation
from retrieval.encoders.families.family import Family
from retrieval.encoders.families.siglip import siglip_tokens
from retrieval.errors import ModelError
from retrieval.hub.checkpoint import Checkpoint
from retrieval.hub.config_limits import whole_number
from retrieval.hub.processor_config import (
    processor_name,
    read_deviation,
    read_factor,
    read_filter,
    read_triple,
)

if TYPE_CHECKING:
    from torch import Tensor

_BILINEAR = 2
MOST_PATCHES = 4096  # four times what published processors allow


@dataclass(frozen=True, slots=True)
class NaflexInputs:
    """Images in their own shape, as patches.

    Attributes:
        patch: side of a patch, in pixels.
        patches: most patches of an image.
        resample: Pillow's number of the filter.
        scale: of 8-bit pixels, per channel.
        shift: added afterwards, per channel.
    """

    patch: int
    patches: int
    resample: int
    scale: Triple
    shift: Triple

    @property
    def preparation(self) -> Preparation:
        """See :class:`~retrieval.encoders.families.family.ImageInputs`."""
        return Patches(self.patch, self.patches, self.resample)

    def inputs(self, prepared: Tensor) -> dict[str, Tensor]:
        """``pixel_values`` (n, patches + 1, patch * patch * 3), their mask, and ``spatial_shapes`` (n, 2)."""
        import torch

        header = prepared[:, -1, :4].to(torch.int64)
        shapes = header[:, 0::2] + 256 * header[:, 1::2]
        places = torch.arange(prepared.shape[1], device=prepared.device)
        mask = places[None, :] < shapes.prod(dim=1, keepdim=True)
        repeat = self.patch * self.patch
        scale = prepared.new_tensor(self.scale, dtype=torch.float32).repeat(repeat)
        shift = prepared.new_tensor(self.shift, dtype=torch.float32).repeat(repeat)
        pixels = (prepared.to(torch.float32) * scale + shift) * mask[:, :, None]
        return {
            "pixel_values": pixels,
            "pixel_attention_mask": mask.to(torch.int64),
            "spatial_shapes": shapes,
        }

    def facts(self) -> dict[str, Any]:
        """Return the rule as JSON values."""
        return asdict(self)


def _images(checkpoint: Checkpoint) -> NaflexInputs:
    config = checkpoint.image_config
    name = processor_name(config) or "Siglip2ImageProcessor"
    if name != "Siglip2ImageProcessor":
        raise ModelError(f"{checkpoint.folder}: image processor {name} does not go with SigLIP 2 NaFlex")
    place = str(checkpoint.folder)
    factor = read_factor(config.get("rescale_factor") or 1 / 255, place)
    means = read_triple(config.get("image_mean") or [0.5] * 3, "image_mean", place)
    deviations = read_deviation(config.get("image_std") or [0.5] * 3, place)
    scale = [factor / deviation for deviation in deviations]
    shift = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
    resample = config.get("resample")
    side = config.get("patch_size") or checkpoint.count("vision_config", "patch_size", 16)
    return NaflexInputs(
        whole_number(side, "patch_size", place, 1, MOST_PATCHES),
        whole_number(config.get("max_num_patches") or 256, "max_num_patches", place, 1, MOST_PATCHES),
        _BILINEAR if resample is None else read_filter(resample, place),
        (scale[0], scale[1], scale[2]),
        (shift[0], shift[1], shift[2]),
    )


def _dimension(checkpoint: Checkpoint) -> int:
    return checkpoint.count("vision_config", "hidden_size", 768)


FAMILY = Family(
    name="siglip2-naflex",
    architecture="Siglip2Model",
    attention="unmasked",
    images=_images,
    tokens=siglip_tokens,
    dimension=_dimension,
)
