"""What the next commit will do: items and links as they come, contents as the encoder delivers their vectors.

The encoder gets batches of a fixed size: a row's bits must not depend on which run encoded it, or beside what.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from indexer.pipeline.pace import CommitPace
from indexer.store.changes import Change, NewContent, NewFailure, NewImageText, NewItem, NewLink
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.base import indexing_batches
from retrieval.types import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.encoders.base import Encoder

_TEXT_BATCHES = 4  # that are encoded in one call: an encoder sorts the texts of a call by length
_IMAGE_BATCHES = 2  # that are encoded in one call: some runtimes compute several at once, one a core


class Staged:
    """The work of one commit.

    Attributes:
        change: what the commit writes; :meth:`encode_rest` completes its contents.
        digests: contents that have been staged, those that wait for their vectors included.
        may_be_renamed: uris of staged items that are new while their content is known.
        characters: weight of what was staged; whoever stages adds to it.
        since: when staging began, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.change = Change()
        self.digests: dict[Kind, set[bytes]] = {"image": set(), "text": set()}
        self.may_be_renamed: set[str] = set()
        self.characters = 0
        self.since = time.monotonic()
        self._images: list[tuple[PreparedImage, NDArray[Any]]] = []
        self._texts: list[tuple[bytes, str]] = []

    @property
    def waiting(self) -> bool:
        """Whether anything still has to be encoded."""
        return bool(self._images or self._texts)

    @property
    def contents(self) -> int:
        """How many contents are staged."""
        return len(self.change.contents) + len(self._images) + len(self._texts)

    def is_due(self, pace: CommitPace) -> bool:
        """Whether it is time to commit."""
        change = self.change
        parts = (change.items, change.attributes, change.links, change.listed, change.failures)
        return (
            self.contents >= pace.contents
            or max(len(part) for part in parts) >= pace.rows
            or self.characters >= pace.characters
            or time.monotonic() - self.since > pace.seconds
        )

    def add_item(self, item: NewItem, *, may_be_renamed: bool = False) -> None:
        """Stage an item, in place of what was staged under its uri before."""
        self.change.items[item.uri] = item
        if may_be_renamed:
            self.may_be_renamed.add(item.uri)
        else:
            self.may_be_renamed.discard(item.uri)

    def add_link(self, image_uri: str, text_uri: str, corpus_id: int) -> None:
        """Stage that a text describes an image."""
        self.change.links[image_uri, text_uri] = NewLink(image_uri, text_uri, corpus_id)

    def replace_links(self, text_uri: str, image_uris: Sequence[str], corpus_id: int) -> None:
        """Stage that a text, not staged yet or staged before, describes these images and no others."""
        if text_uri in self.change.items:
            for link in [link for link in self.change.links if link[1] == text_uri]:
                del self.change.links[link]
        for image_uri in image_uris:
            self.add_link(image_uri, text_uri, corpus_id)

    def move_links(self, old: str, new: str) -> None:
        """Let staged links of an item go on under its new uri."""
        if old == new or not any(old in link for link in self.change.links):
            return
        links = list(self.change.links.values())
        self.change.links.clear()
        for link in links:
            self.add_link(
                new if link.image_uri == old else link.image_uri,
                new if link.text_uri == old else link.text_uri,
                link.corpus_id,
            )

    def add_failure(self, failure: NewFailure) -> None:
        """Stage an item that could not be taken."""
        self.change.failures[failure.uri] = failure

    def add_vector(self, content: NewContent) -> None:
        """Stage a content whose vector is known, unless it is staged already."""
        self.digests[content.kind].add(content.sha256)
        self.change.contents.setdefault((content.kind, content.sha256), content)

    def add_image(self, image: PreparedImage, encoder: Encoder) -> None:
        """Stage the content of an image that was prepared, unless it is staged already."""
        if image.array is None or image.digest in self.digests["image"]:
            return
        self.digests["image"].add(image.digest)
        self._images.append((image, image.array))
        if len(self._images) >= indexing_batches(encoder).images * _IMAGE_BATCHES:
            self._encode_images(encoder)

    def add_page_text(self, image: PreparedImage) -> None:
        """Stage the text that an image shows, where its file holds it."""
        if image.page_text is not None:
            text, maker = image.page_text
            self.change.texts[image.digest, "page"] = NewImageText(maker, text)

    def add_text(self, digest: bytes, normalised: str, encoder: Encoder) -> None:
        """Stage the content of a text, unless it is staged already."""
        if digest in self.digests["text"]:
            return
        self.digests["text"].add(digest)
        self._texts.append((digest, normalised))
        if len(self._texts) >= indexing_batches(encoder).texts * _TEXT_BATCHES:
            self._encode_texts(encoder)

    def encode_rest(self, encoder: Encoder) -> None:
        """Encode what does not fill a batch, so that every content staged has its vector."""
        self._encode_images(encoder)
        self._encode_texts(encoder)

    def _encode_images(self, encoder: Encoder) -> None:
        images, self._images = self._images, []
        if images:
            vectors = encoder.encode_prepared(
                [array for _, array in images], indexing_batches(encoder).images
            )
            for (image, _), vector in zip(images, vectors, strict=True):
                content = NewContent("image", image.digest, vector, None, image.width, image.height)
                self.change.contents["image", image.digest] = content

    def _encode_texts(self, encoder: Encoder) -> None:
        texts, self._texts = self._texts, []
        if texts:
            vectors = encoder.encode_texts([text for _, text in texts], indexing_batches(encoder).texts)
            for (digest, text), vector in zip(texts, vectors, strict=True):
                self.change.contents["text", digest] = NewContent("text", digest, vector, text)
