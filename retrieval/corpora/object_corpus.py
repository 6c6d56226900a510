"""Corpora in an S3 store: folders are listed there; tables, lists and tars are read from a copy on this machine.

The readers of files read the copy, and what they find is told in terms of the store: uris, places and sentences name
the object, and a picture that a table names beside itself is the object beside that.
"""

from __future__ import annotations

import posixpath
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from retrieval.catalogue_name import CATALOGUE
from retrieval.corpora.braces import expand_braces
from retrieval.corpora.corpus import Corpus, CorpusObject, Entries, LeftOut
from retrieval.corpora.formats.folder import open_tree
from retrieval.corpora.noted_objects import NotedObjects
from retrieval.corpora.object_tree import ObjectTree
from retrieval.corpora.options import CorpusOptions
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.locations.object_copies import CopiesFolder, copy_to, drop_copy
from retrieval.locations.object_store import (
    StoredFolder,
    StoreFault,
    check_bucket,
    find_object,
    is_folder,
    list_folder,
)
from retrieval.suffixes import suffix_of
from retrieval.texts import is_unicode
from retrieval.types import (
    CorpusImage,
    CorpusText,
    Entry,
    Failure,
    FileBytes,
    Location,
    MemberBytes,
    ObjectBytes,
    StoredObject,
)
from retrieval.uris import file_uri, object_uri, split_object_uri

_NAMES_KEPT = 200_000  # of objects in the folders that a table names pictures in; about 100 MB
_KEPT_COPIES = 2  # tars: pictures of the one before are still on their way while the next one is read


def open_object_corpus(
    source: str,
    options: CorpusOptions,
    may_be_folder: bool,
    may_be_file: bool,
    check_folder: Callable[[], None],
    open_file: Callable[[Path], Corpus],
    noted: NotedObjects | None,
) -> Corpus:
    """Open a folder or a file in a store, or several tars with braces.

    Args:
        source: ``s3://BUCKET/KEY``, the key as it is; a folder may be named without its last slash.
        options: how to read it.
        may_be_folder: whether it may be read as a folder.
        may_be_file: whether it may be read as a file.
        check_folder: refuses options that mean nothing for a folder.
        open_file: opens a file of this machine.
        noted: of this corpus, read in this way; what is as it was noted is not fetched to be opened.

    Raises:
        CorpusFormatError: it is not there, cannot be asked for, or is in none of the formats.
        UsageError: it is not such an address, or an option has no meaning for it.
    """
    bucket, key = _split(source)
    try:
        at = find_object(bucket, key) if may_be_file and key and not key.endswith("/") else None
        if at is not None:
            return _Copied([at], open_file, options).corpus(noted)
        prefix = f"{key.rstrip('/')}/" if key.rstrip("/") else ""
        if may_be_folder and is_folder(bucket, prefix):
            check_folder()
            if find_object(bucket, prefix + CATALOGUE) is not None:
                raise CorpusFormatError(
                    source, "is a collection, not a corpus", "Name the folder of the pictures"
                )
            return open_tree(
                object_uri(bucket, prefix).removesuffix("/"), lambda: ObjectTree(bucket, prefix), options
            )
        if may_be_file and "{" in key and suffix_of(key) == ".tar":
            return _Copied(_archives(source), open_file, options).corpus(noted, object_uri(bucket, key))
    except StoreFault as fault:
        raise _unreadable(source, fault) from fault
    raise CorpusFormatError(source, "there is no such object, and none below it", "Check the address")


def _split(source: str) -> tuple[str, str]:
    bucket, _, key = source.removeprefix("s3://").partition("/")
    check_bucket(bucket)
    if not is_unicode(key) or not key.isprintable():
        raise UsageError(f"{source!a} is not the address of an object; write s3://BUCKET/KEY")
    return bucket, key


def _unreadable(source: str, fault: StoreFault) -> CorpusFormatError:
    return CorpusFormatError(source, f"cannot be read ({fault})", "Check the address and the AWS settings")


def _archives(pattern: str) -> list[StoredObject]:
    found = []
    for name in expand_braces(pattern):
        at = find_object(*_split(name))
        if at is None:
            raise CorpusFormatError(name, "there is no such object", "Name archives that are all there")
        found.append(at)
    return found


class _Copied:
    """Files of a store that are read one after the other, each from a copy.

    Args:
        objects: the files, at least one; several are tars.
        open_file: opens a copy.
        options: how to read them.
    """

    def __init__(
        self, objects: Sequence[StoredObject], open_file: Callable[[Path], Corpus], options: CorpusOptions
    ) -> None:
        if options.images is not None:
            raise UsageError(
                "--images has no meaning for a table in a store, whose pictures lie beside it; leave it out"
            )
        self._objects, self._open_file = objects, open_file
        self._copies: CopiesFolder | None = None
        self._opened: OrderedDict[int, tuple[Corpus, _Names]] = OrderedDict()

    def corpus(self, noted: NotedObjects | None, uri: str | None = None) -> Corpus:
        """Open the first of them and check it, unless it is as ``noted``; ``uri`` names several."""
        uris = [object_uri(at.bucket, at.key) for at in self._objects]
        total = None
        if noted is not None and noted.has(uris[0], self._objects[0].stamp):
            format = noted.format
        else:
            opened, _ = self._open(0)
            format = opened.format
            sizes = [at.size or 0 for at in self._objects]
            if opened.total is not None:
                total = round(opened.total * sum(sizes) / max(sizes[0], 1))
        objects = tuple(
            CorpusObject(name, at.stamp, partial(self._read, number), _Beside.of(at).stamp)
            for number, (name, at) in enumerate(zip(uris, self._objects, strict=True))
        )
        return Corpus(uri or uris[0], format, self._read_all, total, objects=objects)

    def _read_all(self, left_out: LeftOut) -> Entries:
        for number in range(len(self._objects)):
            yield from self._read(number, left_out)

    def _read(self, number: int, left_out: LeftOut) -> Entries:
        at = self._objects[number]
        try:
            corpus, names = self._open(number)
        except StoreFault as fault:
            yield Failure(object_uri(at.bucket, at.key), f"cannot be read ({fault})")
        except (CorpusFormatError, UsageError) as error:
            reason = error.fault if isinstance(error, CorpusFormatError) else str(error)
            yield Failure(object_uri(at.bucket, at.key), reason)
        else:
            yield from names.told(corpus.read(left_out))

    def _open(self, number: int) -> tuple[Corpus, _Names]:
        """Copy a file and open the copy; the copies before the last one are deleted."""
        if number not in self._opened:
            while len(self._opened) >= _KEPT_COPIES:
                gone, _ = self._opened.popitem(last=False)
                drop_copy(self._objects[gone])
            at = self._objects[number]
            self._copies = self._copies or CopiesFolder()
            folder = self._copies.path / str(number)
            folder.mkdir(exist_ok=True)
            path = copy_to(at, folder / f"copy{suffix_of(at.name)}")
            names = _Names(at, path)
            try:
                self._opened[number] = (self._open_file(path), names)
            except CorpusFormatError as error:
                raise CorpusFormatError(
                    names.words(error.place), names.words(error.fault), error.remedy
                ) from error
            except UsageError as error:
                raise UsageError(names.words(str(error))) from error
        self._opened.move_to_end(number)
        return self._opened[number]


@dataclass(frozen=True, slots=True)
class _Beside:
    """The objects beside a file, by path from its folder; a folder is listed when it is first asked for."""

    bucket: str
    prefix: str
    listed: OrderedDict[str, StoredFolder]

    @classmethod
    def of(cls, at: StoredObject) -> _Beside:
        """Give the objects beside one."""
        return cls(at.bucket, at.key.removesuffix(at.name), OrderedDict())

    def stamp(self, uri: str) -> str | None:
        """Give the stamp of an object by its uri; None where it is not beside the file, or cannot be listed."""
        bucket, key, _ = split_object_uri(uri) or ("", "", None)
        if bucket != self.bucket or not key.startswith(self.prefix):
            return None
        try:
            found = self.find(key.removeprefix(self.prefix))
        except StoreFault:
            return None
        return None if found.size is None else found.stamp

    def find(self, path: str) -> StoredObject:
        """Find an object; one that is not there has no size.

        Raises:
            StoreFault: its folder cannot be listed.
        """
        folder, slash, name = path.rpartition("/")
        prefix = self.prefix + folder + slash
        if prefix not in self.listed:
            found = list_folder(self.bucket, prefix)
            while self.listed and sum(len(one.objects) for one in self.listed.values()) > _NAMES_KEPT:
                self.listed.popitem(last=False)
            self.listed[prefix] = found
        return self.listed[prefix].objects.get(name) or StoredObject(self.bucket, prefix + name)


class _Names:
    """Tells what was found in a copy in terms of the object that it is a copy of.

    Args:
        at: the object.
        path: of the copy, alone in its folder.
    """

    def __init__(self, at: StoredObject, path: Path) -> None:
        self._at, self._path = at, path
        self.uri = object_uri(at.bucket, at.key)
        self._file, self._folder = file_uri(path), file_uri(path.parent) + "/"
        self._beside = _Beside.of(at)
        self._folder_uri = object_uri(at.bucket, self._beside.prefix)

    def told(self, found: Entries) -> Iterator[Entry | Failure]:
        """Give entries and failures with names and places in the store."""
        for one in found:
            if isinstance(one, Failure):
                yield Failure(self._uri(one.uri), self.words(one.reason))
                continue
            texts = tuple(self._text(text) for text in one.texts)
            if one.image is None:
                yield Entry(None, texts)
                continue
            try:
                yield Entry(self._image(one.image), texts)
            except StoreFault as fault:
                yield Failure(self._uri(one.image.uri), f"cannot be read ({fault})")

    def words(self, sentence: str) -> str:
        """Give a sentence about the copy as one about the object."""
        shown = f"s3://{self._at.bucket}/{self._at.key}"
        return sentence.replace(str(self._path), shown).replace(
            str(self._path.parent), posixpath.dirname(shown)
        )

    def _uri(self, uri: str) -> str:
        if uri.startswith(self._file):
            return self.uri + uri.removeprefix(self._file)
        return (
            self._folder_uri + uri.removeprefix(self._folder)
            if uri.startswith(self._folder)
            else self.words(uri)
        )

    def _text(self, text: CorpusText) -> CorpusText:
        return replace(text, uri=self._uri(text.uri))

    def _image(self, image: CorpusImage) -> CorpusImage:
        return replace(image, uri=self._uri(image.uri), location=self._location(image.location))

    def _location(self, location: Location) -> Location:
        match location:
            case MemberBytes(_, name, offset, size):
                return ObjectBytes(self._at, name, offset, size)
            case FileBytes(path):
                return ObjectBytes(self._beside.find(path.relative_to(self._path.parent).as_posix()))
        return location
