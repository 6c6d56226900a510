"""The towers of a hub checkpoint in torch, through transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retrieval.decoding.image_rule import ImageRule
from retrieval.encoders.families.family import Attention, ImageInputs
from retrieval.encoders.gpu_passes import GpuPasses, is_cuda
from retrieval.encoders.legrad import LegradExplainer, can_explain
from retrieval.encoders.reproducible import rows_depend_on_place
from retrieval.hub.forward_errors import forward_errors_as_model_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch import dtype as torch_dtype
    from torch.nn import Module

    from retrieval.encoders.batches import Batches
    from retrieval.encoders.relevance import ImageExplainer
    from retrieval.types import Kind


class HubTowers:
    """A model of transformers on a device, as :class:`retrieval.encoders.base.Towers`.

    Args:
        model: in float32 or bfloat16 and evaluation mode, on ``device``.
        images: makes the image tower's arguments.
        attention: how the text tower treats padding.
        name: of the model, for errors.
        device: as torch names it.
        load_again: gives the same towers in float32, for explanations, which change the model.
    """

    largest_image_pass: int | None = None
    image_passes_at_once = 1

    def __init__(
        self,
        model: Module,
        images: ImageInputs,
        attention: Attention,
        name: str,
        device: str,
        load_again: Callable[[], HubTowers] | None = None,
    ) -> None:
        self._model: Any = model
        self._explainer = _explainer(model, images, load_again)
        self._type = next(model.parameters()).dtype
        self._images, self._attention = images, attention
        self._name, self._device = name, device
        self._passes = GpuPasses(device, name)

    @property
    def tolerance(self) -> float:
        """See :class:`retrieval.encoders.base.Towers`."""
        return 1e-5 if self._type.itemsize == 4 else 0.05  # of an element, 0.01 was seen in bfloat16

    def depends_on_place(self, kind: Kind) -> bool:
        """See :class:`retrieval.encoders.base.Towers`."""
        return rows_depend_on_place(self._device, self._type)

    def indexing_batches(self) -> Batches:
        """See :class:`retrieval.encoders.base.SizedTowers`."""
        return self._passes.batches(self._encode_grey)

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        return self._passes.rows(self._image_pass, prepared)

    def text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        return self._passes.rows(self._text_pass, ids, is_text)

    def _image_pass(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), forward_errors_as_model_errors(self._name):
            rows: NDArray[np.float32] = self.image_vectors(to_device(prepared, self._device)).cpu().numpy()
        return rows

    def _text_pass(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), forward_errors_as_model_errors(self._name):
            on_device = (to_device(part, self._device) for part in (ids, is_text))
            rows: NDArray[np.float32] = self.text_vectors(*on_device).cpu().numpy()
        return rows

    def _encode_grey(self, count: int) -> NDArray[np.float32]:
        """Compute the rows of so many equal images."""
        import numpy as np
        from PIL import Image

        one = self._images.preparation.prepare(Image.new("RGB", (512, 512), (128, 128, 128)))
        return self.image_rows(np.stack([one]).repeat(count, 0))

    @property
    def model(self) -> Any:
        """The model of transformers."""
        return self._model

    def image_explainer(self) -> ImageExplainer | None:
        """See :class:`retrieval.encoders.relevance.ExplainingTowers`."""
        return self._explainer

    def image_inputs(self, prepared: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Give the arguments of the image tower, on the device, for prepared images, stacked."""
        return self._inputs(to_device(prepared, self._device))

    def image_vectors(self, prepared: Tensor) -> Tensor:
        """Compute unit rows, (n, d) float32, of prepared images on the device."""
        return _unit(self._model.get_image_features(**self._inputs(prepared)).pooler_output)

    def _inputs(self, prepared: Tensor) -> dict[str, Tensor]:
        return {
            name: value.to(self._type) if value.is_floating_point() else value
            for name, value in self._images.inputs(prepared).items()
        }

    def text_vectors(self, ids: Tensor, is_text: Tensor) -> Tensor:
        """Compute unit rows, (n, d) float32, of token ids on the device."""
        inputs = {"input_ids": ids}
        if self._attention == "masked":
            inputs["attention_mask"] = attention_mask(is_text, self._type)
        return _unit(self._model.get_text_features(**inputs).pooler_output)


def _explainer(
    model: Module, images: ImageInputs, load_again: Callable[[], HubTowers] | None
) -> LegradExplainer | None:
    """Give what explains a vision transformer whose images all have one size."""
    rule = images.preparation
    if load_again is None or not isinstance(rule, ImageRule):
        return None
    return LegradExplainer(rule, load_again) if can_explain(getattr(model, "vision_model", None)) else None


def to_device(array: NDArray[Any], device: str) -> Tensor:
    """Bring an array to a device; to a GPU from pinned memory, without waiting for the copy."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if is_cuda(device) else tensor.to(device)


def attention_mask(is_text: Tensor, dtype: torch_dtype | None = None) -> Tensor:
    """Make the mask, (B, 1, T, T), that is added to attention's scores: 0 at text, the lowest at padding.

    In four dimensions, because the library takes such a mask as it is. It drops one of two when nothing in the batch
    is padded (_ignore_bidirectional_mask_sdpa); another kernel then gives other last bits, and a row would depend on
    its neighbours. Added to the scores rather than true and false: ALIGN's attention is not SDPA and adds any mask.
    """
    import torch

    dtype = dtype or torch.float32
    mask = torch.zeros_like(is_text, dtype=dtype).masked_fill(~is_text, torch.finfo(dtype).min)
    return mask[:, None, None, :].expand(-1, 1, is_text.shape[1], -1)


def _unit(features: Tensor) -> Tensor:
    """Divide rows by their norm, in float32."""
    import torch

    return torch.nn.functional.normalize(features.float(), dim=-1)
