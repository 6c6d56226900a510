"""The encoder that queries of a collection are encoded with: found, loaded and checked when it is first needed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import IdentityMismatch
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.query.vectors import NotPrepared

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


class LoadedEncoders:
    """The encoder of a collection: the caller's, or one that is loaded when a query first needs it; thread-safe."""

    def __init__(self, collection: CollectionPlace, given: Encoder | str | Path | None) -> None:
        self._collection, self._given = collection, given
        self._loaded: Encoder | None = None
        self._lock = threading.Lock()

    @property
    def remember_texts(self) -> bool:
        """Whether vectors of texts are kept for other processes; not those of an encoder that the caller made."""
        return self._given is None or isinstance(self._given, (str, Path))

    def loaded(self, identity: Identity) -> Encoder | None:
        """Give the encoder with this identity if it has been loaded."""
        encoder = self._loaded
        return encoder if encoder is not None and encoder.identity.digest == identity.digest else None

    def load(self, identity: Identity) -> Encoder:
        """Load the encoder, unless it has been loaded.

        Raises:
            IdentityMismatch: what was given or found has another identity.
        """
        with self._lock:
            encoder = self.loaded(identity)
            if encoder is None:
                encoder = self._find(identity)
                given = encoder.identity
                if given.digest != identity.digest:
                    raise IdentityMismatch(
                        self._collection, identity.name, given.name, identity.difference(given)
                    )
                self._loaded = encoder
            return encoder

    def check_given(self, identity: Identity) -> None:
        """Refuse an encoder of the caller's that is not the collection's, even where nothing is to be encoded.

        One that goes by the collection's own name is loaded, and checked, only when it has something to encode.

        Raises:
            NotPrepared: it has to be loaded to be checked.
        """
        given = self._given
        if given is None or self.loaded(identity) is not None:
            return
        if not (isinstance(given, (str, Path)) and str(given) == identity.name):
            raise NotPrepared(identity)

    def forget(self) -> None:
        """Let go of the encoder."""
        self._loaded = None

    def _find(self, identity: Identity) -> Encoder:
        given = self._given
        if given is not None and not isinstance(given, (str, Path)):
            return given
        from retrieval.encoders.registry import load_bound_encoder, load_encoder  # late: brings torch

        return load_encoder(given) if given is not None else load_bound_encoder(identity)
