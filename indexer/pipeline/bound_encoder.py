"""Which encoder a writer encodes with: the one asked for, if the collection is bound to no other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.store.writer import Writer
from retrieval.encoders.registry import load_bound_encoder, load_encoder
from retrieval.identity import Identity

if TYPE_CHECKING:
    from indexer.store.tuning_queries import Encode
    from retrieval.encoders.base import Encoder


def bound_encoder(writer: Writer, model: str | Path | Encoder) -> Encoder:
    """Load the encoder asked for, or with ``auto`` the one that the collection is bound to.

    Raises:
        IdentityMismatch: the collection is bound to another one.
    """
    bound = writer.identity
    if not isinstance(model, (str, Path)):
        encoder = model
    elif model == "auto" and bound is not None:
        encoder = load_bound_encoder(bound)
    else:
        encoder = load_encoder(model)
    writer.check_identity(encoder.identity)
    return encoder


def encode_with(identity: Identity) -> Encode:
    """Give what encodes texts by the encoder of an identity, which is loaded when there are some."""

    def encode(texts: list[str]) -> NDArray[np.float32]:
        return load_bound_encoder(identity).encode_texts(texts)

    return encode
