"""The towers of a hub checkpoint in torch, through transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrieval.encoders.families.family import Attention, ImageInputs
from retrieval.encoders.reproducible import rows_depend_on_place
from retrieval.hub.forward_errors import forward_errors_as_model_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.nn import Module

    from retrieval.types import Kind


class HubTowers:
    """A model of transformers on a device, as :class:`retrieval.encoders.base.Towers`.

    Args:
        model: in float32 and evaluation mode, on ``device``.
        images: makes the image tower's arguments.
        attention: how the text tower treats padding.
        name: of the model, for errors.
        device: as torch names it.
    """

    largest_image_pass: int | None = None
    image_passes_at_once = 1
    tolerance = 1e-5  # on a GPU; on the CPU it is the reference, but for passes of another size

    def __init__(
        self, model: Module, images: ImageInputs, attention: Attention, name: str, device: str
    ) -> None:
        self._model: Any = model
        self._images, self._attention = images, attention
        self._name, self._device = name, device

    def depends_on_place(self, kind: Kind) -> bool:
        """See :class:`retrieval.encoders.base.Towers`."""
        return rows_depend_on_place(self._device)

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        import torch

        with torch.inference_mode(), forward_errors_as_model_errors(self._name):
            inputs = self._images.inputs(torch.from_numpy(prepared).to(self._device))
            return _unit(self._model.get_image_features(**inputs).pooler_output)

    def text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        import torch

        with torch.inference_mode(), forward_errors_as_model_errors(self._name):
            inputs = {"input_ids": torch.from_numpy(ids).to(self._device)}
            if self._attention == "masked":
                inputs["attention_mask"] = attention_mask(torch.from_numpy(is_text)).to(self._device)
            return _unit(self._model.get_text_features(**inputs).pooler_output)


def attention_mask(is_text: Tensor) -> Tensor:
    """Make the mask, (B, 1, T, T) float32, that is added to attention's scores: 0 at text, the lowest at padding.

    In four dimensions, because the library takes such a mask as it is. It drops one of two when nothing in the batch
    is padded (_ignore_bidirectional_mask_sdpa); another kernel then gives other last bits, and a row would depend on
    its neighbours. Added to the scores rather than true and false: ALIGN's attention is not SDPA and adds any mask.
    """
    import torch

    lowest = torch.finfo(torch.float32).min
    mask = torch.zeros(is_text.shape).masked_fill(~is_text, lowest)
    return mask[:, None, None, :].expand(-1, 1, is_text.shape[1], -1)


def _unit(features: Tensor) -> NDArray[np.float32]:
    """Divide rows by their norm; bring them to the CPU."""
    import torch

    rows: NDArray[np.float32] = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return rows
