"""The tree of folders that the keys of a bucket make; a folder is what stands between two slashes.

Keys are names in the store and never paths of this machine. Each folder is one listing, which tells size, time and ETag
of every object: what is as it was need not be asked for. Captions are read ahead, for each costs a way to the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import quote

from retrieval.catalogue_name import CATALOGUE
from retrieval.corpora.corpus import Entries, LeftOut
from retrieval.corpora.formats.lines import captions_in
from retrieval.corpora.left_out import COLLECTION
from retrieval.corpora.listing import Listing, Rules, sort_in
from retrieval.corpora.textfile import LINE_LIMIT, lines_in
from retrieval.corpora.trees import TOO_LONG
from retrieval.errors import CorpusFormatError
from retrieval.locations.deadline import begin
from retrieval.locations.object_store import StoredFolder, StoreFault, list_folder, read_object
from retrieval.signatures import HEAD_BYTES, looks_like_image
from retrieval.types import Failure, ObjectBytes, StoredObject
from retrieval.uris import object_uri

_AHEAD = 16  # files of captions, of at most 1 MiB each
_SECONDS = 30.0  # for a file of captions, or the head of an object


class ObjectTree:
    """The tree below a prefix of a bucket, which is empty or ends in a slash."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix

    def uri(self, relative: str) -> str:
        """As :meth:`retrieval.corpora.trees.Tree.uri`."""
        return object_uri(self._bucket, self._prefix + relative).removesuffix("/")

    def folder(self, relative: str, left_out: LeftOut) -> ObjectFolder | None:
        """As :meth:`retrieval.corpora.trees.Tree.folder`."""
        found = list_folder(self._bucket, self._prefix + relative)
        if CATALOGUE in found.objects:
            left_out[COLLECTION] += 1
            return None
        return ObjectFolder(self.uri(relative), relative, found)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in a folder of a bucket, as ``os.scandir`` would give it."""

    name: str
    path: str
    folder: bool

    def is_dir(self) -> bool:
        return self.folder

    def is_file(self) -> bool:
        return not self.folder

    def is_symlink(self) -> bool:
        return False


class ObjectFolder:
    """What lies right in one folder of a bucket."""

    def __init__(self, uri: str, relative: str, found: StoredFolder) -> None:
        self._uri, self._relative, self._found = uri, relative, found
        self._ahead = _ReadAhead(found.objects)

    def list(self, rules: Rules) -> Listing:
        """As :meth:`retrieval.corpora.trees.Folder.list`."""
        listing = Listing(left_out=Counter())
        for name, fault in self._found.faults.items():
            listing.failures.append(Failure(self.uri(name), fault))
        for name in self._found.objects:
            sort_in(listing, _Entry(name, self.uri(name), folder=False), self._relative, rules, str)
        for name in self._found.folders:
            sort_in(listing, _Entry(name, self.uri(name), folder=True), self._relative, rules, str)
        listing.sort()
        self._ahead.expect(listing.captions)
        return listing

    def uri(self, name: str) -> str:
        """As :meth:`retrieval.corpora.trees.Folder.uri`."""
        return f"{self._uri}/{quote(name)}"

    def location(self, name: str) -> ObjectBytes:
        """As :meth:`retrieval.corpora.trees.Folder.location`."""
        return ObjectBytes(self._found.objects[name])

    def sidecar(self, name: str) -> StoredObject:
        """As :meth:`retrieval.corpora.trees.Folder.sidecar`."""
        return self._found.objects[name]

    def is_image(self, name: str) -> bool:
        """As :meth:`retrieval.corpora.trees.Folder.is_image`; True where it cannot be read, and reading it says so."""
        at = self._found.objects[name]
        assert at.size is not None, "it was listed"
        try:
            return looks_like_image(read_object(at, HEAD_BYTES, _SECONDS, 0, min(HEAD_BYTES, at.size)))
        except (StoreFault, TimeoutError):
            return True

    def captions(self, name: str, lang: str | None) -> Entries:
        """As :meth:`retrieval.corpora.trees.Folder.captions`."""
        uri = self.uri(name)
        if (self._found.objects[name].size or 0) > LINE_LIMIT:
            yield Failure(uri, TOO_LONG)
            return
        try:
            raw = self._ahead.read(name)
        except StoreFault as fault:
            yield Failure(uri, f"cannot be read ({fault})")
        except TimeoutError:
            yield Failure(uri, f"cannot be read (the store took longer than {_SECONDS:g} s)")
        else:
            try:
                yield from captions_in(lines_in(raw), uri, lang)
            except CorpusFormatError as error:
                yield Failure(uri, error.fault)


class _ReadAhead:
    """Reads the files of captions of one folder, those that will be asked for next at the same time.

    Args:
        objects: of the folder.
    """

    def __init__(self, objects: Mapping[str, StoredObject]) -> None:
        self._objects = objects
        self._next: list[str] = []
        self._under_way: dict[str, Future[bytes]] = {}

    def expect(self, names: Iterable[str]) -> None:
        """Say which files will be asked for, about in the order of their names."""
        self._next = sorted(names, reverse=True)

    def read(self, name: str) -> bytes:
        """Give the bytes of a file; errors as of :func:`retrieval.locations.object_store.read_object`."""
        for passed in [one for one in self._under_way if one < name]:
            del self._under_way[passed]
        while self._next and (self._next[-1] <= name or len(self._under_way) < _AHEAD):
            following = self._next.pop()
            if following >= name:
                self._under_way[following] = self._begin(following)
        return (self._under_way.pop(name, None) or self._begin(name)).result()

    def _begin(self, name: str) -> Future[bytes]:
        return begin(lambda: read_object(self._objects[name], LINE_LIMIT, _SECONDS))
