"""What the next commit will do: items and links as they come, contents as the encoder delivers them.

The encoder gets batches of a fixed size: a row's bits must not depend on which run encoded it, or beside what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexer.store.changes import Change, NewContent
from retrieval.decoding.prepare import PreparedImage
from retrieval.types import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.encoders.base import Encoder

IMAGE_BATCH = 32  # rows of every forward pass of the image tower
TEXT_BATCH = 64


class Staged:
    """One commit's worth of work."""

    def __init__(self) -> None:
        self.change = Change()
        self.fresh: set[str] = set()  # uris of items that are new, or whose content is
        self.restored: dict[
            tuple[Kind, bytes], int
        ] = {}  # contents of unchanged items that had lost their vector
        self.known_links: set[tuple[str, str]] = set()
        self.digests: dict[Kind, set[bytes]] = {"image": set(), "text": set()}
        self._pictures: list[tuple[PreparedImage, NDArray[Any]]] = []
        self._sentences: list[tuple[bytes, str]] = []

    @property
    def waiting(self) -> bool:
        """Whether anything still has to be encoded."""
        return bool(self._pictures or self._sentences)

    @property
    def size(self) -> int:
        """Contents and items staged, whichever are more."""
        waiting = len(self._pictures) + len(self._sentences)
        return max(len(self.change.contents) + waiting, len(self.change.items) + len(self.change.attributes))

    def add_picture(self, read: PreparedImage, encoder: Encoder) -> None:
        """Take a picture's content in, unless it is on its way already."""
        if read.array is None or read.digest in self.digests["image"]:
            return
        self.digests["image"].add(read.digest)
        self._pictures.append((read, read.array))
        if len(self._pictures) >= IMAGE_BATCH:
            self._encode_pictures(encoder)

    def add_text(self, digest: bytes, normalised: str, encoder: Encoder) -> None:
        """Take a text's content in, unless it is on its way already."""
        if digest in self.digests["text"]:
            return
        self.digests["text"].add(digest)
        self._sentences.append((digest, normalised))
        if len(self._sentences) >= TEXT_BATCH * 4:
            self._encode_texts(encoder)

    def encode_rest(self, encoder: Encoder) -> None:
        """Encode what does not fill a batch, so that every content staged has its vector."""
        self._encode_pictures(encoder)
        self._encode_texts(encoder)

    def _encode_pictures(self, encoder: Encoder) -> None:
        pictures, self._pictures = self._pictures, []
        if pictures:
            vectors = encoder.encode_prepared([prepared for _, prepared in pictures], IMAGE_BATCH)
            for (read, _), vector in zip(pictures, vectors, strict=True):
                content = NewContent("image", read.digest, vector, None, read.width, read.height)
                self.change.contents["image", read.digest] = content

    def _encode_texts(self, encoder: Encoder) -> None:
        sentences, self._sentences = self._sentences, []
        if sentences:
            vectors = encoder.encode_texts([text for _, text in sentences], TEXT_BATCH)
            for (digest, text), vector in zip(sentences, vectors, strict=True):
                self.change.contents["text", digest] = NewContent("text", digest, vector, text)
