"""A folder of pictures, walked to its depths; a text file beside a picture holds its captions."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from indexer.corpora.corpus import Corpus, Entries
from indexer.corpora.exclude import excluder
from indexer.corpora.lines import read_captions
from indexer.corpora.names import FileNames
from indexer.corpora.options import CorpusOptions
from indexer.corpora.textfile import LINE_LIMIT, unreadable
from retrieval.errors import CorpusFormatError
from retrieval.suffixes import is_picture_name
from retrieval.types import Entry, Failure, FileBytes, Picture, Text
from retrieval.uris import file_uri

COLLECTION_MARK = "catalogue.sqlite"
"""A folder with this file is a collection, and not walked: opening its files would drop SQLite's locks.

The same as ``retrieval.collection.layout.CATALOGUE``, whose package loads faiss and sqlalchemy; a test
compares the two.
"""


@dataclass(slots=True)
class _Listing:
    """What one folder holds, each part in the order of names."""

    pictures: list[str] = field(default_factory=list)
    captions: set[str] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)
    linked_folders: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    is_collection: bool = False


def open_folder(path: Path, options: CorpusOptions) -> Corpus:
    """The pictures in a folder and in those below it, in the order of names, files before folders.

    A name that ends as a picture's makes a candidate; what it is, its content decides later. ``x.txt`` and
    ``x.jpg.txt`` beside ``x.jpg`` hold its captions, one a line, named ``L1`` in that file; other texts are
    not taken. Left out without a word: names that begin with a dot, collections, what ``options.exclude``
    matches. Symbolic links are followed, and each folder is walked once, by its real path if that is in the
    corpus too. Names of one folder at a time are held in memory, with 100 bytes for each folder seen.

    Raises:
        CorpusFormatError: it cannot be listed, or is a collection.
    """
    try:
        is_collection = _listed(str(path), "", lambda relative: False).is_collection
    except OSError as error:
        raise CorpusFormatError(
            str(path), unreadable(error), "Check the folder and its permissions"
        ) from error
    if is_collection:
        raise CorpusFormatError(str(path), "is a collection, not a corpus", "Name the folder of the pictures")
    root = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links, which change names
    return Corpus(file_uri(path), "folder", lambda: _walk(root, excluder(options.exclude), options.lang))


def _walk(root: str, is_excluded: Callable[[str], bool], lang: str | None) -> Entries:
    """Entries of a tree. ``relative`` paths are empty for the root and else end in a slash."""
    seen: set[tuple[int, int]] = set()
    stack, links = [""], deque[str]()
    while stack or links:
        relative = stack.pop() if stack else links.popleft()  # links last, so that real paths come first
        folder = os.path.join(root, relative)  # noqa: PTH118  a Path object per folder and file costs a third
        try:
            facts = os.stat(folder)  # noqa: PTH116
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
            listing = _listed(folder, relative, is_excluded)
        except OSError as error:
            yield Failure(file_uri(Path(folder)), f"the folder {unreadable(error)}")
            continue
        if listing.is_collection:
            continue
        yield from listing.failures
        for name in listing.pictures:
            yield from _picture(folder, name, listing.captions, lang)
        stack.extend(f"{relative}{name}/" for name in reversed(listing.folders))
        links.extend(f"{relative}{name}/" for name in listing.linked_folders)


def _listed(folder: str, relative: str, is_excluded: Callable[[str], bool]) -> _Listing:
    """One folder, listed and sorted.

    Raises:
        OSError: it cannot be.
    """
    listing = _Listing()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == COLLECTION_MARK and entry.is_file():
                return _Listing(is_collection=True)
            if not entry.name.startswith(".") and not is_excluded(relative + entry.name):
                _sort_in(listing, entry)
    listing.pictures.sort()
    listing.folders.sort()
    listing.linked_folders.sort()
    listing.failures.sort(key=lambda failure: failure.uri)
    return listing


def _sort_in(listing: _Listing, entry: os.DirEntry[str]) -> None:
    try:
        if entry.is_dir():
            (listing.linked_folders if entry.is_symlink() else listing.folders).append(entry.name)
        elif entry.name.lower().endswith(".txt"):
            listing.captions.add(entry.name)
        elif not is_picture_name(entry.name):
            return
        elif entry.is_file():
            listing.pictures.append(entry.name)
        else:  # never opened: a pipe would block for good
            nowhere = not os.path.exists(entry.path)  # noqa: PTH110  as above
            fault = "is a link that leads nowhere" if nowhere else "is no regular file"
            listing.failures.append(Failure(file_uri(Path(entry.path)), fault))
    except OSError as error:  # a link that leads to itself
        listing.failures.append(Failure(file_uri(Path(entry.path)), unreadable(error)))


def _picture(folder: str, name: str, captions: set[str], lang: str | None) -> Entries:
    texts: list[Text] = []
    for caption in _caption_files(name, captions):
        for found in _captions(Path(folder, caption), lang):
            if isinstance(found, Failure):
                yield found
            else:
                texts.extend(found.texts)
    path = Path(folder, name)
    yield Entry(Picture(file_uri(path), FileBytes(path)), tuple(texts))


def _caption_files(name: str, there: set[str]) -> Iterator[str]:
    for stem in (name.rpartition(".")[0], name):
        yield from (stem + suffix for suffix in (".txt", ".TXT") if stem + suffix in there)


def _captions(path: Path, lang: str | None) -> Entries:
    """The captions in a file beside a picture; a faulty file is a failure, and costs the picture nothing."""
    uri = file_uri(path)
    try:
        facts = path.stat()
    except OSError as error:
        yield Failure(uri, unreadable(error))
        return
    if not stat.S_ISREG(facts.st_mode):
        yield Failure(uri, "is no regular file")
    elif facts.st_size > LINE_LIMIT:
        yield Failure(uri, f"is longer than {LINE_LIMIT:,} bytes, too long for captions of one picture")
    else:
        try:
            yield from read_captions(FileNames(path), lang)
        except CorpusFormatError as error:
            yield Failure(uri, error.fault)
