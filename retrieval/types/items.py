"""Items: the images and texts that can be found, with what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from retrieval.uris import is_missing

Kind = Literal["image", "text"]
"""The two kinds of item."""

KINDS: tuple[Kind, Kind] = ("image", "text")

Scalar = str | int | float | bool | None

Attribute = Scalar | list[str] | tuple[str, ...]
"""Value of an attribute: a plain JSON value, or a list of strings (tags); a tuple is read back as a list."""


@dataclass(frozen=True, slots=True)
class LinkedText:
    """A text linked to an image: its item id, uri, text and language."""

    id: int
    uri: str
    text: str
    lang: str | None


Origin = Literal["page", "read", "written"]
"""Where a stored text of an image that is not a caption comes from: the page of a document that the image shows, a
reader of text in images (OCR), or a model that writes captions."""

ORIGINS: tuple[Origin, ...] = ("page", "read", "written")

Box = tuple[float, float, float, float, float, float, float, float]
"""Corners of a line of text in an image: x and y of the top left, top right, bottom right and bottom left corner of the
line as it is read, as shares of the upright image's width and height."""

Region = tuple[float, float, float, float]
"""A rectangle of an image: left, top, width and height, as shares of the upright image's width and height."""


@dataclass(frozen=True, slots=True)
class ImageText:
    """A text of an image that is not a caption: no evaluation and no training takes it for one.

    Attributes:
        origin: an :data:`Origin`; or ``title`` or ``description``, the attribute whose value the text is.
        maker: the reader or the model, with its version; None of an attribute.
        text: one or more lines.
        boxes: where each line stands in the image; empty where that is not known.
    """

    origin: Origin | Literal["title", "description"]
    maker: str | None
    text: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One image or one text that can be found.

    ``text`` is set where the item is a text, ``captions`` where it is an image that texts are linked to, and
    ``texts`` where an image has others, which words find too.
    """

    id: int
    kind: Kind
    uri: str
    key: str | None
    text: str | None
    lang: str | None
    captions: tuple[LinkedText, ...]
    attributes: Mapping[str, Attribute]
    texts: tuple[ImageText, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether the item's file is not there now; it is looked for on each use, and a URL never is."""
        return is_missing(self.uri)


@dataclass(frozen=True, slots=True)
class HiddenItem:
    """A hidden uri; ``kind`` is None while no item has that uri, and ``key`` is None where the item has no key."""

    uri: str
    key: str | None
    kind: Kind | None
