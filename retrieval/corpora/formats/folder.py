"""A folder of images, walked to its depths; files beside an image hold its captions and metadata."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from retrieval.catalogue_name import is_collection
from retrieval.corpora.corpus import Corpus, Entries, LeftOut
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.exclude import excluder
from retrieval.corpora.format import Format
from retrieval.corpora.left_out import LIVE_PHOTO_VIDEO, OTHER_FILE, kind_of_file
from retrieval.corpora.listing import Listing, Rules
from retrieval.corpora.live_photos import live_photo_videos
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.raw_pairs import raws_beside
from retrieval.corpora.textfile import unreadable
from retrieval.corpora.trees import Folder, LocalTree, Tree
from retrieval.corpora.values import attributes_of
from retrieval.errors import CorpusFormatError
from retrieval.file_kinds import RAW, VIDEO, is_taken, kind_by_name
from retrieval.metadata.sidecars import by_folded_name, sidecar_key, sidecars_of
from retrieval.types import CorpusImage, CorpusText, Entry, Failure
from retrieval.uris import file_uri


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
    return open_tree(file_uri(path), lambda: LocalTree(root), options)


def open_tree(uri: str, tree: Callable[[], Tree], options: CorpusOptions) -> Corpus:
    """Open a tree of folders, wherever it lies.

    Args:
        uri: of the corpus.
        tree: makes the tree, for each time that the corpus is read.
        options: how to read it.
    """
    rules = Rules(excluder(options.exclude), options.default_excludes)
    return Corpus(uri, "folder", lambda left_out: _walk(tree(), rules, options, left_out))


def _walk(tree: Tree, rules: Rules, options: CorpusOptions, left_out: LeftOut) -> Entries:
    """Walk a tree. ``relative`` paths are empty for the root and else end in a slash."""
    stack, links = [""], deque[str]()
    while stack or links:
        relative = stack.pop() if stack else links.popleft()  # links last, so that real paths come first
        try:
            folder = tree.folder(relative, left_out)
            if folder is None:
                continue
            listing = folder.list(rules)
        except OSError as error:
            yield Failure(tree.uri(relative), f"the folder {unreadable(error)}")
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
            yield from _image_entries(folder, name, captions, sidecars, own_raws, options)
        _count(left_out, "text file", len(listing.captions) - len(used))
        left_out.update(kind_of_file(name) for name in listing.sidecars if name not in used_sidecars)
        stack.extend(f"{relative}{name}/" for name in reversed(listing.folders))
        links.extend(f"{relative}{name}/" for name in listing.linked_folders)


def _images_in(folder: Folder, listing: Listing, left_out: LeftOut) -> list[str]:
    """List the images of a folder: by suffix, and of unknown suffixes by first bytes; sorted."""
    recognised = []
    for name in listing.unknown:
        if folder.is_image(name):
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


def _image_entries(
    folder: Folder,
    name: str,
    captions: list[str],
    sidecars: list[str],
    raws: list[str],
    options: CorpusOptions,
) -> Entries:
    texts: list[CorpusText] = []
    for caption in captions:
        for found in folder.captions(caption, options.lang):
            if isinstance(found, Failure):
                yield found
            else:
                texts.extend(found.texts)
    beside = tuple(folder.sidecar(sidecar) for sidecar in sidecars)
    attributes = attributes_of({"raw": raws[0] if len(raws) == 1 else raws}, without=()) if raws else {}
    kind = kind_by_name(name)
    image = CorpusImage(
        folder.uri(name),
        folder.location(name),
        attributes=attributes,
        sidecars=beside,
        may_be_several=kind is not None and kind.holds_several,
        frames_per_minute=options.frames_per_minute if kind is VIDEO else None,
    )
    yield Entry(image, tuple(texts))


def _caption_files(name: str, there: set[str]) -> Iterator[str]:
    for stem in (name.rpartition(".")[0], name):
        yield from (stem + suffix for suffix in (".txt", ".TXT") if stem + suffix in there)


FORMAT = Format(
    name="folder",
    title="a folder of pictures",
    help="Pictures at any depth; x.txt beside x.jpg holds its captions, one a line; x.xmp its metadata.",
    uri="/x.jpg",
    open=open_folder,
    options=frozenset({"exclude", "default_excludes", "frames_per_minute"}),
    reads="folder",
)
