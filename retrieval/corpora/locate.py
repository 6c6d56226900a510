"""Where an image named inside a corpus file is: a file below a folder, or an http(s) URL. Nothing is opened.

A name must not lead out of the folder that the user pointed to, or indexing a downloaded CSV file could show
what it has no business to see (``../../secrets.png``, ``/home/you/passport.jpg``). The check is on names:
symbolic links below the folder are followed, since whoever owns the folder made them.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from retrieval.corpora.values import kind_of
from retrieval.errors import UsageError
from retrieval.texts import is_unicode
from retrieval.types import Attribute, CorpusImage, Failure, FileBytes, UrlBytes
from retrieval.uris import file_uri, hide_passwords, is_url, split_file_uri

_URL_LIMIT = 8192  # characters; servers refuse longer ones


class ImageFolder:
    """The folder that image names count from, and must not lead out of.

    Args:
        path: the folder.

    Raises:
        UsageError: it is not a folder.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise UsageError(
                f"{path} is not a folder; pictures are looked for in the folder that --images names"
            )
        self.path = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow links, which change names
        self.respelled = 0  # names that are a file's only if they are spelt otherwise
        self._prefix = os.path.join(self.path, "")  # noqa: PTH118  a Path drops the separator at the end

    def image(self, name: object, place: str, attributes: Mapping[str, Attribute]) -> CorpusImage | Failure:
        """Locate the image that a corpus names at ``place``, or say why there can be none."""
        if not isinstance(name, str) or not name:
            fault = "is empty" if name is None or name == "" else f"is {kind_of(name)}"
            return Failure(place, f"the picture's name {fault}, where a path or a URL is expected")
        if name.startswith("file://"):
            name = _path_of(name)
        if "://" in name:
            fault_of_url = url_fault(name)
            return (
                Failure(place, fault_of_url)
                if fault_of_url
                else CorpusImage(hide_passwords(name), UrlBytes(name), None, attributes)
            )
        if not is_unicode(name) or "\0" in name:
            return Failure(place, f"the picture's name {name!a} cannot be a file's name")
        path = os.path.normpath(self._prefix + name if not os.path.isabs(name) else name)  # noqa: PTH117
        if not path.startswith(self._prefix):
            return Failure(
                place, f"picture {name!a} is not inside {self.path}; if it is meant, pass --images DIR"
            )
        found, doubt = self._spelt(name, path)
        if doubt:
            return Failure(place, doubt)
        return CorpusImage(file_uri(found), FileBytes(found), None, attributes)

    def _spelt(self, name: str, path: str) -> tuple[Path, str | None]:
        """Find the file of a name; where there is none, the only one that another spelling of the name leads to."""
        if _is_file(path):
            return Path(path), None
        others: dict[tuple[int, int], str] = {}
        for spelling in _SPELLINGS:
            other = os.path.normpath(self._prefix + spelling(name))
            if other.startswith(self._prefix) and _is_file(other):
                facts = os.stat(other)  # noqa: PTH116  as above
                others.setdefault((facts.st_dev, facts.st_ino), other)
        if len(others) > 1:
            first, second, *_ = others.values()
            return Path(path), f"there is no picture {name!a}, and it may be {first!a} or {second!a}"
        if not others:
            return Path(path), None  # reading it will say so
        self.respelled += 1
        return Path(*others.values()), None

    def holds(self, name: object) -> bool:
        """Whether a name leads to a regular file inside the folder."""
        found = self.image(name, "", {})
        if isinstance(found, Failure) or not isinstance(found.location, FileBytes):
            return False
        try:
            return found.location.path.is_file()
        except OSError:  # a name that is too long, a folder that may not be searched
            return False


def choose_folder(file: Path, images: Path | None, names: Sequence[object]) -> tuple[ImageFolder, str | None]:
    """Choose the folder that the names in a file count from, with a note where that may not be what is expected.

    Args:
        file: the corpus.
        images: the folder that the caller named, if any; else it is the file's own, or one of those in which such
            data sets keep their images, if the own one has none of the first images and only one other has.
        names: of the first images.

    Raises:
        UsageError: ``images`` is not a folder.
    """
    folder = ImageFolder(images or file.parent)
    local = [name for name in names if isinstance(name, str) and name and "://" not in name]
    if not local or any(folder.holds(name) for name in local):
        return folder, _spelling_note(folder)
    tried = [] if images is not None else [one for one in _usual_folders(file) if one.is_dir()]
    holding = [one for one in map(ImageFolder, tried) if any(one.holds(name) for name in local)]
    if len(holding) == 1:
        chosen = holding[0]
        return (
            chosen,
            f"picture names are counted from {chosen.path}, where the first ones are (see --images)",
        )
    several = f" ({len(holding)} folders beside it hold some)" if holding else ""
    return folder, (
        f"none of the first {len(local)} pictures ({local[0]!a}, ...) is in {folder.path}, from which names are "
        f"counted{several}; name their folder with --images DIR"
    )


def _spelling_note(folder: ImageFolder) -> str | None:
    if not folder.respelled:
        return None
    folder.respelled = 0
    return (
        "some picture names are not files as they are spelt (blanks, backslashes, case, accents) and are taken for "
        "the only file that they can mean"
    )


def _usual_folders(file: Path) -> list[Path]:
    names = (
        "images", "Images", "imgs", "pictures", "photos", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr8k_images",
        "flickr30k_images", "flickr30k-images", f"{file.stem}", "val2017", "train2017",
    )  # fmt: skip
    own = file.absolute().parent
    unique = {(facts.st_dev, facts.st_ino): one for one, facts in _folders(own / name for name in names)}
    above = {
        (facts.st_dev, facts.st_ino): one for one, facts in _folders(own.parent / name for name in names[:5])
    }
    return [*unique.values(), *(one for key, one in above.items() if key not in unique)]


def _folders(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        with suppress(OSError):
            yield path, path.stat()


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)  # noqa: PTH113  as above
    except (OSError, ValueError):
        return False


def _path_of(uri: str) -> str:
    """Get the path in a file uri; ``#`` and what follows it belong to the path."""
    split = split_file_uri(uri.replace("#", "%23").replace("file://localhost/", "file:///"))
    return uri if split is None else os.fspath(split[0])


def _with_suffix(change: Callable[[str], str]) -> Callable[[str], str]:
    def spell(name: str) -> str:
        stem, dot, suffix = name.rpartition(".")
        return f"{stem}{dot}{change(suffix)}"

    return spell


_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.strip,
    lambda name: name.strip().replace("\\", "/"),
    lambda name: unicodedata.normalize("NFC", name),
    lambda name: unicodedata.normalize("NFD", name),
    str.lower,
    str.upper,
    _with_suffix(str.lower),
    _with_suffix(str.upper),
)


def url_fault(url: str) -> str | None:
    """Say in a clause why nothing can be downloaded from a URL; None where it can be tried."""
    shown = repr(url.rpartition("@")[2][:200].encode("ascii", "backslashreplace").decode())  # no password
    if not is_url(url):
        return f"{shown} is not an http or https URL"
    if len(url) > _URL_LIMIT:
        return f"the URL is longer than {_URL_LIMIT:,} characters"
    if not url.isprintable() or " " in url:  # lone surrogates are not printable either
        return f"the URL {shown} holds blanks or control characters; percent-encode them"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"{shown} is not a URL (its host or its port cannot be read)"
    return None if host else f"the URL {shown} names no host"
