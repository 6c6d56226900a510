"""Parts of a query: weighted texts, images and keys. Reads and encodes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias, Union

from retrieval.errors import ImageError, QueryError
from retrieval.texts import normalise_text
from retrieval.types import Hit, Item, Kind
from retrieval.uris import is_url

if TYPE_CHECKING:
    from PIL.Image import Image

Source: TypeAlias = "Path | str | bytes | Image"
"""An image of a query: a path; a uri (http, https, or a hit's ``file:`` uri, tar members included);
encoded bytes (JPEG, PNG, ...); or a PIL image."""


Crop: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height of a part of an upright image: shares of it where none is above 1, else pixels."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text to search for, or with a negative weight to avoid.

    Raises:
        QueryError: the text is empty or is not valid Unicode, or the weight is zero or not finite.
    """

    text: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_weight(self.weight, repr(self.text))
        if not self.text.strip():
            raise QueryError("the text of a query is empty; write the words to look for")
        if not self.text.isascii() and any("\ud800" <= character <= "\udfff" for character in self.text):
            raise QueryError(f"the text {self.text!a} is not valid Unicode; pass it as UTF-8")

    @property
    def words(self) -> str:
        """The text NFC-normalised and stripped, as collections store texts."""
        return normalise_text(self.text)


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image to search for, or with a negative weight to avoid; a file is read only when it is encoded.

    Attributes:
        source: where it is; or a PIL image, as the same picture in a file would be: upright, in RGB.
        weight: in the sum that a query is.
        crop: left, top, width and height of the part of the upright image that counts: shares of the image's width and
            height where none is above 1, else pixels. None for all of it.

    Raises:
        QueryError: the source is an empty or unusable name, or a PIL image that cannot be read; the weight is zero or
            not finite, or the crop has no area.
    """

    source: Source
    weight: float = 1.0
    crop: Crop | None = None

    def __post_init__(self) -> None:
        _check_weight(self.weight, "a picture")
        if isinstance(self.source, bytes) and not self.source:
            raise QueryError("the picture of a query has no bytes; pass the bytes of a JPEG, PNG, ... file")
        if isinstance(self.source, str) and not (
            is_url(self.source) or self.source.lower().startswith("file://")
        ):
            raise QueryError(f"the picture {self.source!r} is a str but no uri; pass a path as pathlib.Path")
        if isinstance(self.source, (str, Path)) and "\0" in str(self.source):
            raise QueryError(f"the name {str(self.source)!r} holds a NUL, which no file name does")
        if not isinstance(self.source, (str, Path, bytes)):
            object.__setattr__(self, "source", _upright_rgb(self.source))
        if self.crop is not None:
            check_crop(self.crop)


@dataclass(frozen=True, slots=True)
class KeyPart:
    """An item of the collection by its key: its stored vector is searched for, or with a negative weight avoided.

    Raises:
        QueryError: the key is empty or not valid Unicode, or the weight is zero or not finite.
    """

    key: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_weight(self.weight, f"the key {self.key!a}")
        if not self.key or any("\ud800" <= character <= "\udfff" for character in self.key):
            raise QueryError(f"{self.key!a} is not a key; give the key of an item, a text that is not empty")


@dataclass(frozen=True, slots=True)
class ItemPart:
    """An item of the collection by its id, as hits carry it: its stored vector is searched for, or avoided.

    Raises:
        QueryError: the weight is zero or not finite.
    """

    id: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", index(self.id))  # of numpy's integers, too
        _check_weight(self.weight, f"item {self.id}")


Part: TypeAlias = TextPart | ImagePart | KeyPart | ItemPart
Queryable: TypeAlias = Union[str, Path, bytes, "Image", TextPart, ImagePart, KeyPart, ItemPart]
"""What can be searched for: a ``str`` is a text; a ``Path``, bytes or PIL image is an image; or a weighted part."""


@dataclass(frozen=True, slots=True)
class Query:
    """A weighted sum of texts and images; ``place`` (``queries.txt:7``) names it in errors of a batch.

    Raises:
        QueryError: there are no parts.
    """

    parts: tuple[Part, ...]
    place: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.parts:
            raise QueryError("the query is empty; give words, or the path of a picture")

    @classmethod
    def of(cls, query: Query | Queryable | Sequence[Queryable]) -> Query:
        """Build a query from one part or a sequence of parts, plain or weighted.

        A ``str`` is always a text, even if a file goes by that name; a ``Path``, bytes or a PIL image is
        always an image. ``parse_query`` reads the command line's notation instead.
        """
        if isinstance(query, Query):
            return query
        if isinstance(query, (list, tuple)):
            return cls(tuple(as_part(part) for part in query))
        return cls((as_part(query),))  # type: ignore[arg-type]  # other sequences are refused there

    @property
    def keys(self) -> list[str]:
        """Keys of the items whose stored vectors the query uses."""
        return [part.key for part in self.parts if isinstance(part, KeyPart)]

    @property
    def ids(self) -> list[int]:
        """Ids of the items whose stored vectors the query uses."""
        return [part.id for part in self.parts if isinstance(part, ItemPart)]

    def only_images(self, stored: Mapping[str | int, Kind]) -> bool:
        """Whether no part is a text; ``stored`` gives the kind of each item that the query names by key or id."""
        return all(
            stored[name] == "image" if name is not None else isinstance(part, ImagePart)
            for part, name in ((part, name_of_stored(part)) for part in self.parts)
        )


def id_of(item: Item | Hit | int) -> int:
    """Give the id of an item that is named by itself, by a hit or by its id, which may be a number of numpy."""
    return index(item) if isinstance(item, SupportsIndex) else item.id


def name_of_stored(part: Part) -> str | int | None:
    """Give the key or the id by which a part names an item of the collection; None for other parts."""
    if isinstance(part, KeyPart):
        return part.key
    return part.id if isinstance(part, ItemPart) else None


def as_part(value: Queryable) -> Part:
    """Give a plain value as a part of weight 1; a part is returned unchanged.

    Raises:
        TypeError: the value cannot be searched for.
    """
    if isinstance(value, (TextPart, ImagePart, KeyPart, ItemPart)):
        return value
    if isinstance(value, str):
        return TextPart(value)
    if isinstance(value, (Path, bytes)):
        return ImagePart(value)
    from PIL.Image import Image  # late: the command line builds its queries without Pillow

    if isinstance(value, Image):
        return ImagePart(value)
    raise TypeError(
        f"cannot search for a {type(value).__name__}; pass a str, Path, bytes, PIL picture or a list of these"
    )


def check_crop(crop: Crop) -> None:
    """Refuse a crop that is part of no image.

    Raises:
        QueryError: says why.
    """
    left, top, width, height = crop
    written = ",".join(f"{number:g}" for number in crop)
    if not all(math.isfinite(number) and number >= 0 for number in crop) or not (width > 0 and height > 0):
        raise QueryError(
            f"{written} is not a part of a picture; give left, top, width and height, the last two above 0"
        )
    if max(crop) <= 1 and max(left + width, top + height) > 1 + 1e-6:
        raise QueryError(f"the part {written} reaches beyond the picture, whose width and height are 1")


def _upright_rgb(image: Image) -> Image:
    from retrieval.images.in_memory import (
        upright_rgb,  # late: the command line builds its queries without Pillow
    )

    try:
        return upright_rgb(image)
    except ImageError as error:
        raise QueryError(f"the picture cannot be read: {error}") from error


def _check_weight(weight: float, what: str) -> None:
    if not math.isfinite(weight) or weight == 0:
        raise QueryError(f"the weight of {what} is {weight:g}; a weight is a finite number other than 0")
