"""What a collection of single items holds, in plain dicts: the model that histories of calls are compared with."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.contents import pixel_digest, text_digest, vector_digest
from retrieval.testing import HashEncoder
from retrieval.texts import normalise_text
from retrieval.types import Attribute, HiddenItem, Kind
from tests.builders import DIMENSION, unit_rows

Row = NDArray[np.float32]


@dataclass(frozen=True)
class Words:
    """A text as somebody gives it, with white space or decomposed accents if they like."""

    given: str
    kind: Kind = "text"

    @property
    def digest(self) -> bytes:
        return text_digest(normalise_text(self.given))

    def row(self, encoder: HashEncoder) -> Row:
        row: Row = encoder.encode_texts([normalise_text(self.given)])[0]
        return row


@dataclass(frozen=True)
class Pixels:
    """A picture of one colour."""

    colour: tuple[int, int, int]
    kind: Kind = "image"

    @property
    def image(self) -> Image.Image:
        return Image.new("RGB", (4, 4), self.colour)

    @property
    def digest(self) -> bytes:
        return pixel_digest(self.image)

    def row(self, encoder: HashEncoder) -> Row:
        row: Row = encoder.encode_images([self.image])[0]
        return row


@dataclass(frozen=True)
class VectorAlone:
    """A picture of which only the vector is known."""

    number: int
    kind: Kind = "image"

    @property
    def vector(self) -> Row:
        row: Row = unit_rows(8, DIMENSION, seed=99)[self.number]
        return row

    @property
    def digest(self) -> bytes:
        return vector_digest(self.vector)

    def row(self, encoder: HashEncoder) -> Row:
        return self.vector


Given = Words | Pixels | VectorAlone


@dataclass(frozen=True)
class ModelItem:
    """An item; ``serial`` stands for its id: items that came earlier have lower ones."""

    serial: int
    uri: str
    content: Given
    lang: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass
class ItemModel:
    """Items by key, captions by image, and hidden uris with the digests of images that went away.

    ``unencoded`` are contents without a vector; ``staged``, ``staged_links`` and ``new_uris`` are of the next commit.
    """

    items: dict[str, ModelItem] = field(default_factory=dict)
    captions: dict[str, list[str]] = field(default_factory=dict)
    hidden: dict[str, bytes | None] = field(default_factory=dict)
    unencoded: set[bytes] = field(default_factory=set)
    staged_links: dict[str, list[str]] = field(default_factory=dict)
    new_uris: dict[str, bytes] = field(default_factory=dict)
    staged: set[str] = field(default_factory=set)
    serials: int = 0

    def copy(self) -> ItemModel:
        return copy.deepcopy(self)

    def owner(self, uri: str) -> str | None:
        return next((key for key, item in self.items.items() if item.uri == uri), None)

    def put(
        self, key: str, uri: str, content: Given, lang: str | None, attributes: Mapping[str, Attribute]
    ) -> None:
        """Add an item, or give the item with the key another content; links stay."""
        old = self.items.get(key)
        if old is None:
            self.serials += 1
            self.new_uris[uri] = content.digest if content.kind == "image" else b""
        elif uri in self.new_uris:
            self.new_uris[uri] = content.digest if content.kind == "image" else b""
        serial = self.serials if old is None else old.serial
        self.items[key] = ModelItem(serial, uri, content, lang, attributes)
        self.staged.add(key)
        self.unencoded.discard(content.digest)

    def link(self, text: str, images: Sequence[str]) -> None:
        """Say which images a text describes, instead of what was said before."""
        self.staged_links.pop(text, None)
        self.staged_links[text] = list(dict.fromkeys(images))

    def set_attributes(self, key: str, attributes: Mapping[str, Attribute]) -> None:
        self.items[key] = replace(self.items[key], attributes=attributes)

    def commit(self) -> None:
        """Rank the new links after those that an image has, and hide images that came back under another uri."""
        for text in self.staged_links:
            for linked in self.captions.values():
                if text in linked:
                    linked.remove(text)
        for text, images in self.staged_links.items():
            for image in images:
                self.captions.setdefault(image, []).append(text)
        first: dict[bytes, str] = {}
        for uri, digest in self.new_uris.items():
            first.setdefault(digest, uri)
        for uri, gone in list(self.hidden.items()):
            if gone and gone in first and self.owner(uri) is None:
                del self.hidden[uri]
                self.hidden[first[gone]] = None
        self.staged_links, self.new_uris, self.staged = {}, {}, set()

    def remove(self, key: str) -> None:
        item = self.items.pop(key)
        if item.uri in self.hidden and item.content.kind == "image":
            self.hidden[item.uri] = item.content.digest
        self.captions.pop(key, None)
        for linked in self.captions.values():
            if key in linked:
                linked.remove(key)

    def move(self, key: str, uri: str) -> None:
        """Give an item another uri, which takes its hiding with it."""
        old = self.items[key].uri
        self.items[key] = replace(self.items[key], uri=uri)
        if old in self.hidden:
            self.hidden[uri] = self.hidden.pop(old)

    def lose_vectors_of_images(self) -> None:
        """Encode again with another model: what is given as pixels or as a vector lies nowhere."""
        self.unencoded = {item.content.digest for item in self.items.values() if item.content.kind == "image"}

    def visible(self, kind: Kind) -> dict[str, ModelItem]:
        """Items of a kind that are not hidden, in the order in which they came."""
        shown = [
            (key, item)
            for key, item in self.items.items()
            if item.content.kind == kind and item.uri not in self.hidden
        ]
        return dict(sorted(shown, key=lambda pair: pair[1].serial))

    def rank(
        self, query: Row, kind: Kind, encoder: HashEncoder, *, distinct: bool = False
    ) -> list[tuple[str, float]]:
        """Keys and scores of all items that a search may find, best first, summed in float64 one by one."""
        scored = []
        seen: set[bytes] = set()
        for key, item in self.visible(kind).items():
            digest = item.content.digest
            if digest in self.unencoded or (distinct and digest in seen):
                continue
            seen.add(digest)
            row = item.content.row(encoder).astype(np.float64)
            scored.append((key, float(np.float32(np.sum(row * query.astype(np.float64))))))
        return sorted(scored, key=lambda pair: (-pair[1], self.items[pair[0]].serial))

    def shown_captions(self, key: str) -> list[str]:
        """Keys of the texts that are shown with an image."""
        texts = self.visible("text")
        return [text for text in self.captions.get(key, []) if text in texts]

    def hidden_items(self) -> list[HiddenItem]:
        """What ``Collection.hidden`` lists, by uri."""
        found = []
        for uri in sorted(self.hidden):
            key = self.owner(uri)
            found.append(HiddenItem(uri, key, None if key is None else self.items[key].content.kind))
        return found


def key_uri(key: str) -> str:
    """The uri of an item that was given by bytes, pixels or words under a key of plain letters."""
    return f"key:{key}"


def salted(name: str) -> HashEncoder:
    """One of several encoders whose vectors cannot be compared."""
    return HashEncoder(hashlib.sha256(name.encode()).hexdigest(), name)
