"""The encoder of a writer of single items, loaded when something has to be encoded and not before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.pipeline.bound_encoder import bound_encoder
from indexer.store.writer import Writer
from retrieval.errors import UsageError
from retrieval.identity import Identity
from retrieval.unit_rows import first_not_unit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from retrieval.encoders.base import Encoder


class LazyEncoder:
    """An encoder by name, folder, identity or itself.

    Args:
        writer: of the collection.
        model: as :func:`indexer.open_writer` takes it.

    Attributes:
        bound: identity that the collection is bound to; None before its first vector.

    Raises:
        IdentityMismatch: the collection is bound to another encoder.
    """

    def __init__(self, writer: Writer, model: str | Path | Encoder | Identity) -> None:
        self._writer, self._model = writer, model
        self._encoder = None if isinstance(model, (str, Path, Identity)) else model
        given = model if isinstance(model, Identity) else self._encoder and self._encoder.identity
        if given:
            writer.check_identity(given)
        self.bound = writer.identity

    @property
    def identity(self) -> Identity:
        """The identity that vectors are written under; a model is loaded if nothing else tells it."""
        if isinstance(self._model, Identity):
            return self._model
        by_name = self._encoder is None and self.bound is not None
        if by_name and self.bound is not None and str(self._model) in ("auto", self.bound.name):
            return self.bound  # what goes by its name is loaded, and checked, only to encode something
        return self.load().identity

    def load(self) -> Encoder:
        """Give the encoder, loaded.

        Raises:
            UsageError: only its identity is known.
            ModelError: it cannot be loaded.
            IdentityMismatch: it is not the one that the collection is bound to.
        """
        if self._encoder is None:
            if isinstance(self._model, Identity):
                raise UsageError(
                    "this writer was opened with an identity instead of an encoder, so it cannot encode; "
                    "pass vector= with every item"
                )
            self._encoder = bound_encoder(self._writer, self._model)
        return self._encoder

    def checked_row(self, vector: ArrayLike) -> NDArray[np.float32]:
        """Give a caller's vector as a (d,) float32 unit row.

        Raises:
            UsageError: it is not one.
        """
        try:
            row = np.array(vector, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the vector is not an array of numbers ({error}); give (d,) floats") from error
        dimension = self.identity.dimension
        if row.shape != (dimension,):
            raise UsageError(f"the vector has shape {row.shape}, and the collection's have ({dimension},)")
        if wrong := first_not_unit(row[None]):
            raise UsageError(
                f"the vector is not a finite unit vector (its length is {wrong[1]}); divide the vector by its length"
            )
        return row
