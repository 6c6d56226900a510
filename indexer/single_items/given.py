"""Single items as callers give them: checked, named, read and hashed; nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

from indexer.store.item_rules import attributes_fault, key_fault, word_fault
from retrieval.contents import pixel_digest, text_digest, vector_digest
from retrieval.decoding.prepare import EncodedImage, read_encoded
from retrieval.errors import UsageError
from retrieval.texts import is_unicode, normalise_text
from retrieval.types import Attribute, FileBytes, InlineBytes, Kind, Limits
from retrieval.uris import file_uri, hide_passwords

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from PIL.Image import Image

Content: TypeAlias = "str | bytes | Path | Image | None"
"""A ``str`` is a text; encoded bytes, a path or a PIL image are an image; None is an image known by its vector."""


@dataclass(frozen=True, slots=True)
class GivenItem:
    """What a caller says of an item; see :meth:`indexer.ItemWriter.add`."""

    key: str
    content: Content
    vector: ArrayLike | None
    uri: str | None
    lang: str | None
    attributes: Mapping[str, Attribute] | None
    describes: Sequence[str]


@dataclass(frozen=True, slots=True)
class GivenContent:
    """The content of an item.

    Attributes:
        kind: of the item.
        digest: what names the content.
        source: what its vector is made from: normalised text, encoded bytes or pixels; None where only its vector is
            known.
        vector: (d,) float32 unit row, where the caller gave it.
    """

    kind: Kind
    digest: bytes
    source: str | EncodedImage | Image | None
    vector: NDArray[np.float32] | None


def check_key(key: str) -> None:
    """Refuse a key that the catalogue cannot hold.

    Raises:
        UsageError: it is one.
    """
    if fault := key_fault(key):
        raise UsageError(f"{key!a} is not a key ({fault}); give a text that is not empty")


def keys_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Give keys that were given; a text is one, and not its letters.

    Raises:
        UsageError: they are no keys.
    """
    if isinstance(given, str):
        return (given,)
    keys = tuple(given) if isinstance(given, Iterable) else (None,)
    if not all(isinstance(key, str) for key in keys):
        raise UsageError(f"{given!r:.100} are no keys; give the keys of images that were added before")
    return keys


def check_lang(lang: str | None) -> None:
    """Refuse a language that the catalogue cannot hold.

    Raises:
        UsageError: it is one.
    """
    if fault := word_fault("lang", lang):
        raise UsageError(f"{lang!a} is not a language ({fault}); give a BCP 47 tag, such as en or zh-Hant")


def check_without_nul(given: GivenItem) -> None:
    """Refuse an item with a NUL character in a text that PostgreSQL has no place for; attributes may have some.

    Raises:
        UsageError: it has one.
    """
    words = given.content if isinstance(given.content, str) else None
    texts = {"key": given.key, "text": words, "uri": given.uri, "lang": given.lang}
    for name, text in texts.items():
        if text is not None and "\0" in text:
            raise UsageError(
                f"the {name} of {given.key!a} holds a NUL character, which PostgreSQL cannot hold; take it out"
            )


def uri_of(given: GivenItem) -> str:
    """Give the uri asked for, or that of the path given, or one made from the key.

    Raises:
        UsageError: it cannot be a uri, or an image is said to describe images.
    """
    if given.describes and not isinstance(given.content, str):
        raise UsageError(f"{given.key!r} is a picture, and only texts describe pictures")
    if given.uri is None and not isinstance(given.content, Path):
        return f"key:{quote(given.key, safe='')}"
    if given.uri is None:
        return file_uri(Path(str(given.content)))
    if not isinstance(given.uri, str) or not given.uri or not is_unicode(given.uri):
        raise UsageError(f"{given.uri!a} is not a uri; percent-encode it")
    return hide_passwords(given.uri)


def read_content(content: Content, vector: NDArray[np.float32] | None, limits: Limits) -> GivenContent:
    """Read and hash a content.

    Raises:
        UsageError: there is nothing to search for in it, or it is no content.
        ImageError: the file, or the PIL image, cannot be read.
    """
    if isinstance(content, str):
        words = normalise_text(content)
        if not words or not is_unicode(words):
            raise UsageError(f"{content!a} is not a text that can be searched")
        return GivenContent("text", text_digest(words), words, vector)
    if content is None:
        if vector is None:
            raise UsageError("an item needs a content or a vector")
        return GivenContent("image", vector_digest(vector), None, vector)
    if isinstance(content, (bytes, Path)):
        location = InlineBytes(content) if isinstance(content, bytes) else FileBytes(content)
        encoded = read_encoded(location, limits)
        return GivenContent("image", encoded.digest, encoded, vector)
    from PIL.Image import Image  # late: most contents need no Pillow

    from retrieval.images.in_memory import upright_rgb

    if not isinstance(content, Image):
        what = type(content).__name__
        raise UsageError(f"{what} is not a content; give a text, encoded bytes, a path, a PIL image or None")
    image = upright_rgb(content)
    return GivenContent("image", pixel_digest(image), image, vector)


def checked_attributes(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Give attributes as the catalogue keeps them, tuples as lists.

    Raises:
        UsageError: one cannot be kept.
    """
    if not isinstance(attributes, Mapping):
        raise UsageError(f"attributes are a mapping of names to values, not {type(attributes).__name__}")
    kept: dict[str, Attribute] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in attributes.items()
    }
    if fault := attributes_fault(kept):
        raise UsageError(f"{fault}; attributes are named, plain JSON values or lists of texts")
    return kept
