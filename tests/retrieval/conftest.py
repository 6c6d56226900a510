"""An encoder that needs no model, and collections filled through the real writer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from indexer.store.changes import Change, NewContent, NewItem, NewLink
from indexer.store.writer import Writer
from retrieval.contents import text_digest
from retrieval.texts import normalise_text
from retrieval.uris import file_uri
from tests.builders import Colour, Fill, HashEncoder


@pytest.fixture
def encoder() -> HashEncoder:
    return HashEncoder()


@pytest.fixture
def other_encoder() -> HashEncoder:
    return HashEncoder("1" * 64, "other")


@pytest.fixture
def fill(tmp_path: Path, encoder: HashEncoder) -> Fill:
    """Commit pictures (name to colour), texts (uri to words) and links (name, uri) to a collection."""

    default = encoder

    def commit(
        pictures: Mapping[str, Colour] = {},
        texts: Mapping[str, str] = {},
        links: Sequence[tuple[str, str]] = (),
        encoder: HashEncoder | None = None,
        name: str = "collection",
    ) -> Path:
        change, used = Change(), encoder or default
        with Writer(tmp_path / name) as writer:
            source = writer.ensure_corpus("test:", "test")
            uris = {}
            for picture, colour in pictures.items():
                path = tmp_path / picture
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), colour).save(path)
                uris[picture] = file_uri(path)
                digest = hashlib.sha256(path.read_bytes()).digest()
                with Image.open(path) as image:
                    vector = used.encode_images([image])[0]
                change.contents["image", digest] = NewContent("image", digest, vector, None, 8, 8)
                change.items[uris[picture]] = NewItem(uris[picture], "image", digest, source)
            for uri, words in texts.items():
                normal = normalise_text(words)
                digest = text_digest(normal)
                vector = used.encode_texts([normal])[0]
                change.contents["text", digest] = NewContent("text", digest, vector, normal)
                change.items[uri] = NewItem(uri, "text", digest, source)
            for picture, uri in links:
                change.links[uris[picture], uri] = NewLink(uris[picture], uri, source)
            writer.commit(change, used.identity)
        used.encoded.clear()
        return tmp_path / name

    return commit
