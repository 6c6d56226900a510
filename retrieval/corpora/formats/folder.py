"""A folder of images, walked to its depths; files beside an image hold its captions and metadata."""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from retrieval.catalogue_name import CATALOGUE, is_collection
from retrieval.corpora.corpus import Corpus, Entries, LeftOut
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.exclude import excluder
from retrieval.corpora.format import Format
from retrieval.corpora.formats.lines import read_captions
from retrieval.corpora.left_out import (
    COLLECTION,
    EXCLUDED_FILE,
    EXCLUDED_FOLDER,
    LIVE_PHOTO_VIDEO,
    OTHER_FILE,
    is_hidden_or_system,
    kind_of_file,
)
from retrieval.corpora.live_photos import live_photo_videos
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.raw_pairs import raws_beside
from retrieval.corpora.textfile import LINE_LIMIT, unreadable
from retrieval.corpora.values import attributes_of
from retrieval.errors import CorpusFormatError
from retrieval.file_kinds import RAW, VIDEO, is_taken, kind_by_name
from retrieval.metadata.sidecars import SIDECAR_SUFFIXES, by_folded_name, sidecar_key, sidecars_of
from retrieval.signatures import is_image_file
from retrieval.types import CorpusImage, CorpusText, Entry, Failure, FileBytes
from retrieval.uris import file_uri


@dataclass(slots=True)
class _Listing:
    """The entries of one folder by kind, each kind in the order of names."""

    images: list[str] = field(default_factory=list)
    raws: list[str] = field(default_factory=list)
    captions: set[str] = field(default_factory=set)
    sidecars: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # regular files whose names do not say what they are
    folders: list[str] = field(default_factory=list)
    linked_folders: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules by which entries are left out of a folder: the caller's globs, and the default ones."""

    is_excluded: Callable[[str], bool]
    by_default: bool

    def reason(self, relative: str, entry: os.DirEntry[str]) -> str | None:
        """Say under which count an entry is left out; None where it is read."""
        if self.is_excluded(relative + entry.name):
            return EXCLUDED_FOLDER if _is_folder(entry) else EXCLUDED_FILE
        return is_hidden_or_system(entry.name, _is_folder(entry)) if self.by_default else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def open_folder(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a folder of images: those in it and below it, in the order of names, files before folders.

    A name that ends as an image's makes a candidate, and so do the first bytes of a file whose suffix is not
    known, and kinds of files that need an extra, where it is installed; what it is, its content decides later.
    A raw camera file beside a JPEG or HEIC with its stem is not read: its name is that image's attribute ``raw``.
    ``x.txt`` and ``x.jpg.txt`` beside ``x.jpg`` hold its captions, one a line, named ``L1`` in that file;
    ``x.xmp``, ``x.jpg.xmp`` and Google Takeout's JSON hold its metadata. The video of a
    Live Photo belongs to its picture.
    Left out and counted by kind: all other files, collections, what
    ``options.exclude`` matches, and unless ``options.default_excludes`` is off, hidden files and those of systems
    (:func:`~retrieval.corpora.left_out.is_hidden_or_system`). Symbolic links are followed, and each folder is
    walked once, by its real path if that is in the corpus too. Names of one folder at a time are held in memory,
    with 100 bytes for each folder seen.

    Raises:
        CorpusFormatError: it cannot be listed, or is a collection.
    """
    path = at.path
    if is_collection(path):
        raise CorpusFormatError(str(path), "is a collection, not a corpus", "Name the folder of the pictures")
    try:
        os.scandir(str(path)).close()
    except OSError as error:
        raise CorpusFormatError(
            str(path), unreadable(error), "Check the folder and its permissions"
        ) from error
    root = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links, which change names
    rules = _Rules(excluder(options.exclude), options.default_excludes)
    return Corpus(file_uri(path), "folder", lambda left_out: _walk(root, rules, options, left_out))


def _walk(root: str, rules: _Rules, options: CorpusOptions, left_out: LeftOut) -> Entries:
    """Walk a tree. ``relative`` paths are empty for the root and else end in a slash."""
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
            if is_collection(folder):
                left_out[COLLECTION] += 1
                continue
            listing = _list_folder(folder, relative, rules)
        except OSError as error:
            yield Failure(file_uri(Path(folder)), f"the folder {unreadable(error)}")
            continue
        left_out.update(listing.left_out)
        yield from listing.failures
        images = _images_in(folder, listing, left_out)
        raws = raws_beside(images, sorted(listing.raws)) if listing.raws else {}
        images = _with_lone_raws(images, listing.raws, raws, left_out)
        beside = by_folded_name(listing.sidecars)
        keys = set(map(sidecar_key, listing.sidecars))
        used: set[str] = set()
        used_sidecars: set[str] = set()
        place = _Place(Path(folder), file_uri(Path(folder)).removesuffix("/"))
        for name in images:
            own_raws = raws.get(name, [])
            found = (
                sidecar
                for one in (name, *own_raws)
                if keys and sidecar_key(one) in keys
                for sidecar in sidecars_of(one, beside)
            )
            sidecars = list(dict.fromkeys(found))
            used_sidecars.update(sidecars)
            captions = list(_caption_files(name, listing.captions)) if listing.captions else []
            used.update(captions)
            yield from _image_entries(place, name, captions, sidecars, own_raws, options)
        _count(left_out, "text file", len(listing.captions) - len(used))
        left_out.update(kind_of_file(name) for name in listing.sidecars if name not in used_sidecars)
        stack.extend(f"{relative}{name}/" for name in reversed(listing.folders))
        links.extend(f"{relative}{name}/" for name in listing.linked_folders)


def _images_in(folder: str, listing: _Listing, left_out: LeftOut) -> list[str]:
    """List the images of a folder: by suffix, and of unknown suffixes by first bytes; sorted."""
    recognised = []
    for name in listing.unknown:
        if not name.startswith(CATALOGUE) and is_image_file(os.path.join(folder, name)):  # noqa: PTH118
            recognised.append(name)
        else:
            left_out[OTHER_FILE] += 1
    images = sorted([*listing.images, *recognised]) if recognised else listing.images
    of_live_photos = live_photo_videos(images)
    _count(left_out, LIVE_PHOTO_VIDEO, len(of_live_photos))
    return [name for name in images if name not in of_live_photos] if of_live_photos else images


def _with_lone_raws(
    images: list[str], raws: list[str], paired: Mapping[str, list[str]], left_out: LeftOut
) -> list[str]:
    """Give the images with those raw files that no picture stands beside, or count these where none can be read."""
    in_pairs = {raw for beside in paired.values() for raw in beside}
    lone = [raw for raw in raws if raw not in in_pairs]
    if not lone or is_taken(lone[0]):
        return sorted([*images, *lone]) if lone else images
    _count(left_out, RAW.noun, len(lone))
    return images


def _count(left_out: LeftOut, kind: str, number: int) -> None:
    if number:  # a Counter keeps zeros
        left_out[kind] += number


def _list_folder(folder: str, relative: str, rules: _Rules) -> _Listing:
    """List one folder, its entries sorted.

    Raises:
        OSError: it cannot be.
    """
    listing = _Listing()
    with os.scandir(folder) as entries:
        for entry in entries:
            _sort_in(listing, entry, relative, rules)
    listing.images.sort()
    listing.folders.sort()
    listing.linked_folders.sort()
    listing.failures.sort(key=lambda failure: failure.uri)
    return listing


def _sort_in(listing: _Listing, entry: os.DirEntry[str], relative: str, rules: _Rules) -> None:
    try:
        reason = rules.reason(relative, entry)
        if reason is not None:
            listing.left_out[reason] += 1
        elif entry.is_dir():
            (listing.linked_folders if entry.is_symlink() else listing.folders).append(entry.name)
        elif entry.name.lower().endswith(".txt"):
            listing.captions.add(entry.name)
        elif entry.name.lower().endswith(SIDECAR_SUFFIXES) and entry.is_file():
            listing.sidecars.append(entry.name)
        elif kind_by_name(entry.name) is RAW and entry.is_file():
            listing.raws.append(entry.name)
        elif not is_taken(entry.name):
            kind = kind_of_file(entry.name)
            if kind == OTHER_FILE and entry.is_file():
                listing.unknown.append(entry.name)
            else:
                listing.left_out[kind] += 1
        elif entry.is_file():
            listing.images.append(entry.name)
        else:  # never opened: a pipe would block for good
            nowhere = not os.path.exists(entry.path)  # noqa: PTH110  as above
            fault = "is a link that leads nowhere" if nowhere else "is not a regular file"
            listing.failures.append(Failure(file_uri(Path(entry.path)), fault))
    except OSError as error:  # a link that leads to itself
        if not is_taken(entry.name):
            listing.left_out[kind_of_file(entry.name)] += 1
            return
        listing.failures.append(Failure(file_uri(Path(entry.path)), unreadable(error)))


class _Place(NamedTuple):
    """A folder with its uri, without a slash at the end; an image's whole path need not be quoted for each."""

    path: Path
    uri: str


def _image_entries(
    place: _Place,
    name: str,
    captions: list[str],
    sidecars: list[str],
    raws: list[str],
    options: CorpusOptions,
) -> Entries:
    texts: list[CorpusText] = []
    for caption in captions:
        for found in _captions(place.path / caption, options.lang):
            if isinstance(found, Failure):
                yield found
            else:
                texts.extend(found.texts)
    path = place.path / name
    beside = tuple(place.path / sidecar for sidecar in sidecars)
    attributes = attributes_of({"raw": raws[0] if len(raws) == 1 else raws}, without=()) if raws else {}
    kind = kind_by_name(name)
    image = CorpusImage(
        f"{place.uri}/{quote(os.fsencode(name))}",
        FileBytes(path),
        attributes=attributes,
        sidecars=beside,
        may_be_several=kind is not None and kind.holds_several,
        frames_per_minute=options.frames_per_minute if kind is VIDEO else None,
    )
    yield Entry(image, tuple(texts))


def _caption_files(name: str, there: set[str]) -> Iterator[str]:
    for stem in (name.rpartition(".")[0], name):
        yield from (stem + suffix for suffix in (".txt", ".TXT") if stem + suffix in there)


def _captions(path: Path, lang: str | None) -> Entries:
    """Read the captions in a file beside an image; a faulty file is a failure, and the image is taken without it."""
    uri = file_uri(path)
    try:
        facts = path.stat()
    except OSError as error:
        yield Failure(uri, unreadable(error))
        return
    if not stat.S_ISREG(facts.st_mode):
        yield Failure(uri, "is not a regular file")
    elif facts.st_size > LINE_LIMIT:
        yield Failure(uri, f"is longer than {LINE_LIMIT:,} bytes, too long for captions of one picture")
    else:
        try:
            yield from read_captions(FileNames(path), lang)
        except CorpusFormatError as error:
            yield Failure(uri, error.fault)


FORMAT = Format(
    name="folder",
    title="a folder of pictures",
    help="Pictures at any depth; x.txt beside x.jpg holds its captions, one a line; x.xmp its metadata.",
    uri="/x.jpg",
    open=open_folder,
    options=frozenset({"exclude", "default_excludes", "frames_per_minute"}),
    reads="folder",
)
