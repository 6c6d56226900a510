"""Pictures of a collection's items: the original bytes, and thumbnails that limited worker processes make."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.contents import image_digest, part_digest
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.preparations import Fit, Preparation, Shrink
from retrieval.errors import ImageError, UsageError
from retrieval.file_kinds import is_opened_in_place
from retrieval.locations.extents import location_of
from retrieval.query.thumbnail_cache import ThumbnailCache
from retrieval.signatures import AVIF_BRANDS, HEAD_BYTES, formats_by_signature, is_media_file, media_brands
from retrieval.types import InlineBytes, Limits, Location, ObjectBytes, PartBytes, UrlBytes, part_of

if TYPE_CHECKING:
    from retrieval.collection import Collection, View
    from retrieval.decoding.prepare import PreparedImage

SIZES: dict[int, Preparation] = {240: Shrink(240, 3.0), 480: Shrink(480, 3.0), 1600: Fit(1600)}
"""Thumbnails by size: the short side, at most three times as long, for a grid; or the whole picture."""

CACHE_BYTES = 2**30  # some 80,000 thumbnails of the smallest size
WEBP_QUALITY = 80
WEBP_METHOD = 2  # 0 to 6: slower and smaller; 4, Pillow's own, takes twice the time for 3 % fewer bytes

_SHOWN_BY_BROWSERS = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_CHANGED = "its file has changed since it was indexed; index its corpus again"
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the picture of an item is, and what it was when it was indexed.

    Attributes:
        id: the item's id.
        uri: the item's.
        extent: what must be known beside the uri to find the bytes; None where the uri is enough.
        sha256: of the bytes that were indexed.
        width: of the upright picture, in pixels; None where it is not known.
        height: likewise.
    """

    id: int
    uri: str
    extent: str | None
    sha256: bytes
    width: int | None
    height: int | None

    @property
    def location(self) -> Location | None:
        """Where its bytes are; None where the catalogue does not tell."""
        return location_of(self.uri, self.extent)


class Pictures:
    """The pictures of a collection, by item id; many threads may share it. Close it, or use it in a ``with`` statement.

    Only what was indexed is given: a file that has other bytes by now is refused, so that a collection which came
    from elsewhere cannot name files of the reader's. No URL is fetched.

    Args:
        collection: whose pictures; it stays open when this is closed.
        limits: what is accepted of a picture.
        cache: where thumbnails are kept; by default none are.
        workers: processes that decode; by default one a core, or what the memory allows.
    """

    def __init__(
        self,
        collection: Collection,
        limits: Limits = DEFAULT_LIMITS,
        cache: ThumbnailCache | None = None,
        workers: int | None = None,
    ) -> None:
        self._collection, self._cache = collection, cache
        self._pool = DecodePool(limits, workers)

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()

    def find(self, ids: Iterable[int]) -> dict[int, Picture]:
        """Find pictures by item id; texts, hidden items and ids of no item are left out."""
        with self._collection.reading() as view:
            return find_pictures(view, ids)

    def has_original(self, picture: Picture) -> bool:
        """Whether a picture has bytes of its own to give: a frame of a video has none."""
        location = picture.location
        if isinstance(location, ObjectBytes):
            return bool(location.member) or not is_opened_in_place(location.name)
        return not (isinstance(location, PartBytes) and is_opened_in_place(location.path.name))

    def original(self, picture: Picture) -> bytes:
        """Read the bytes of a picture as they were indexed; of one of several in a file, those of the file.

        Raises:
            ImageError: they cannot be read any more, or have changed.
        """
        if not self.has_original(picture):
            raise ImageError("it is a frame of a video, of which there are thumbnails alone")
        from retrieval.locations.fetch import read_bytes  # late: most of what is asked for are thumbnails

        location = _local(picture)
        data = read_bytes(location, self._pool.limits)
        if part_digest(image_digest(data), part_of(location)) != picture.sha256:
            raise ImageError(_CHANGED)
        return data

    def thumbnail(self, picture: Picture, size: int) -> bytes:
        """Give a picture as WebP of one of :data:`SIZES`, from the cache or made by a worker process.

        Raises:
            UsageError: there is no such size.
            ImageError: the picture cannot be read or decoded any more, or has changed.
        """
        rule, name = _rule(size), f"{picture.sha256.hex()}-{size}"
        kept = self._cache.read(name) if self._cache is not None else None
        if kept is not None:
            return kept
        data = _webp(prepare_indexed(self._pool, picture, rule).array)
        if self._cache is not None:
            self._cache.write(name, data)
        return data

    def thumbnail_of(self, data: bytes, size: int) -> bytes:
        """Give any picture's encoded bytes as WebP of one of :data:`SIZES`; nothing is kept.

        Raises:
            UsageError: there is no such size.
            ImageError: the bytes cannot be decoded within the limits.
        """
        array = self._pool.prepare(InlineBytes(data), _rule(size)).array
        assert array is not None, "every picture is wanted"
        return _webp(array)


def find_pictures(view: View, ids: Iterable[int]) -> dict[int, Picture]:
    """Find pictures in one generation, as :meth:`Pictures.find` does."""
    return {row.id: Picture(*row) for row in view.pictures(ids)}


def prepare_indexed(pool: DecodePool, picture: Picture, rule: Preparation) -> PreparedImage:
    """Prepare a picture in a worker process, if its bytes are those that were indexed.

    Raises:
        ImageError: it cannot be read or decoded any more, has changed, or is on the web.
    """
    made = pool.prepare(_local(picture), rule, lambda digest: digest == picture.sha256)
    if made.array is None or made.digest != picture.sha256:
        raise ImageError(_CHANGED)
    return made


def default_cache(most_bytes: int = CACHE_BYTES) -> ThumbnailCache:
    """Give the cache in the user's cache folder."""
    from platformdirs import user_cache_path  # late: rarely needed

    return ThumbnailCache(Path(user_cache_path("vlsearch", appauthor=False)) / "thumbnails", most_bytes)


def media_type(data: bytes) -> str | None:
    """Name the media type of a picture that every browser shows and none executes; None for all else."""
    head = data[:HEAD_BYTES]
    if is_media_file(head):
        return None if AVIF_BRANDS.isdisjoint(media_brands(head)) else "image/avif"
    return next(
        (_SHOWN_BY_BROWSERS[one] for one in formats_by_signature(head) if one in _SHOWN_BY_BROWSERS), None
    )


def _rule(size: int) -> Preparation:
    if size not in SIZES:
        raise UsageError(
            f"there are no thumbnails of size {size}; ask for one of {', '.join(map(str, SIZES))}"
        )
    return SIZES[size]


def _local(picture: Picture) -> Location:
    location = picture.location
    if location is None:
        raise ImageError("its place is not known; index its corpus again")
    if isinstance(location, UrlBytes):
        raise ImageError("it is on the web, from where nothing is fetched here")
    return location


def _webp(array: object) -> bytes:
    from PIL import Image  # late: brings Pillow

    file = io.BytesIO()
    Image.fromarray(array).save(file, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)  # type: ignore[arg-type]
    return file.getvalue()
