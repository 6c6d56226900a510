"""What one commit changes, as values: staged by the pipeline or the Python API, carried out by the writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

from retrieval.types import Attribute, Box, Kind, Origin


@dataclass(frozen=True, slots=True)
class NewContent:
    """A content with its vector, (d,) float32 unit, under the collection's encoder."""

    kind: Kind
    sha256: bytes
    vector: NDArray[np.float32]
    text: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to add, or to update where its uri (or the item ``renames``) is in the catalogue already."""

    uri: str
    kind: Kind
    sha256: bytes
    corpus_id: int
    key: str | None = None
    lang: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    stamp: str | None = None
    extent: str | None = None
    renames: int | None = None


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link from a text to the image that it describes; both by uri, in the catalogue already or in the same change.

    An image's links rank in the order in which they are staged, after those that it has.
    """

    image_uri: str
    text_uri: str
    corpus_id: int


@dataclass(frozen=True, slots=True)
class NewImageText:
    """A text of an image content, in place of the one of the same origin; an empty one says that there is none.

    Attributes:
        maker: the reader or the model, with its version.
        text: one or more lines, or nothing.
        boxes: where each line stands in the image; empty where that is not known.
    """

    maker: str
    text: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class NewFailure:
    """An item that could not be indexed; ``stamp`` tells when it is worth another try."""

    uri: str
    reason: str
    corpus_id: int
    stamp: str | None = None


@dataclass(slots=True)
class Change:
    """Everything that one commit does, together or not at all.

    ``links`` replace what their corpus said before of the same texts; ``removed`` are item ids; ``listed`` and
    ``withdrawn`` are pairs of item id and corpus, which lists the item as well, or no longer, while another does;
    ``settled`` are uris whose recorded failure is over; ``hidden`` and ``unhidden`` are uris that no search may find
    from now on, or may find again; ``attributes`` replace those of items, by uri, that are in the catalogue; ``texts``
    are those of image contents, by sha256 and origin, that are no captions, and left out where no item has the content.
    """

    contents: dict[tuple[Kind, bytes], NewContent] = field(default_factory=dict)
    items: dict[str, NewItem] = field(default_factory=dict)
    links: dict[tuple[str, str], NewLink] = field(default_factory=dict)
    failures: dict[str, NewFailure] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    listed: list[tuple[int, int]] = field(default_factory=list)
    withdrawn: list[tuple[int, int]] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unhidden: list[str] = field(default_factory=list)
    attributes: dict[str, Mapping[str, Attribute]] = field(default_factory=dict)
    texts: dict[tuple[bytes, Origin], NewImageText] = field(default_factory=dict)

    def __bool__(self) -> bool:
        parts = (self.contents, self.items, self.links, self.failures, self.removed)
        return any(
            (
                *parts,
                self.listed,
                self.withdrawn,
                self.settled,
                self.hidden,
                self.unhidden,
                self.attributes,
                self.texts,
            )
        )
