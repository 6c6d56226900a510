"""Every error that vlsearch raises on purpose: one family, each a sentence a user can act on.

VlsearchError
├── UsageError                what was asked cannot be done as asked (the command line exits 2)
│   ├── CorpusFormatError     a corpus is not in the format that it was read as
│   ├── QueryError            a query is empty, or a part of it cannot be used
│   │   ├── PlacedQueryError  a QueryError of one query of a batch, with its place
│   │   ├── NothingOfKind     the collection holds no items of the kind asked for
│   │   ├── CursorExpired     pages of a search cannot be gone on with
│   │   ├── NoSuchImage       an image of the query does not exist
│   │   └── FilterError       a condition on fields (where) cannot be read, or not be asked of this collection
│   ├── AlbumTaken            a collection has an album of that name already
│   ├── NoSuchAlbum           a collection has no album of that name
│   └── UnknownModel          no model goes by that name
├── MissingExtra              an optional package is needed
├── CollectionError
│   ├── CollectionNotFound    there is no collection at that path
│   ├── CollectionEmpty       it holds nothing yet
│   ├── CollectionDamaged     a file is missing, cut short or altered
│   ├── CollectionTooNew      written by a newer vlsearch
│   ├── CollectionLocked      another process is writing
│   ├── CollectionUnreachable  the server that it lies on does not answer
│   └── IdentityMismatch      the encoder at hand is not the one the collection was built with
├── ClusterError              machines that encode together cannot be reached, or are lost too often
├── ModelError                a model's files are missing, damaged or refused
├── EvaluationError           figures asked for cannot be computed from what is there
├── ServerError               a server cannot be asked, or answers with what is not one of its answers
├── TrainingError             a training run cannot start or go on
└── ImageError                one image cannot be decoded (recorded as a Failure while indexing)
    ├── ImageUnreadable       its bytes cannot be read from where they are
    ├── ImageTooLarge         decoding it needs more memory than the limit
    └── ImageGivenUp          decoding was ended from outside: a deadline, a crash

Facts are attributes and ``args``, so that an error survives the way back from a worker process.
"""

from __future__ import annotations

from pathlib import Path

from retrieval.places import CollectionPlace
from retrieval.shell import shell_command, shell_word


class VlsearchError(Exception):
    """Base of the family; catch it to catch every fault that is not a bug."""

    def in_shell(self) -> str:
        """Give the sentence as a user of the command line needs it; ``str`` gives it for Python code."""
        return str(self)


class UsageError(VlsearchError):
    """What was asked cannot be done as asked; the sentence says what to ask instead."""


class CorpusFormatError(UsageError):
    """A corpus is not in the format that it was read as.

    Args:
        place: path, or ``path:line``.
        fault: what is wrong there.
        remedy: what to do about it.
    """

    def __init__(self, place: str, fault: str, remedy: str) -> None:
        super().__init__(place, fault, remedy)
        self.place, self.fault, self.remedy = place, fault, remedy

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}. {self.remedy}."


class QueryError(UsageError):
    """A query is empty, or a part of it cannot be used."""


class PlacedQueryError(QueryError):
    """A :class:`QueryError` of one query among several; ``place`` names it (``query 3``, ``queries.txt:7``)."""

    def __init__(self, place: str, error: QueryError) -> None:
        super().__init__(place, error)
        self.place, self.error = place, error

    def __str__(self) -> str:
        return f"{self.place}: {self.error}"

    def in_shell(self) -> str:
        """The place, and the query's own sentence."""
        return f"{self.place}: {self.error.in_shell()}"


class NothingOfKind(QueryError):
    """A collection holds no items of the kind that was asked for, ``image`` or ``text``, but some of the other."""

    def __init__(self, collection: CollectionPlace, kind: str) -> None:
        super().__init__(collection, kind)
        self.collection, self.kind = collection, kind

    def __str__(self) -> str:
        return f"{self._fault()}; search with find={self._other()!r}"

    def in_shell(self) -> str:
        """The fault, and the option to use instead."""
        return f"{self._fault()}; search with --find {self._other()}"

    def _fault(self) -> str:
        return f"collection {self.collection} holds no {'pictures' if self.kind == 'image' else 'texts'}"

    def _other(self) -> str:
        return "text" if self.kind == "image" else "image"


class NoSuchImage(QueryError):
    """An image of a query is not there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"there is no file {self.path}; check the path, or to search for these words pass them as a str"
        )

    def in_shell(self) -> str:
        """The fault, and how to search for the words themselves."""
        words = shell_word(f"text:{self.path}")
        return f"there is no file {self.path}; check the path, or to search for these words write {words}"


class CursorExpired(QueryError):
    """The pages of a search cannot be gone on with; the argument is the reason, a clause."""

    def __str__(self) -> str:
        return f"{self.args[0]}; begin at the first page without a cursor"


class FilterError(QueryError):
    """A condition on fields (``where``) cannot be read, or names what the collection does not have."""


class AlbumTaken(UsageError):
    """A collection has an album of a name already."""

    def __init__(self, collection: CollectionPlace, name: str) -> None:
        super().__init__(collection, name)
        self.collection, self.name = collection, name

    def __str__(self) -> str:
        return f"{self._fault()}; pass replace=True to take its place, or another name"

    def in_shell(self) -> str:
        """The fault, and the option that takes its place."""
        return f"{self._fault()}; add --replace to take its place, or choose another name"

    def _fault(self) -> str:
        return f"collection {self.collection} has an album {self.name!r} already"


class NoSuchAlbum(UsageError):
    """A collection has no album of a name."""

    def __init__(self, collection: CollectionPlace, name: str) -> None:
        super().__init__(collection, name)
        self.collection, self.name = collection, name

    def __str__(self) -> str:
        listed = shell_command("album", "list", "--collection", self.collection)
        return f"collection {self.collection} has no album {self.name!r}; see what there is with: {listed}"


class UnknownModel(UsageError):
    """No model goes by that name."""


class MissingExtra(VlsearchError):
    """An optional package is needed for what was asked."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(purpose, extra)
        self.purpose, self.extra = purpose, extra

    def __str__(self) -> str:
        return (
            f"{self.purpose} needs an optional package; install it with: pip install 'vlsearch[{self.extra}]'"
        )


class CollectionError(VlsearchError):
    """Something is wrong with a collection."""


class CollectionNotFound(CollectionError):
    """There is no collection at that path."""

    def __init__(self, path: CollectionPlace) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        make = shell_command("index", "CORPUS", "--collection", self.path)
        return f"there is no collection at {self.path}; make one with: {make}"


class CollectionEmpty(CollectionError):
    """A collection holds nothing yet, and so has no model."""

    def __init__(self, path: CollectionPlace) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        fill = shell_command("index", "CORPUS", "--collection", self.path)
        return f"collection {self.path} is empty; fill it with: {fill}"


class CollectionDamaged(CollectionError):
    """A file of a collection is missing, cut short or altered."""

    def __init__(self, path: CollectionPlace, fault: str) -> None:
        super().__init__(path, fault)
        self.path, self.fault = path, fault

    def __str__(self) -> str:
        look = shell_command("doctor", "--collection", self.path)
        return f"collection {self.path} is damaged: {self.fault}. Look closer with: {look}"


class CollectionTooNew(CollectionError):
    """A collection was written by a newer vlsearch."""

    def __init__(self, path: CollectionPlace, found: int, known: int) -> None:
        super().__init__(path, found, known)
        self.path, self.found, self.known = path, found, known

    def __str__(self) -> str:
        return (
            f"collection {self.path} has schema {self.found}, and this vlsearch knows schemas up to {self.known}; "
            "upgrade vlsearch to open it"
        )


class CollectionLocked(CollectionError):
    """Another process is writing to the collection."""

    def __init__(self, path: CollectionPlace) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"another process is writing to collection {self.path}; wait for it to end and run this again, or let "
            "this wait for it with --wait SECONDS (in Python: timeout=)"
        )


class CollectionUnreachable(CollectionError):
    """The server that a collection lies on does not answer, or has gone away, for the given reason."""

    def __init__(self, path: CollectionPlace, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"the server of collection {self.path} cannot be reached ({self.reason}); check the address and that the "
            "server runs, and ask again"
        )


class IdentityMismatch(CollectionError):
    """The encoder at hand is not the one the collection was built with."""

    def __init__(self, collection: CollectionPlace, bound: str, given: str, difference: str) -> None:
        super().__init__(collection, bound, given, difference)
        self.collection, self.bound, self.given, self.difference = collection, bound, given, difference

    def __str__(self) -> str:
        reindex = shell_command("reindex", "--model", self.given, "--collection", self.collection)
        again = f"re-encode with: {reindex}"
        if self.bound == self.given:
            return (
                f"collection {self.collection} holds vectors of {self.bound} as it was, and the model of that name has "
                f"changed since ({self.difference}); vectors of the two cannot be compared. Bring the old one back, "
                f"or {again}"
            )
        return (
            f"collection {self.collection} holds vectors of {self.bound}, but the encoder at hand is {self.given} "
            f"({self.difference}); vectors of two encoders cannot be compared. Use {self.bound}, or {again}"
        )


class ClusterError(VlsearchError):
    """Machines that encode together cannot be reached, or their workers are lost too often."""


class ModelError(VlsearchError):
    """A model's files are missing, damaged or refused."""


class EvaluationError(VlsearchError):
    """Figures asked for cannot be computed from what is there."""


class ServerError(VlsearchError):
    """A server cannot be asked (``retrieval.connect``), or answers with what is not one of its answers."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return (
            f"cannot ask the server at {self.address} ({self.reason}); check that vlsearch serve runs there"
        )


class TrainingError(VlsearchError):
    """A training run cannot start or go on."""


class ImageError(VlsearchError):
    """One image cannot be decoded; the argument is the reason, in one clause."""


class ImageUnreadable(ImageError):
    """The bytes of one image cannot be read now; permissions or drives may come back though the file is unchanged."""


class ImageTooLarge(ImageError):
    """Decoding one image exceeds the memory limit; ``needed`` is an estimate in bytes, or None where memory ran out."""

    def __init__(self, needed: int | None) -> None:
        super().__init__(needed)
        self.needed = needed

    def __str__(self) -> str:
        if self.needed is None:
            return "takes more memory to decode than there is for it (--max-memory)"
        needed = f"{self.needed / 2**30:.1f} GiB"
        return f"takes about {needed} of memory to decode, more than there is for it (--max-memory)"


class ImageGivenUp(ImageError):
    """Decoding one image was ended by a deadline or a crash; a later run may succeed."""


def first_line(error: BaseException) -> str:
    """Give the first line of what an error of a library says; the name of its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def last_line(error: BaseException) -> str:
    """Give the last line, for libraries that put what happened after where it happened."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
