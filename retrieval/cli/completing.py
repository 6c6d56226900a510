"""What a shell offers while a command is typed: files, folders, collections, models, names of fields.

It is asked for at every press of a key, so that nothing heavy is imported, and an error offers nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from retrieval.catalogue_name import is_collection
from retrieval.errors import VlsearchError
from retrieval.places import CollectionPlace

_SAFE = re.compile(r"[\w.+/@:-]+")  # names are of strangers; a shell's own characters would need quotes
_CACHED = re.compile(r"models--([^/]+?)--([^/]+)")
_MOST = 200


def complete_paths(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell offer files and folders."""
    return [CompletionItem(incomplete, type="file")]


def complete_collections(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the collections in the folder that is being typed; where there are none, folders."""
    try:
        found = [
            item for path in _beside(incomplete) if is_collection(path) for item in _offered(path, incomplete)
        ]
    except OSError:
        found = []
    return found or [CompletionItem(incomplete, type="dir")]


def complete_models(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the recommended models and those of the hub that are here; where none begins so, folders."""
    from retrieval.encoders.recommended import RECOMMENDED

    names = {model.alias: model.good_for for model in RECOMMENDED}
    names |= {name: "in the hub's cache" for name in _cached_models() if name not in names}
    found = [
        CompletionItem(name, help=text.replace(",", ";"))  # fish would cut it at a comma
        for name, text in names.items()
        if name.startswith(incomplete) and _SAFE.fullmatch(name)
    ]
    return found or [CompletionItem(incomplete, type="dir")]


def complete_fields(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the fields that a condition may begin with: those of every item, and the collection's attributes."""
    from retrieval.query.location import collection_place

    try:
        names = _fields(context.params.get("collection") or collection_place())
    except (VlsearchError, OSError):
        names = {}
    return [
        CompletionItem(name, help=text.replace(",", ";"))  # fish would cut it at a comma
        for name, text in names.items()
        if name.startswith(incomplete) and _SAFE.fullmatch(name)
    ]


def complete_albums(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of the collection's albums, those that a shell takes as they are."""
    from retrieval.query.location import collection_place

    try:
        names = _albums(context.params.get("collection") or collection_place())
    except (VlsearchError, OSError):
        names = []
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and _SAFE.fullmatch(name)]


def _albums(collection: CollectionPlace) -> list[str]:
    from retrieval.collection import Collection  # numpy: only where an album is typed

    with Collection.open(collection) as opened, opened.reading() as view:
        return [album.name for album in view.albums()]


def _fields(collection: CollectionPlace) -> dict[str, str]:
    from retrieval.collection import Collection  # numpy: only where a condition is typed
    from retrieval.collection.filters.fields import ITEM_FIELDS

    names = {name: field.meaning for name, field in ITEM_FIELDS.items()}
    with Collection.open(collection) as opened, opened.reading() as view:
        return names | dict.fromkeys(view.attribute_names()[:_MOST], "attribute")


def _beside(incomplete: str) -> Iterator[Path]:
    """List the folders whose paths begin with what is typed."""
    folder, begun = os.path.split(incomplete)
    with os.scandir(Path(folder or ".").expanduser()) as entries:
        for entry in entries:
            if entry.name.startswith(begun) and entry.is_dir():
                yield Path(entry.path)


def _offered(path: Path, incomplete: str) -> Iterator[CompletionItem]:
    name = os.path.join(os.path.split(incomplete)[0], path.name)  # noqa: PTH118  "./x" stays as it is typed
    if _SAFE.fullmatch(name.replace("~", "")):
        yield CompletionItem(name, help="collection")


def _cached_models() -> list[str]:
    """List the repositories in the hub's cache, by its layout."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    try:
        folders = sorted(entry.name for entry in cache.iterdir())
    except OSError:
        return []
    return ["/".join(match.groups()) for match in map(_CACHED.fullmatch, folders) if match][:_MOST]
