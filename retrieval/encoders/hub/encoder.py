"""An encoder over a checkpoint of the hub's kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.encoders.base import Identity, fixed_batches
from retrieval.encoders.hub.checkpoint import load_model, open_checkpoint, weight_files
from retrieval.encoders.hub.family import Attention, Pictures
from retrieval.encoders.hub.forward import forward_faults_named
from retrieval.encoders.hub.tokens import Tokens
from retrieval.encoders.reproducible import pass_size, request_equal_bits
from retrieval.encoders.weights import weights_digest
from retrieval.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor
    from torch.nn import Module

    from retrieval.decoding.preparations import Preparation

DEFAULT_BATCH = 32


class HubEncoder:
    """Pictures and texts to unit rows through one checkpoint, from any number of threads."""

    def __init__(
        self,
        model: Module,
        pictures: Pictures,
        tokens: Tokens,
        attention: Attention,
        identity: Identity,
        device: str,
    ) -> None:
        self._model: Any = model
        self._pictures, self._tokens, self._attention = pictures, tokens, attention
        self._identity, self._device = identity, device

    @classmethod
    def load(
        cls, folder: Path, name: str | None = None, revision: str = "", device: str | None = None
    ) -> HubEncoder:
        """The encoder of a local folder, in float32.

        Args:
            folder: holds config.json, preprocessor_config.json, the tokenizer and safetensors.
            name: what the identity calls it; the absolute folder by default.
            revision: commit that the folder is a snapshot of, if it is one.
            device: as torch names it; the CPU by default.

        Raises:
            ModelError: a file is missing, damaged or refused, or the device cannot be had.
        """
        request_equal_bits()
        folder = folder.absolute()
        checkpoint, family = open_checkpoint(folder)
        files = weight_files(folder)
        pictures, tokens = family.pictures(checkpoint), family.tokens(checkpoint)
        facts = {"image": pictures.facts(), "text": tokens.facts()}
        identity = Identity(
            name=name or str(folder),
            family=family.name,
            weights=weights_digest(files),
            revision=revision,
            dimension=family.dimension(checkpoint),
            preprocessing=json.dumps(facts, sort_keys=True),
        )
        model = load_model(checkpoint, family, device or "cpu")
        return cls(model, pictures, tokens, family.attention, identity, device or "cpu")

    @property
    def identity(self) -> Identity:
        """What must be equal for vectors to be comparable."""
        return self._identity

    @property
    def image_size(self) -> int:
        """Short side, in pixels, that the preprocessing asks for."""
        return self._pictures.short_side

    @property
    def preparation(self) -> Preparation:
        """What :meth:`prepare_image` does, as a worker process is told of it."""
        return self._pictures.preparation

    def prepare_image(self, image: Image) -> NDArray[np.uint8]:
        """One picture of any mode as one uint8 array; pure, and safe in many threads at once."""
        return self._pictures.prepare(image)

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of what :meth:`prepare_image` gave (see :class:`Encoder`)."""
        import numpy as np

        out = np.zeros((len(prepared), self.identity.dimension), np.float32)
        start = 0
        size = pass_size(batch_size, self._device)
        for batch, count in fixed_batches(prepared, size, DEFAULT_BATCH):
            out[start : start + count] = self._image_rows(np.stack(batch))[:count]
            start += count
        return out

    def encode_images(self, images: Sequence[Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of PIL pictures of any mode (see :class:`Encoder`)."""
        return self.encode_prepared([self.prepare_image(image) for image in images], batch_size)

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of texts; those of one padded length go together."""
        import numpy as np

        out = np.zeros((len(texts), self.identity.dimension), np.float32)
        rows = self._tokens.encode(texts)
        lengths = [self._tokens.padded_length(row) for row in rows]
        size = pass_size(batch_size, self._device)
        for length in sorted(set(lengths)):
            members = [place for place, its in enumerate(lengths) if its == length]
            for batch, count in fixed_batches(members, size, DEFAULT_BATCH):
                ids, real = self._tokens.pad([rows[place] for place in batch], length)
                out[batch[:count]] = self._text_rows(ids, real)[:count]
        return out

    def _image_rows(self, stack: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), forward_faults_named(self.identity.name):
            inputs = self._pictures.inputs(torch.from_numpy(stack).to(self._device))
            return self._unit(self._model.get_image_features(**inputs).pooler_output)

    def _text_rows(self, ids: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), forward_faults_named(self.identity.name):
            inputs = {"input_ids": torch.from_numpy(ids).to(self._device)}
            if self._attention == "masked":
                # In four dimensions, because the library takes such a mask as it is. It drops one of two when
                # nothing in the batch is padded (_ignore_bidirectional_mask_sdpa); another kernel then gives
                # other last bits, and a row would depend on its neighbours. Added to the scores rather than
                # true and false: ALIGN's attention is not SDPA and adds whatever it gets.
                lowest = torch.finfo(torch.float32).min
                mask = torch.zeros(real.shape).masked_fill(torch.from_numpy(~real), lowest).to(self._device)
                inputs["attention_mask"] = mask[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
            return self._unit(self._model.get_text_features(**inputs).pooler_output)

    def _unit(self, features: Tensor) -> NDArray[np.float32]:
        """Rows divided by their norm, on the CPU.

        Raises:
            ModelError: a row is zero or not finite, which no sound checkpoint gives.
        """
        import torch

        rows: NDArray[np.float32] = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
        if rows.shape[1] != self.identity.dimension:
            raise ModelError(
                f"{self.identity.name} gives {rows.shape[1]} dimensions where its config.json says "
                f"{self.identity.dimension}; use another model"
            )
        lengths = (rows * rows).sum(axis=1)
        if not (abs(lengths - 1) < 1e-3).all():
            raise ModelError(
                f"{self.identity.name} gave a vector that is zero or not finite; its weights are damaged"
            )
        return rows
