"""Where in an image its score with a query comes from, for vision transformers: LeGrad (Bousselham et al., ICCV 2025).

For each layer, the score is computed as if that layer were the last, and differentiated with respect to that layer's
attention maps. What is above zero, meant over heads and over the tokens that attend, and summed over layers, tells how
much each patch counts. Contributions do not add up to the score: a transformer is not linear in its patches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.decoding.image_rule import ImageRule
from retrieval.encoders.relevance import ImageRelevance, positive_shares

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.decoding.preparations import Preparation


class TransformersImages(Protocol):
    """An image tower of transformers that can be differentiated."""

    @property
    def model(self) -> Any:
        """The whole model, in evaluation mode."""
        ...

    def image_inputs(self, prepared: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Give the arguments of the image tower, on the device, for prepared images, stacked."""
        ...


class LegradExplainer:
    """Explain scores of a hub checkpoint's images in torch.

    Args:
        rule: prepares its images, all to one size.
        load: gives the towers, in float32; called at the first explanation. They are changed, and belong to this alone.
    """

    def __init__(self, rule: ImageRule, load: Callable[[], TransformersImages]) -> None:
        self._rule, self._load = rule, load
        self._towers: TransformersImages | None = None
        self._lock = threading.Lock()  # hooks are of the model: one explanation at a time

    @property
    def preparations(self) -> Sequence[Preparation]:
        """See :class:`retrieval.encoders.relevance.ImageExplainer`."""
        return (self._rule,)

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        """See :class:`retrieval.encoders.relevance.ImageExplainer`."""
        return self._rule.seen(width, height)

    def explain(self, prepared: Sequence[NDArray[np.uint8]], query: NDArray[np.float32]) -> ImageRelevance:
        """See :class:`retrieval.encoders.relevance.ImageExplainer`."""
        with self._lock:
            if self._towers is None:
                self._towers = self._load()
                self._towers.model.set_attn_implementation("eager")  # the one that gives its attention maps
            sums = _relevance(self._towers, prepared[0], query)
        return ImageRelevance(None, positive_shares(sums))


def can_explain(vision_model: Any) -> bool:
    """Whether an image tower of transformers has the layers that LeGrad differentiates."""
    layers = getattr(getattr(vision_model, "encoder", None), "layers", None)
    known = layers is not None and all(hasattr(layer, "self_attn") for layer in layers)
    return known and hasattr(vision_model, "post_layernorm")


def _relevance(
    towers: TransformersImages, prepared: NDArray[np.uint8], query: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Sum the layers' maps, (rows, columns)."""
    import torch

    with torch.enable_grad():
        inputs = towers.image_inputs(np.array(prepared)[None])
        pixels = inputs["pixel_values"].requires_grad_()
        vision = towers.model.vision_model
        with _recorded(vision.encoder.layers) as found:
            vision(**inputs)
        asked = torch.from_numpy(np.array(query)).to(pixels.device)
        patch = vision.config.patch_size
        rows, columns = pixels.shape[2] // patch, pixels.shape[3] // patch
        total = torch.zeros(rows * columns, device=pixels.device)
        for attention, state in found:
            score = (_vector(towers.model, state)[0] * asked).sum()
            (gradient,) = torch.autograd.grad(score, attention, retain_graph=True)
            counts = gradient[0].clamp(min=0).mean((0, 1))  # (tokens,) that are attended to
            total += counts[-rows * columns :]  # a class token comes first
    found_map: NDArray[np.float64] = total.detach().cpu().numpy().astype(np.float64).reshape(rows, columns)
    return found_map


def _vector(model: Any, state: Tensor) -> Tensor:
    """Compute the image's unit vector as if the layer with this output, (1, tokens, width), were the last."""
    import torch

    vision = model.vision_model
    head = getattr(vision, "head", None)
    if head is not None:  # SigLIP pools all tokens by attention
        pooled = head(vision.post_layernorm(state))
    else:
        pooled = model.visual_projection(vision.post_layernorm(state[:, 0]))
    return torch.nn.functional.normalize(pooled.float(), dim=-1)


@contextmanager
def _recorded(layers: Any) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Record each layer's attention map, (1, heads, tokens, tokens), and output while the block runs."""
    maps: list[Tensor] = []
    states: list[Tensor] = []
    found: list[tuple[Tensor, Tensor]] = []
    hooks = [
        *(layer.self_attn.register_forward_hook(lambda _, __, out: maps.append(out[1])) for layer in layers),
        *(
            layer.register_forward_hook(
                lambda _, __, out: states.append(out[0] if isinstance(out, tuple) else out)
            )
            for layer in layers
        ),
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
        found += zip(maps, states, strict=True)
