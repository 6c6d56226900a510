"""An encoder that needs no model, and collections filled through the real writer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from indexer.changes import Change, NewContent, NewItem, NewLink, normalise_text, text_digest
from indexer.writer import Writer
from retrieval.identity import Identity
from retrieval.uris import file_uri

DIMENSION = 16


class HashEncoder:
    """Equal inputs to equal unit rows, other inputs to rows that have nothing in common."""

    image_size = 8

    def __init__(self, weights: str = "0" * 64, name: str = "hash") -> None:
        self.identity = Identity(name, "hash", weights, "", DIMENSION, "{}")
        self.encoded: list[object] = []

    def prepare_image(self, image: Image.Image) -> NDArray[np.uint8]:
        return np.asarray(image.convert("RGB").resize((8, 8)))

    def encode_prepared(self, prepared: Sequence[Any], batch_size: int | None = None) -> NDArray[np.float32]:
        return self._rows([array.tobytes() for array in prepared])

    def encode_images(
        self, images: Sequence[Image.Image], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        self.encoded += images
        return self.encode_prepared([self.prepare_image(image) for image in images])

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        self.encoded += texts
        return self._rows([text.encode() for text in texts])

    def _rows(self, contents: Sequence[bytes]) -> NDArray[np.float32]:
        rows = [
            np.random.default_rng(
                list(hashlib.sha256(self.identity.weights.encode() + content).digest())
            ).standard_normal(DIMENSION)
            for content in contents
        ]
        table = np.array(rows).reshape(-1, DIMENSION)
        return (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def encoder() -> HashEncoder:
    return HashEncoder()


@pytest.fixture
def other_encoder() -> HashEncoder:
    return HashEncoder("1" * 64, "other")


Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path, encoder: HashEncoder) -> Fill:
    """Commit pictures (name to colour), texts (uri to words) and links (name, uri) to a collection."""

    def commit(
        pictures: Mapping[str, tuple[int, int, int]] = {},
        texts: Mapping[str, str] = {},
        links: Sequence[tuple[str, str]] = (),
        encoder: HashEncoder = encoder,
        name: str = "collection",
    ) -> Path:
        change = Change()
        with Writer(tmp_path / name) as writer:
            source = writer.source_id("test:", "test")
            uris = {}
            for picture, colour in pictures.items():
                path = tmp_path / picture
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), colour).save(path)
                uris[picture] = file_uri(path)
                digest = hashlib.sha256(path.read_bytes()).digest()
                with Image.open(path) as image:
                    vector = encoder.encode_images([image])[0]
                change.contents["image", digest] = NewContent("image", digest, vector, None, 8, 8)
                change.items[uris[picture]] = NewItem(uris[picture], "image", digest, source)
            for uri, words in texts.items():
                normal = normalise_text(words)
                digest = text_digest(normal)
                vector = encoder.encode_texts([normal])[0]
                change.contents["text", digest] = NewContent("text", digest, vector, normal)
                change.items[uri] = NewItem(uri, "text", digest, source)
            for picture, uri in links:
                change.links[uris[picture], uri] = NewLink(uris[picture], uri, source)
            writer.commit(change, encoder.identity)
        encoder.encoded.clear()
        return tmp_path / name

    return commit
