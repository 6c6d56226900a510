"""Queries kept as albums, and asked again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from retrieval.collection import View
from retrieval.collection.albums import DEFAULT_REQUEST, Album, AlbumPart
from retrieval.errors import NoSuchAlbum, QueryError, UsageError
from retrieval.expressions import Expression, ItemIds, parts_of, with_paths
from retrieval.places import CollectionPlace
from retrieval.query.parse import parse_part
from retrieval.query.parts import ImagePart, ItemPart, KeyPart, Part, Query, TextPart
from retrieval.shell import command_on
from retrieval.types import Request
from retrieval.uris import display, expand_home, file_uri, is_url, split_file_uri


def album_of(view: View, name: str, query: Query, request: Request, literal: bool = False) -> Album:
    """Make the album of a search, which does not depend on the working directory.

    Args:
        view: of the collection that is asked.
        name: of the album.
        query: as it was asked; a picture in memory cannot be kept.
        request: all else that was asked.
        literal: whether texts are taken as they are.

    Raises:
        FilterError: the condition names a field that no item has.
        QueryError: the collection has no such item, or a file is not there.
        UsageError: the name is none, a picture cannot be kept, or there are too many parts.
    """
    where = None if request.where is None else absolute(request.where)
    if where is not None:
        if any(isinstance(part, ItemIds) for part in parts_of(where)):
            raise UsageError("a choice of items on the map is not kept in an album; leave it out")
        view.where(request.find or "image", where)  # are its fields there?
    parts = tuple(_kept(view, part) for part in query.parts)
    return Album(name, parts, replace(request, where=where), literal)


def find_album(view: View, name: str) -> Album:
    """Read the album of a name.

    Raises:
        NoSuchAlbum: there is none.
    """
    found = view.albums(name)
    if not found:
        raise NoSuchAlbum(view.path, name)
    return found[0]


def query_of(view: View, album: Album) -> Query:
    """Give the query of an album as the engine takes it.

    Raises:
        QueryError: the collection no longer has an item that the album asks with.
    """
    asked = [part_of(view, part) for part in album.parts]
    for part, found in zip(album.parts, asked, strict=True):
        if found is None:
            save = command_on(view.path, "album", "save", album.name, "...")
            raise QueryError(
                f"the album {album.name!r} asks with {display(part.uri or '')}, which collection {view.path} does not "
                f"have any more, or hides; save it anew: {save}"
            )
    return Query(tuple(found for found in asked if found is not None))


def part_of(view: View, part: AlbumPart) -> Part | None:
    """Give a part of an album as a part of a query; None for an item that is no longer there, or hidden."""
    if part.text is not None:
        return TextPart(part.text, part.weight)
    if part.key is not None:
        return KeyPart(part.key, part.weight)
    if part.picture is not None:
        return ImagePart(part.picture, part.weight, part.crop)
    assert part.uri is not None, "it is one of these"
    found = view.items([] if part.item is None else [part.item])
    item = found[0] if found else view.named(part.uri)
    return None if item is None else ItemPart(item.id, part.weight)


def absolute(where: Expression) -> Expression:
    """Give a condition whose folders do not count from the working directory."""
    return with_paths(where, _absolute)


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(expand_home(path))  # noqa: PTH100  resolve() follows links


def _kept(view: View, part: Part) -> AlbumPart:
    if isinstance(part, TextPart):
        return AlbumPart(text=part.text, weight=part.weight)
    if isinstance(part, KeyPart):
        if view.item(part.key) is None:
            raise QueryError(f"collection {view.path} has no item with the key {part.key!r}, or hides it")
        return AlbumPart(key=part.key, weight=part.weight)
    if isinstance(part, ItemPart):
        found = view.items([part.id])
        if not found:
            raise QueryError(f"collection {view.path} has no item {part.id}, or hides it; ids stand in hits")
        return AlbumPart(uri=found[0].uri, item=part.id, weight=part.weight)
    if not isinstance(part.source, (str, Path)):
        raise UsageError(
            "a picture that is only in memory is not kept in an album; index it, and ask with the item"
        )
    return _kept_file(view, part, part.source)


def _kept_file(view: View, part: ImagePart, source: Path | str) -> AlbumPart:
    """Keep a picture as the item that it is in the collection, else as the file."""
    uri = file_uri(source) if isinstance(source, Path) else source
    item = None if part.crop else view.named(uri)
    if item is not None:
        return AlbumPart(uri=item.uri, item=item.id, weight=part.weight)
    if is_url(uri):
        raise UsageError(
            f"an album fetches nothing from the web; index {display(uri)}, and ask with the item"
        )
    split = split_file_uri(uri)
    if split is not None and not split[0].exists():
        raise QueryError(f"there is no file {split[0]}; check the path")
    return AlbumPart(picture=uri, weight=part.weight, crop=part.crop)


def names_missing(view: View, parts: Sequence[AlbumPart]) -> list[str]:
    """Name the parts that only whoever sits at the machine with the files can ask with, or nobody any more."""
    return [
        display(part.picture or part.uri or part.key or "")
        for part in parts
        if part.picture is not None or (part.text is None and not _is_there(view, part))
    ]


def _is_there(view: View, part: AlbumPart) -> bool:
    return view.item(part.key) is not None if part.key is not None else part_of(view, part) is not None


def command_of(album: Album, collection: str | CollectionPlace) -> str:
    """Give the command that asks a collection what an album asks, items by their paths as the album was saved."""
    options: list[str] = []
    for part in album.parts:
        words = _typed(replace(part, weight=abs(part.weight)))
        if part.weight < 0:
            options += ["--subtract", words]
        else:
            options += ["--add", words] if words.startswith("-") else [words]
        if part.crop is not None:
            options += ["--crop", ",".join(f"{number:g}" for number in part.crop)]
    asked = album.request
    for field in fields(asked):
        value = getattr(asked, field.name)
        if value != getattr(DEFAULT_REQUEST, field.name):
            options += _option(field.name, value)
    literal = ["--literal"] if album.literal and asked.mode != "words" else []
    return command_on(collection, "query", *options, *literal)


def _option(name: str, value: object) -> list[str]:
    """Give the option that sets a field of a request."""
    option = "-k" if name == "k" else f"--{name.replace('_', '-')}"
    if name == "regions":
        return ["--whole"]
    if name == "distinct":
        return [option if value is True else f"{option}={value}"]
    return [option] if value is True else [option, str(value)]


def _typed(part: AlbumPart) -> str:
    """Write a part with a weight above 0 as the command line takes it."""
    weight = "" if part.weight == 1 else f"{part.weight:.6f}".rstrip("0").rstrip(".") + ":"
    if part.text is not None:
        return part.text if not weight and _reads_plainly(part.text) else f"{weight}text:{part.text}"
    if part.key is not None:
        return f"{weight}key:{part.key}"
    return f"{weight}image:{display(part.picture or part.uri or '')}"


def _reads_plainly(text: str) -> bool:
    """Whether the command line takes a text for these very words."""
    try:
        return parse_part(text) == TextPart(text)
    except QueryError:
        return False
