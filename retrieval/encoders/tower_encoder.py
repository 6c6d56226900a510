"""An encoder of prepared images and tokens, whatever computes its towers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.encoders.base import (
    AskedImageTowers,
    AskedTextTowers,
    Identity,
    SeveralAskedTextsTowers,
    SizedTowers,
    Towers,
    fixed_batches,
)
from retrieval.encoders.batches import INDEXING, Batches
from retrieval.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from retrieval.decoding.preparations import Preparation
    from retrieval.types import Kind

DEFAULT_BATCH = 32
_UNIT = 1e-3  # how far a squared length may be from 1


class Tokenization(Protocol):
    """Texts to rows of token ids; a row's padded length is a function of the row alone."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize each text, cut at the context length, not padded; at least one token each."""
        ...

    def padded_length(self, ids: Sequence[int]) -> int:
        """Return the length that a row of ids is padded to."""
        ...

    def pad(self, rows: Sequence[Sequence[int]], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Fill rows up to (n, length) ids; also give (n, length) bool, true where a token is the text's."""
        ...


class TowerEncoder:
    """Encode images and texts through the towers of one model, from any number of threads.

    Args:
        identity: what must be equal for vectors to be comparable.
        preparation: the rule by which images become the arrays that the image tower takes.
        tokenization: the rule by which texts become token ids.
        towers: compute unit rows of both.
    """

    def __init__(
        self, identity: Identity, preparation: Preparation, tokenization: Tokenization, towers: Towers
    ) -> None:
        self._identity, self._preparation = identity, preparation
        self.tokenization, self.towers = tokenization, towers

    @property
    def identity(self) -> Identity:
        """What must be equal for vectors to be comparable."""
        return self._identity

    @property
    def image_size(self) -> int:
        """Short side, in pixels, of the image tower's input."""
        return self._preparation.short_side

    @property
    def preparation(self) -> Preparation:
        """The rule that :meth:`prepare_image` applies; worker processes apply it elsewhere."""
        return self._preparation

    def prepare_image(self, image: Image) -> NDArray[np.uint8]:
        """Prepare one image of any mode as one uint8 array; pure, and safe in many threads at once."""
        return self._preparation.prepare(image)

    def indexing_batches(self) -> Batches:
        """See :class:`retrieval.encoders.base.SizedEncoder`."""
        return self.towers.indexing_batches() if isinstance(self.towers, SizedTowers) else INDEXING

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Encode prepared images, to (n, d) float32 unit rows (see :class:`retrieval.encoders.base.Encoder`)."""
        import numpy as np

        out = np.zeros((len(prepared), self.identity.dimension), np.float32)
        most = min(DEFAULT_BATCH, self.towers.largest_image_pass or DEFAULT_BATCH)
        passes = list(fixed_batches(prepared, self._pass_size("image", batch_size), most))
        start = 0
        for rows, (_, count) in zip(self._image_passes([batch for batch, _ in passes]), passes, strict=True):
            out[start : start + count] = self._checked(rows)[:count]
            start += count
        return out

    def _image_passes(
        self, batches: Sequence[Sequence[NDArray[np.uint8] | NDArray[np.float32]]]
    ) -> Iterator[NDArray[np.float32]]:
        """Compute the rows of batches, as many passes at once as the towers call for."""
        at_once = self.towers.image_passes_at_once if len(batches) > 1 else 1
        return image_passes(self.towers.image_rows, batches, at_once)

    def encode_images(self, images: Sequence[Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Encode PIL images, as the same pictures in files, to (n, d) float32 unit rows."""
        from retrieval.images.in_memory import upright_rgb  # late: Pillow, which texts do without

        return self.encode_prepared([self.prepare_image(upright_rgb(image)) for image in images], batch_size)

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        """Encode texts, to (n, d) float32 unit rows; those of one padded length go together."""
        import numpy as np

        out = np.zeros((len(texts), self.identity.dimension), np.float32)
        ids = self.tokenization.encode(texts) if texts else []
        lengths = [self.tokenization.padded_length(row) for row in ids]
        size = self._pass_size("text", batch_size)
        for length in sorted(set(lengths)):
            members = [place for place, its in enumerate(lengths) if its == length]
            for batch, count in fixed_batches(members, size, DEFAULT_BATCH):
                padded, is_text = self.tokenization.pad([ids[place] for place in batch], length)
                out[batch[:count]] = self._checked(self.towers.text_rows(padded, is_text))[:count]
        return out

    def encode_asked_text(self, text: str) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.AskedTextEncoder`."""
        if not isinstance(self.towers, AskedTextTowers):
            row: NDArray[np.float32] = self.encode_texts([text], batch_size=1)[0]
            return row
        (ids,) = self.tokenization.encode([text])
        padded, is_text = self.tokenization.pad([ids], self.tokenization.padded_length(ids))
        found: NDArray[np.float32] = self._checked(self.towers.asked_text_row(padded, is_text))[0]
        return found

    def encode_asked_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.SeveralAskedTextsEncoder`."""
        import numpy as np

        towers, out = self.towers, np.empty((len(texts), self.identity.dimension), np.float32)
        if len(texts) < 2 or not isinstance(towers, SeveralAskedTextsTowers):
            for place, text in enumerate(texts):
                out[place] = self.encode_asked_text(text)
            return out
        ids = self.tokenization.encode(texts)
        lengths = [self.tokenization.padded_length(row) for row in ids]
        for length in set(lengths):
            members = [place for place, its in enumerate(lengths) if its == length]
            padded, is_text = self.tokenization.pad([ids[place] for place in members], length)
            out[members] = self._checked(towers.asked_text_rows(padded, is_text))
        return out

    def encode_asked_image(self, prepared: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.AskedImageEncoder`."""
        if not isinstance(self.towers, AskedImageTowers):
            row: NDArray[np.float32] = self.encode_prepared([prepared], batch_size=1)[0]
            return row
        import numpy as np

        stacked = np.stack([prepared])  # a copy: what a worker has prepared cannot be written to
        found: NDArray[np.float32] = self._checked(self.towers.asked_image_row(stacked))[0]
        return found

    def _pass_size(self, kind: Kind, batch_size: int | None) -> int | None:
        """Return the rows of every pass that keeps the promise of a fixed ``batch_size``; None where there is none."""
        if batch_size is None:
            return None
        limit = self.towers.largest_image_pass
        if kind == "image" and limit is not None:
            batch_size = min(batch_size, limit)
        return 1 if batch_size > 1 and self.towers.depends_on_place(kind) else batch_size

    def _checked(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Check that a tower gave unit rows of the stated dimension.

        Raises:
            ModelError: it did not, which no sound checkpoint does.
        """
        name, dimension = self.identity.name, self.identity.dimension
        if rows.shape[1] != dimension:
            raise ModelError(
                f"{name} gives {rows.shape[1]} dimensions where its config.json says {dimension}; use another model"
            )
        if not (abs((rows * rows).sum(axis=1) - 1) < _UNIT).all():
            raise ModelError(f"{name} gave a vector that is zero or not finite; its weights are damaged")
        return rows


def image_passes(
    rows: Callable[[NDArray[Any]], NDArray[np.float32]],
    batches: Sequence[Sequence[NDArray[np.uint8] | NDArray[np.float32]]],
    at_once: int,
) -> Iterator[NDArray[np.float32]]:
    """Compute the rows of batches of prepared images, in their order, up to ``at_once`` passes at the same time.

    Args:
        rows: computes those of one pass, of its images stacked.
        batches: of the passes.
        at_once: >= 1; each pass runs in a thread of its own.
    """
    import numpy as np

    def one_pass(batch: Sequence[NDArray[np.uint8] | NDArray[np.float32]]) -> NDArray[np.float32]:
        return rows(np.stack(batch))

    threads = min(len(batches), at_once)
    if threads <= 1:
        yield from map(one_pass, batches)
        return
    with ThreadPoolExecutor(threads) as executor:
        yield from executor.map(one_pass, batches)
